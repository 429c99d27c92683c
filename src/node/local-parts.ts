/** What a peer has on its own: time, identity, disks, its ways to under stores and other disks. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ChangeMarks } from '../base/change-marks.ts';
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { ClusterId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { LevelFileCatalog } from '../cache/io/level-file-catalog.ts';
import type { FileCatalog } from '../cache/file-catalog.ts';
import type { FileSegmentStore } from '../cache/io/file-segment-store.ts';
import { openFileSegmentStore } from '../cache/io/open-file-segment-store.ts';
import { openFileLimit } from '../config/open-file-limit.ts';
import { Bandwidth } from '../data/bandwidth.ts';
import { DemandCount } from '../data/demand-count.ts';
import type { PeerCopyOptions } from '../data/io/lanes/peer-copy.ts';
import { SegmentClient } from '../data/io/segment-client.ts';
import { startSegmentServer, type SegmentServer } from '../data/io/segment-server.ts';
import { limitStores } from '../data/limited-stores.ts';
import { MuteEndpoints } from '../data/mute-endpoints.ts';
import type { PeerSegments } from '../data/peer-segments.ts';
import { SlowDown } from '../data/slow-down.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { openUnderStores } from '../ufs/io/open-under-stores.ts';
import { lockCacheDirectories } from './cache-locks.ts';
import type { Closer } from './closer.ts';
import { dataToken } from './data-token.ts';
import { descriptorShares, type DescriptorShares } from './descriptor-shares.ts';
import { DrainAwareLoader } from './draining.ts';
import { startIdentity, type Identity } from './identity.ts';
import { mountConfigs, ufsLimitBps } from './limits.ts';
import { meterStores } from './metered-stores.ts';
import type { NodeOptions } from './node-options.ts';
import { openDataPlane } from './open-data-plane.ts';
import { openSegment } from './open-segment.ts';
import { randomWord, systemClock, systemRandom } from './system.ts';

export interface LocalParts {
  readonly clock: Clock;
  readonly random: () => Random;
  readonly identity: Identity;
  readonly catalog: FileCatalog;
  readonly store: FileSegmentStore;
  readonly stores: UnderStores;
  readonly client: PeerSegments;
  readonly mutes: MuteEndpoints;
  readonly loader: DrainAwareLoader;
  readonly dataServer: SegmentServer;
  /** Set once the peer belongs to a cluster: data endpoints prove membership with it. */
  readonly cluster: { id: ClusterId | undefined };
}

/** With what only a process of its own has. */
export interface OpenedLocalParts extends LocalParts {
  readonly descriptors: DescriptorShares;
  /** How other peers are asked by whatever reads from them. */
  readonly peerReads: PeerCopyOptions;
  readonly bandwidth: Bandwidth;
  readonly slowDown: SlowDown;
  /** What is done when an under store complains; replaced once there are others to tell. */
  readonly throttled: { tell: () => void };
  /** Raised by what changes in the catalogue and among the segments. */
  readonly marks: ChangeMarks;
}

const STALL_TIMEOUT_MS = 10_000;

/** @throws data_dir_locked, data_dir_foreign, data_corrupt, config_invalid, address_in_use */
export async function openLocalParts(
  options: NodeOptions,
  closer: Closer,
): Promise<OpenedLocalParts> {
  const { loaded, logger, env, metrics } = options;
  const { config } = loaded;
  const { dataDir } = config.peer;
  const descriptors = descriptorShares(openFileLimit());
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Why first: the catalogue's lock is the data directory's lock; nothing is touched before it.
  const marks = new ChangeMarks();
  marks.name(randomWord(), randomWord());
  const catalog = await LevelFileCatalog.open(join(dataDir, 'catalog'), logger, marks);
  closer.add('catalogue', () => catalog.close());
  const identity = await startIdentity(dataDir);
  const { directories, regionSizeBytes } = config.cache;
  const paths = directories.map(({ path }) => path);
  await lockCacheDirectories(paths, closer, logger);
  const demands = new DemandCount();
  const store = await openFileSegmentStore({
    directories,
    regionSizeBytes,
    openFileMaxCount: descriptors.regionFiles,
    // Why: what rules pin is not evicted before they are known again.
    awaitsRetention: true,
    marks,
    demands,
    clock: systemClock,
    logger,
  });
  closer.add('segment cache', () => store.close());
  const slowDown = new SlowDown(systemClock);
  const throttled: OpenedLocalParts['throttled'] = { tell: () => void slowDown.complain() };
  const mounted = await openUnderStores(mountConfigs(config.ufs, descriptors.underStore), {
    clock: systemClock,
    onThrottled: () => {
      throttled.tell();
    },
    random: systemRandom(),
    logger,
    env,
  });
  closer.add('under stores', () => mounted.close());
  const stores = meterStores(mounted, options.metrics, systemClock);
  const bandwidth = new Bandwidth(systemClock, ufsLimitBps(config.ufs));
  const cluster: LocalParts['cluster'] = { id: identity.membership?.clusterId };
  const token = tokenOf(options, cluster);
  const peers = {
    token,
    // Why: a peer that says nothing for so long is down; the copy is to be had elsewhere.
    headTimeoutMs: config.liveness.downAfterMs,
    stallTimeoutMs: STALL_TIMEOUT_MS,
  };
  const client = new SegmentClient({
    ...peers,
    socketMaxCount: Math.ceil(descriptors.readers / 2),
  });
  const limits = { descriptors, bandwidth, slowDown };
  const plane = openDataPlane(options, {
    store,
    stores,
    client,
    peers,
    demands,
    closer,
    ...limits,
  });
  closer.add('data plane', () => plane.close());
  const mutes = new MuteEndpoints({ clock: systemClock, waitMs: peers.headTimeoutMs });
  const loader = new DrainAwareLoader({
    ...{ store, plane, mutes, logger, demands },
    observe: observer(options),
  });
  const dataServer = await startSegmentServer({
    host: config.peer.host,
    port: config.peer.dataPort,
    token,
    open: (request, signal) => openSegment(store, loader, request, signal),
    marks,
    follow: (key) => loader.follow(key),
    onFollowed: (bytes) => {
      metrics.followed(bytes);
    },
    bounds: descriptors.peerGate,
    openFileMaxCount: Math.ceil(descriptors.servedFiles / 2),
    onRefused: () => {
      metrics.connectionRefused('data');
    },
    logger,
  });
  closer.add('data endpoint', () => dataServer.close());
  return {
    clock: systemClock,
    random: systemRandom,
    identity,
    catalog,
    store,
    stores: limitStores(stores, bandwidth),
    client,
    mutes,
    loader,
    dataServer,
    cluster,
    descriptors,
    peerReads: peers,
    bandwidth,
    slowDown,
    throttled,
    marks,
  };
}

function tokenOf(
  { loaded }: NodeOptions,
  cluster: LocalParts['cluster'],
): () => string | undefined {
  const { clusterSecret } = loaded.secrets;
  if (clusterSecret === undefined) return () => undefined;
  return () => {
    if (cluster.id === undefined) {
      throw new RingloadError('unauthenticated', 'this peer does not belong to a cluster yet');
    }
    return dataToken(clusterSecret, cluster.id);
  };
}

function observer({
  metrics,
}: {
  readonly metrics: NodeOptions['metrics'];
  readonly logger: Logger;
}) {
  return ({
    from,
    receivedBytes,
  }: {
    readonly from: 'ufs' | 'peer';
    readonly receivedBytes: number;
  }): void => {
    metrics.loadBytes(from, receivedBytes);
    if (from === 'ufs') metrics.ufsBytes(receivedBytes);
  };
}
