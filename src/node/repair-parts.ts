/** Repair on this peer: the repairer, and what other peers' repairers ask of it. */
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import { isActiveState } from '../cluster/job-record.ts';
import { keyOf } from '../repair/plan-copies.ts';
import type { CopyOrder, RepairNetwork } from '../repair/repair-network.ts';
import { Repairer, type RepairStatus } from '../repair/repairer.ts';
import type { Closer } from './closer.ts';
import type { ClusterParts } from './cluster-parts.ts';
import type { LocalParts } from './local-parts.ts';
import type { ReadLink } from './read-link.ts';
import { systemClock } from './system.ts';

const COPY = 'repair.copy';
const HAND_OVER = 'repair.handOver';
export const REPAIR_STATUS = 'repair.status';
const COPY_DEADLINE_MS = 300_000;
const DEADLINE_MS = 10_000;
const SETTLE_DELAY_MS = 1000;

interface Context {
  readonly local: LocalParts;
  readonly cluster: ClusterParts;
  readonly readLink: ReadLink;
  readonly closer: Closer;
  readonly logger: Logger;
}

export function openRepairParts(context: Context): Repairer {
  const { local, cluster, closer, logger } = context;
  const { self, state, ring, network } = cluster;
  const repairer = new Repairer({
    self,
    catalog: local.catalog,
    network: repairNetwork(context),
    placement: () => ring.repairPlacement(),
    isJobActive: (jobId) => {
      const job = state.current.jobs.get(jobId);
      return job !== undefined && isActiveState(job.state);
    },
    clock: systemClock,
    logger,
    settleDelayMs: SETTLE_DELAY_MS,
  });
  closer.add('repair', () => {
    repairer.close();
  });
  let seen = '';
  state.onChange(({ epoch, jobs }) => {
    const active = [...jobs.values()].filter((job) => isActiveState(job.state)).length;
    const now = `${String(epoch)} ${String(active)}`;
    if (now !== seen) repairer.request();
    seen = now;
  });
  network.onRequest(REPAIR_STATUS, (): Promise<RepairStatus> => Promise.resolve(repairer.status));
  network.onRequest(HAND_OVER, async (_from, payload) => {
    if (await takeOver(local.catalog, payload as readonly FileRecord[])) repairer.request();
    return null;
  });
  network.onRequest(COPY, (_from, payload) => copyHere(context, payload as CopyOrder));
  return repairer;
}

function repairNetwork({ cluster, readLink, local }: Context): RepairNetwork {
  const { network, self } = cluster;
  return {
    holds: (peer, keys) => readLink.holds(peer, keys),
    copy: (peer, order) =>
      peer === self
        ? copyHere({ local, cluster }, order)
        : (network.request(peer, COPY, order, COPY_DEADLINE_MS) as Promise<number>),
    handOver: async (peer: PeerId, records) => {
      await network.request(peer, HAND_OVER, records, DEADLINE_MS);
    },
  };
}

/** True when any of the records was news. */
async function takeOver(catalog: FileCatalog, records: readonly FileRecord[]): Promise<boolean> {
  const news: FileRecord[] = [];
  for (const record of records) {
    const known = await catalog.get(record.path);
    const isNewer = !known || (known.version !== record.version && known.mtimeMs < record.mtimeMs);
    const wantsMore = known?.version === record.version && known.replicaCount < record.replicaCount;
    if (isNewer || wantsMore) news.push(record);
  }
  if (news.length > 0) await catalog.putAll(news);
  return news.length > 0;
}

/** Copies one after the other, from peers only; counts what is there at the end. */
async function copyHere(
  { local, cluster }: Pick<Context, 'local' | 'cluster'>,
  order: CopyOrder,
): Promise<number> {
  const { record, indexes, sources } = order;
  const peerEndpoints = sources.flatMap((peer) => cluster.endpointOf(peer) ?? []);
  let copied = 0;
  for (const index of indexes) {
    const start = index * record.segmentSizeBytes;
    const lengthBytes = Math.min(record.segmentSizeBytes, record.sizeBytes - start);
    const request = {
      key: keyOf(record, index),
      lengthBytes,
      fileSizeBytes: record.sizeBytes,
      peerEndpoints,
      allowUfs: false,
    };
    try {
      await local.loader.load(request, AbortSignal.timeout(COPY_DEADLINE_MS / indexes.length));
      copied += 1;
    } catch {
      // Why: the next round sees what is still missing; one lost segment must not stop the rest.
    }
  }
  return copied;
}
