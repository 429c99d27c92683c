/** The configuration of simulated peers: the defaults, with times short enough for many runs. */
import { loadConfig } from '../../../src/config/load.ts';
import type { RingloadConfig } from '../../../src/config/schema.ts';
import type { ExecutorLimits } from '../../../src/job/executor.ts';
import type { RunLimits } from '../../../src/job/run-contract.ts';
import { ownerLimits, runLimits } from '../../../src/node/limits.ts';

export const SEGMENT_BYTES = 1024;
export const CACHE_DIRECTORY = '/cache';
export const REGION_BYTES = 64 * 1024;

export interface SimConfig {
  readonly config: RingloadConfig;
  readonly run: RunLimits;
  readonly owner: ExecutorLimits;
}

const loaded = await loadConfig({ searchPaths: [] });

export function simConfig(
  options: { readonly electionTicks: number },
  { areFetchesFollowed }: { readonly areFetchesFollowed: boolean },
): SimConfig {
  const { config } = loaded;
  const load = {
    ...config.load,
    segmentSizeBytes: SEGMENT_BYTES,
    batchSize: 2,
    concurrency: 1,
    checkpointIntervalMs: 600,
    taskRetryMaxCount: 4,
    retryDelayMs: 150,
    retryDelayMaxMs: 1500,
    windowTasks: 4,
    windowBytes: 64 * 1024,
    // Fewer than there may be jobs: some have to wait for a place.
    maxRunningJobs: 2,
    maxActiveJobs: 8,
  };
  return {
    config: {
      ...config,
      raft: {
        ...config.raft,
        tickMs: 100,
        heartbeatTicks: 2,
        electionTicks: options.electionTicks,
        snapshotEveryEntries: 40,
        replaceVoterAfterMs: 10_000,
      },
      liveness: {
        pingIntervalMs: 500,
        linkTimeoutMs: 2500,
        suspectAfterMs: 3000,
        downAfterMs: 6000,
      },
      load,
      ufs: { ...config.ufs, listTimeoutMs: 10_000 },
    },
    run: {
      ...runLimits(load),
      ...(areFetchesFollowed && { followMinBytes: 1 }),
      // Longer than a job may take: what gets lost has to be noticed, not waited out.
      silentAfterMs: 600_000,
      answerTimeoutMs: 600_000,
      windowFiles: 16,
      windowUnits: 24,
      passMaxCount: 30,
      replicaWaitMs: 90_000,
    },
    owner: {
      ...ownerLimits(load),
      parallelTasks: 3,
      parallelBytes: 4 * SEGMENT_BYTES,
      resultBatchMaxCount: 4,
    },
  };
}
