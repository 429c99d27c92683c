/** Load jobs on this peer: the owner's executor, and what runs while it leads. */
import type { Logger } from '../base/logger.ts';
import type { Command } from '../cluster/commands.ts';
import { isActiveState } from '../cluster/job-record.ts';
import { Coordinator } from '../job/coordinator.ts';
import { Executor } from '../job/executor.ts';
import { FailureFile } from '../job/io/failure-file.ts';
import type { Metrics } from '../obs/metrics.ts';
import type { Closer } from './closer.ts';
import type { ClusterParts } from './cluster-parts.ts';
import { LeaderDuties } from './leader-duties.ts';
import { LeaderSeat } from './leader-seat.ts';
import { ownerLimits, runLimits } from './limits.ts';
import type { LocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';
import { OwnerLink } from './owner-link.ts';
import type { RepairParts } from './repair-parts.ts';
import { systemClock, systemRandom } from './system.ts';

type Context = NodeOptions & {
  readonly local: LocalParts;
  readonly cluster: ClusterParts;
  readonly repair: RepairParts;
  readonly closer: Closer;
  readonly logger: Logger;
};

export function openJobParts(context: Context): { readonly coordinator: Coordinator } {
  const { cluster, closer, metrics } = context;
  const { self, network, state, consensus, ring, proposer } = cluster;
  const { config } = context.loaded;
  const { logger } = context;
  const commit = async (command: Command): Promise<void> => {
    await proposer.commitAsLeader(command);
    if (command.kind === 'job.finish') countFiles(metrics, command.checkpoint.counters);
  };
  const link = new OwnerLink(self, network);
  const executor = openExecutor(context, link);
  const coordinator = new Coordinator({
    stores: context.local.stores,
    owners: link,
    commit,
    failuresOf: (jobId) => new FailureFile(config.peer.dataDir, jobId, logger),
    limits: runLimits(config.load),
    clock: systemClock,
    random: systemRandom(),
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
    clock: systemClock,
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
    clock: systemClock,
    logger,
    onElected: () => {
      metrics.raftElection();
    },
  });
  closer.add('leadership', () => seat.close());
  return { coordinator };
}

function countFiles(metrics: Metrics, counters: Readonly<Record<string, number>>): void {
  for (const outcome of ['loaded', 'skipped', 'failed', 'filtered'] as const) {
    metrics.loadFiles(outcome, counters[`${outcome}Files`] ?? 0);
  }
}

function openExecutor(
  { local, cluster, loaded, closer, logger }: Context,
  link: OwnerLink,
): Executor {
  const { state, consensus, endpointOf } = cluster;
  const executor = new Executor({
    store: local.store,
    catalog: local.catalog,
    loader: local.loader,
    leader: link,
    clock: systemClock,
    logger,
    limits: ownerLimits(loaded.config.load),
    generation: local.identity.generation,
    currentTerm: () => consensus.status().term,
    endpointOf,
    runOf: (jobId) => {
      const record = state.current.jobs.get(jobId);
      return record && { run: record.run, active: isActiveState(record.state) };
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
