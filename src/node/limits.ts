/** From the configuration to the limits of each part. */
import type { LoadJobConfig, UfsConfig } from '../config/schema.ts';
import type { ExecutorLimits } from '../job/executor.ts';
import type { RunLimits } from '../job/run-contract.ts';
import type { MountConfig } from '../ufs/mounts.ts';
import { MIB } from '../base/units.ts';

/** Small objects are bound by round trips, not by bytes: many of them run at once. */
const SMALL_TASK_FACTOR = 16;
/** Smaller segments are there before anybody could follow. */
const FOLLOW_MIN_BYTES = MIB;
/** Length that `load.concurrency` is meant for. */
const FULL_SEGMENT_BYTES = 8 * MIB;
/** Of a mount, however many there are. */
const SOCKET_MIN_COUNT = 4;

export function ownerLimits(load: LoadJobConfig): ExecutorLimits {
  return {
    windowTasks: load.windowTasks,
    windowBytes: load.windowBytes,
    parallelTasks: load.concurrency * SMALL_TASK_FACTOR,
    parallelBytes: load.concurrency * FULL_SEGMENT_BYTES,
    resultDelayMs: 10,
    resultBatchMaxCount: 256,
  };
}

export function runLimits(load: LoadJobConfig): RunLimits {
  return {
    windowTasks: load.windowTasks,
    windowBytes: load.windowBytes,
    batchSize: load.batchSize,
    retryDelayMs: load.retryDelayMs,
    retryDelayMaxMs: load.retryDelayMaxMs,
    silentAfterMs: 30_000,
    answerTimeoutMs: 120_000,
    slowAfterMs: load.slowAfterMs,
    windowFiles: 4000,
    windowUnits: 16_384,
    checkpointIntervalMs: load.checkpointIntervalMs,
    followMinBytes: FOLLOW_MIN_BYTES,
    taskRetryMaxCount: load.taskRetryMaxCount,
    throttlePatienceMs: load.throttlePatienceMs,
    restartMaxCount: 3,
    passMaxCount: 8,
    inventoryRetryMs: 500,
    replicaWaitMs: 300_000,
  };
}

/** What this peer may receive from under stores before it has a lease; undefined: there is no limit. */
export function ufsLimitBps({ bandwidthBps, clusterBandwidthBps }: UfsConfig): number | undefined {
  if (clusterBandwidthBps > 0) return 0;
  return bandwidthBps > 0 ? bandwidthBps : undefined;
}

/**
 * Mounts with the limits that all of them share.
 * @param socketMaxCount of all together
 */
export function mountConfigs(ufs: UfsConfig, socketMaxCount: number): MountConfig[] {
  const {
    mounts,
    bandwidthBps: _own,
    clusterBandwidthBps: _all,
    metadataMaxAgeMs: _age,
    ...shared
  } = ufs;
  const share = Math.max(SOCKET_MIN_COUNT, Math.floor(socketMaxCount / mounts.length));
  const connectionMaxCount = Math.min(ufs.connectionMaxCount, share);
  return mounts.map(({ freshness: _freshness, ...mount }) => ({
    ...mount,
    limits: { ...shared, connectionMaxCount },
  }));
}
