/** Repair on this peer: the repairer, and what other peers' repairers ask of it. */
import { RingloadError } from '../base/errors.ts';
import type { JobId, PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState } from '../cluster/job-record.ts';
import { DamageWatch } from '../repair/damage-watch.ts';
import type { JobOrder } from '../repair/record-order.ts';
import type { CopyOrder, RepairNetwork } from '../repair/repair-network.ts';
import { Repairer } from '../repair/repairer.ts';
import { takeOver } from '../repair/take-over.ts';
import type { Closer } from './closer.ts';
import type { ClusterParts } from './form-cluster.ts';
import { copyHere, type CopyOptions } from './copy-here.ts';
import { REPAIR_STATUS, type RepairReport } from './order-watch.ts';
import type { LocalParts } from './local-parts.ts';
import type { ReadLink } from './read-link.ts';

const COPY = 'repair.copy';
const HAND_OVER = 'repair.handOver';
const LOOK = 'repair.look';
const COPY_DEADLINE_MS = 300_000;
const DEADLINE_MS = 10_000;
const SETTLE_DELAY_MS = 1000;

interface Context {
  readonly local: Pick<LocalParts, 'clock' | 'catalog' | 'loader' | 'store'>;
  readonly cluster: ClusterParts;
  readonly readLink: ReadLink;
  readonly closer: Closer;
  readonly logger: Logger;
}

export interface RepairParts {
  readonly repairer: Repairer;
  readonly report: () => RepairReport;
  readonly jobOrder: JobOrder;
  /** Segments that were copied to this peer since it started. */
  readonly copiedSegmentCount: () => number;
}

export function openRepairParts(context: Context): RepairParts {
  const { local, cluster, closer, logger } = context;
  const { self, state, ring, network, consensus, frees } = cluster;
  const jobOrder = jobOrderOf(() => state.current);
  const isFreed = (record: FileRecord): boolean => frees.isFreed(record);
  let copiedSegmentCount = 0;
  const copying = {
    loader: local.loader,
    endpointOf: cluster.endpointOf,
    deadlineMs: COPY_DEADLINE_MS,
    clock: local.clock,
    logger,
    mayStore: (record: FileRecord) => frees.mayStore(record) && !isFreed(record),
    onCopied: () => {
      copiedSegmentCount += 1;
    },
  };
  const repairer = new Repairer({
    self,
    catalog: local.catalog,
    network: repairNetwork(context, copying),
    placement: () => ring.repairPlacement(),
    isJobActive: (jobId) => {
      const job = state.current.jobs.get(jobId);
      return job !== undefined && isActiveState(job.state);
    },
    jobOrder,
    isFreed,
    clock: local.clock,
    logger,
    settleDelayMs: SETTLE_DELAY_MS,
  });
  closer.add('repair', () => {
    repairer.close();
  });
  network.onRequest(LOOK, async (_from, payload) => {
    repairer.request(payload as readonly string[]);
    return Promise.resolve(null);
  });
  watchDamage(context, repairer);
  let seen = '';
  state.onChange((current) => {
    const now = causesOf(current);
    if (now !== seen) repairer.request();
    seen = now;
  });
  const report = (): RepairReport => ({
    ...repairer.status,
    appliedIndex: consensus.status().appliedIndex,
  });
  network.onRequest(REPAIR_STATUS, () => Promise.resolve(report()));
  network.onRequest(HAND_OVER, async (_from, payload) => {
    const offered = payload as readonly FileRecord[];
    if (!offered.every((record) => frees.mayStore(record)))
      throw new RingloadError('overloaded', 'this peer has to let go of freed files first');
    const { taken, kept } = await takeOver(local.catalog, offered, jobOrder, isFreed);
    if (taken.length > 0) repairer.request(taken.map(({ path }) => path));
    return kept;
  });
  network.onRequest(COPY, (_from, payload) => copyHere(copying, payload as CopyOrder));
  return { repairer, report, jobOrder, copiedSegmentCount: () => copiedSegmentCount };
}

/** Copies that a read finds damaged come back from the other owners. */
function watchDamage({ local, cluster, closer, logger }: Context, repairer: Repairer): void {
  const { self, ring, network } = cluster;
  const watch = new DamageWatch({
    placement: () => ring.repairPlacement(),
    lookAt: async (home, paths) => {
      if (home === self) repairer.request(paths);
      else await network.request(home, LOOK, paths, DEADLINE_MS);
    },
    isHere: async (key) => (await local.store.lookup(key)) !== undefined,
    clock: local.clock,
    logger,
  });
  local.store.onDamaged = (key) => {
    watch.dropped(key);
  };
  closer.add('watch for damage', () => {
    watch.close();
  });
}

/**
 * What a walk is made for: a ring, the end of a job, a start of a member, which may have come back
 * without what it had (a new disk, a power cut), and a free that some member heard of so late that
 * it may have let go of what others count on.
 */
function causesOf({ epoch, jobs, members, frees }: ClusterState): string {
  const active = [...jobs.values()].filter((job) => isActiveState(job.state));
  const starts = [...members.values()].map(({ id, generation }) => `${id}/${String(generation)}`);
  const late = frees.filter(({ isOvertaken, waitsFor }) => isOvertaken && waitsFor.length === 0);
  const newest = `free ${String(late.at(-1)?.number ?? 0)}`;
  return [String(epoch), ...active.map(({ id }) => id), ...starts, newest].join(' ');
}

/** Jobs stand in replicated state in the order in which they were submitted. */
function jobOrderOf(state: () => ClusterState): JobOrder {
  let seen: ClusterState['jobs'] | undefined;
  let positions = new Map<JobId, number>();
  return (job) => {
    const { jobs } = state();
    if (jobs !== seen) {
      seen = jobs;
      positions = new Map([...jobs.keys()].map((id, position) => [id, position]));
    }
    return positions.get(job);
  };
}

function repairNetwork({ cluster, readLink }: Context, copying: CopyOptions): RepairNetwork {
  const { network, self } = cluster;
  return {
    holds: (peer, keys) => readLink.holds(peer, keys),
    copy: (peer, order) =>
      peer === self
        ? copyHere(copying, order)
        : (network.request(peer, COPY, order, COPY_DEADLINE_MS) as Promise<number>),
    handOver: (peer: PeerId, records) =>
      network.request(peer, HAND_OVER, records, DEADLINE_MS) as Promise<readonly FileRecord[]>,
  };
}
