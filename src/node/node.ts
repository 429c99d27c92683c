/**
 * The composition root: takes a configuration, opens what touches the world, wires the parts, and
 * owns the order of start and stop. Nothing here decides anything.
 *
 * Start: lock and disks, data endpoint, REST port and links, membership and consensus, jobs,
 * routes, announcement. Stop: in reverse; leadership is handed over early, so that the others do
 * not wait for a timeout.
 */
import type { ClusterId, PeerId } from '../base/ids.ts';
import { FailureFile } from '../job/io/failure-file.ts';
import { WrittenPaths } from '../read/written-paths.ts';
import { Announcer } from './announcer.ts';
import { BandwidthLeases } from './bandwidth-leases.ts';
import { Closer } from './closer.ts';
import { openClusterParts } from './cluster-parts.ts';
import { releaseGoneLeases } from './gone-leases.ts';
import { openJobParts } from './job-parts.ts';
import { ownerLimits, runLimits } from './limits.ts';
import { openLocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';
import { ReadLink } from './read-link.ts';
import { openRepairParts } from './repair-parts.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { openServices } from './service-parts.ts';
import { openS3 } from './s3-parts.ts';
import { openWorkerPort } from './worker-parts.ts';
import { openWriteNews } from './write-parts.ts';
import { shareSlowDown } from './slow-down-news.ts';

export interface Node extends AsyncDisposable {
  readonly peerId: PeerId;
  readonly clusterId: ClusterId;
  /** `host:port` */
  readonly restAddress: string;
  readonly dataEndpoint: string;
  /** Where S3 clients are served; absent: nowhere. */
  readonly s3Endpoint?: string;
  /** Where Alluxio's Python clients ask, if that port is open. */
  readonly workerAddress?: string;
  /** Resolves when a part failed beyond repair: the process must end. */
  readonly failed: Promise<Error>;
  /** Resolves when the cluster has removed this peer: there is nothing left to do. */
  readonly removed: Promise<void>;
  stop(): Promise<void>;
}

/** @throws what keeps this peer from starting; whatever was opened is closed again. */
export async function createNode(options: NodeOptions): Promise<Node> {
  const closer = new Closer(options.logger);
  try {
    return await start(options, closer);
  } catch (error) {
    await closer.close();
    throw error;
  }
}

async function start(options: NodeOptions, closer: Closer): Promise<Node> {
  const local = await openLocalParts(options, closer);
  const logger = options.logger.child({ peer: local.identity.peerId });
  const cluster = await openClusterParts({ ...options, local, closer, logger });
  const written = new WrittenPaths(local.clock);
  const readLink = new ReadLink({ ...local, ...cluster, written });
  local.loader.drainingEndpoints = () =>
    cluster.ring.drainingPeers().flatMap((peer) => cluster.endpointOf(peer) ?? []);
  const repair = openRepairParts({ local, cluster, readLink, closer, logger });
  const { config } = options.loaded;
  const { coordinator, times } = openJobParts({
    ...{ local, cluster, repair, config, closer, logger },
    metrics: options.metrics,
    limits: { run: runLimits(config.load), owner: ownerLimits(config.load) },
    failuresOf: (jobId) => new FailureFile(config.peer.dataDir, jobId, logger),
  });
  // REST answers before the other ports are open, and must not call the peer ready until then.
  const ports = { areOpen: false };
  const { files, services } = openServices({
    isOpen: () => ports.areOpen,
    ...{ ...options, local, cluster, coordinator, times, readLink, repair, written },
    ...{ closer, logger },
  });
  const news = openWriteNews({ local, cluster, files, written, closer, logger });
  const s3Endpoint = await openS3({ ...options, local, files, news, closer, logger });
  const workerAddress = await openWorkerPort({ ...options, local, services, closer, logger });
  ports.areOpen = true;
  const { announcement, proposer, state, membership, consensus } = cluster;
  local.throttled.tell = shareSlowDown(local.slowDown, cluster.network);
  const leases = new BandwidthLeases({
    ...cluster,
    state: () => state.current,
    bandwidth: local.bandwidth,
    limits: config.ufs,
    clock: local.clock,
  });
  closer.add('bandwidth leases', () => {
    leases.close();
  });
  releaseGoneLeases(local.store, state.current);
  const announcer = new Announcer({ announcement, proposer, state, clock: local.clock, logger });
  announcer.start();
  closer.add('announcements', () => {
    announcer.close();
  });
  return {
    peerId: local.identity.peerId,
    clusterId: membership.clusterId,
    restAddress: announcement.address,
    dataEndpoint: announcement.dataEndpoint,
    ...(s3Endpoint !== undefined && { s3Endpoint }),
    ...(workerAddress !== undefined && { workerAddress }),
    failed: Promise.race([consensus.failed, announcer.overtaken, cluster.twins.found]),
    removed: Promise.race([removalOf(local.identity.peerId, state), cluster.twins.left]),
    stop: () => closer.close(),
    [Symbol.asyncDispose]: () => closer.close(),
  };
}

function removalOf(self: PeerId, state: ReplicatedState): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (state.current.members.get(self)?.state === 'left') resolve();
    };
    state.onChange(look);
    look();
  });
}
