/** Load jobs on this peer: the owner's executor, and what runs while it leads. */
import type { JobId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Command } from '../cluster/commands.ts';
import { isActiveState } from '../cluster/job-record.ts';
import type { RingloadConfig } from '../config/schema.ts';
import { sumOf } from '../data/io/extra-sum.ts';
import { Coordinator } from '../job/coordinator.ts';
import { Executor, type ExecutorLimits } from '../job/executor.ts';
import type { FailureSink } from '../job/job-driver.ts';
import type { RunLimits } from '../job/run-contract.ts';
import { RunTimes } from '../job/run-times.ts';
import type { Metrics } from '../obs/metrics.ts';
import type { Closer } from './closer.ts';
import type { ClusterParts } from './form-cluster.ts';
import { LeaderDuties } from './leader-duties.ts';
import { LeaderSeat } from './leader-seat.ts';
import type { LocalParts } from './local-parts.ts';
import { OwnerLink } from './owner-link.ts';
import type { RepairParts } from './repair-parts.ts';

interface Context {
  readonly local: Pick<
    LocalParts,
    'clock' | 'random' | 'identity' | 'store' | 'catalog' | 'loader' | 'stores'
  >;
  readonly cluster: ClusterParts;
  readonly repair: RepairParts;
  readonly config: Pick<RingloadConfig, 'liveness' | 'raft' | 'load'>;
  readonly limits: { readonly run: RunLimits; readonly owner: ExecutorLimits };
  readonly failuresOf: (jobId: JobId) => FailureSink;
  readonly metrics: Pick<Metrics, 'batchRefused' | 'loadFiles' | 'raftElection'>;
  readonly closer: Closer;
  readonly logger: Logger;
}

export function openJobParts(context: Context): {
  readonly coordinator: Coordinator;
  readonly times: RunTimes;
} {
  const { local, cluster, config, closer, metrics, logger } = context;
  const { self, network, state, consensus, ring, proposer } = cluster;
  const { clock } = local;
  const times = new RunTimes(clock);
  times.follow(state.current);
  state.onChange((next) => {
    times.follow(next);
  });
  const commit = async (command: Command): Promise<void> => {
    await proposer.commitAsLeader(times.timed(command));
    if (command.kind === 'job.finish') countFiles(metrics, command.checkpoint.counters);
  };
  const link = new OwnerLink(self, network, () => cluster.frees.lastFree);
  link.tellWith(local.loader);
  const executor = openExecutor(context, link);
  const coordinator = new Coordinator({
    stores: local.stores,
    owners: link,
    commit,
    failuresOf: context.failuresOf,
    limits: context.limits.run,
    runningMaxCount: config.load.maxRunningJobs,
    clock,
    random: local.random(),
    logger,
  });
  link.attach(executor, coordinator);
  const duties = new LeaderDuties({
    self,
    consensus,
    network,
    state: () => state.current,
    commit,
    repairReport: context.repair.report,
    limits: {
      suspectAfterMs: config.liveness.suspectAfterMs,
      downAfterMs: config.liveness.downAfterMs,
      maxVoters: config.raft.maxVoters,
      replaceVoterAfterMs: config.raft.replaceVoterAfterMs,
      jobRetentionMs: config.load.jobRetentionMs,
    },
    clock,
    logger,
  });
  const seat = new LeaderSeat({
    consensus,
    coordinator,
    duties,
    ring,
    state,
    network,
    commit,
    clusterId: cluster.membership.clusterId,
    founder: cluster.announcement,
    clock,
    logger,
    onElected: () => {
      metrics.raftElection();
    },
  });
  closer.add('leadership', () => seat.close());
  return { coordinator, times };
}

function countFiles(metrics: Context['metrics'], counters: Readonly<Record<string, number>>): void {
  for (const outcome of ['loaded', 'skipped', 'failed', 'filtered'] as const) {
    metrics.loadFiles(outcome, counters[`${outcome}Files`] ?? 0);
  }
}

function openExecutor(
  { local, cluster, limits, metrics, closer, logger }: Context,
  link: OwnerLink,
): Executor {
  const { state, consensus, endpointOf, frees } = cluster;
  const executor = new Executor({
    store: local.store,
    catalog: local.catalog,
    loader: local.loader,
    leader: link,
    clock: local.clock,
    logger,
    limits: limits.owner,
    generation: local.identity.generation,
    whenFreed: (path, afterFree, signal) => frees.whenMayStore({ path, afterFree }, signal),
    currentTerm: () => consensus.status().term,
    endpointOf,
    toldAt: (peer, key) => link.toldAt(peer, key),
    sumOf,
    runOf: (jobId) => {
      const record = state.current.jobs.get(jobId);
      return record && { run: record.run, active: isActiveState(record.state) };
    },
    onRefused: () => {
      metrics.batchRefused();
    },
  });
  state.onChange(() => {
    executor.sweep();
  });
  closer.add('executor', () => {
    executor.close();
  });
  return executor;
}
