/**
 * The leader's side of a load alone: the real driver, run, pass and scheduler, production's limits
 * and ring, over any under store, with owners that do nothing. No network, no Raft: what is
 * committed is only turned into the text that the log would hold.
 */
import { jobId, peerId, raftId, term } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { EMPTY_STATE, type ClusterState } from '../../src/cluster/cluster-state.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { loadConfig } from '../../src/config/load.ts';
import { JobDriver } from '../../src/job/job-driver.ts';
import { JOB_DEFAULTS, type JobSpec } from '../../src/job/spec.ts';
import { runLimits } from '../../src/node/limits.ts';
import { RingView } from '../../src/node/ring-view.ts';
import { systemClock, systemRandom } from '../../src/node/system.ts';
import type { UnderStore } from '../../src/ufs/under-store.ts';
import { idOf } from '../../tests/ring/fixtures.ts';
import { NullOwners } from './null-owners.ts';

export interface LoneLoad {
  readonly store: UnderStore;
  readonly spec: Pick<JobSpec, 'path' | 'replicaCount' | 'segmentSizeBytes'>;
  readonly peerCount: number;
}

export interface LoneLoadFigures {
  readonly seconds: number;
  /** Of the whole process, user and system. */
  readonly cpuSeconds: number;
  readonly fileCount: number;
  readonly taskCount: number;
  readonly batchCount: number;
  readonly checkpointCount: number;
  readonly checkpointMaxBytes: number;
}

type Verdict = Extract<Command, { kind: 'job.finish' }>;

/** @throws when the job does not succeed. */
export async function runLoneLoad(load: LoneLoad): Promise<LoneLoadFigures> {
  const { config } = await loadConfig({ searchPaths: [] });
  const limits = runLimits(config.load);
  const owners = new NullOwners(limits);
  let checkpointCount = 0;
  let checkpointMaxBytes = 0;
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const { state, failure, checkpoint } = await new Promise<Verdict>((resolve, reject) => {
    const driver = new JobDriver({
      start: {
        ref: { jobId: jobId('bench'), run: 1, term: term(1) },
        spec: { ...JOB_DEFAULTS, ...load.spec },
        checkpoint: undefined,
        accepts: () => true,
        placement: ringOf(load.peerCount).placement(true),
        limits,
        random: systemRandom(),
      },
      stores: { storeOf: () => load.store, mounts: [] },
      owners,
      commit: async (command) => {
        checkpointCount += 1;
        checkpointMaxBytes = Math.max(checkpointMaxBytes, JSON.stringify(command).length);
        if (command.kind === 'job.finish') resolve(command);
      },
      failures: { append: () => undefined },
      clock: systemClock,
      random: systemRandom(),
      logger: silentLogger,
      onGiveUp: reject,
    });
    owners.onResults = (from, frame) => void driver.takeResults(from, frame);
  });
  const seconds = (performance.now() - startedMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  if (state !== 'SUCCEEDED') throw new Error(`the load failed: ${failure?.message ?? state}`);
  const { taskCount, batchCount } = owners;
  const fileCount = checkpoint.counters['loadedFiles'] ?? 0;
  const cpuSeconds = (user + system) / 1e6;
  return {
    ...{ seconds, cpuSeconds, fileCount, taskCount, batchCount },
    ...{ checkpointCount, checkpointMaxBytes },
  };
}

function ringOf(peerCount: number): RingView {
  const members: ClusterState['members'] = new Map(
    Array.from({ length: peerCount }, (_, number) => {
      const id = idOf(number);
      const member = {
        ...{ id, raftId: raftId(number + 1), address: `peer-${number}:19998` },
        ...{ dataEndpoint: `http://peer-${number}:19999`, weight: 1, zone: '' },
        ...{ capacityBytes: 1e15, generation: 1, state: 'up' as const, stateSinceMs: 0 },
      };
      return [id, member];
    }),
  );
  const isThere = (): boolean => true;
  const links = { isConnected: isThere, wasHeardLately: isThere };
  const state = { ...EMPTY_STATE, members };
  return new RingView(peerId(idOf(0)), () => state, links);
}
