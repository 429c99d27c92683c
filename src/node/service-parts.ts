/** What clients see of this peer: files, jobs, the cluster, health and metrics, over HTTP. */
import { randomUUID } from 'node:crypto';
import type { ChangeMarks } from '../base/change-marks.ts';
import { withTimeout } from '../base/clock.ts';
import { jobId as asJobId, type PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { createHttpApp } from '../http/app.ts';
import type { HttpServices } from '../http/services.ts';
import type { Coordinator } from '../job/coordinator.ts';
import type { RunTimes } from '../job/run-times.ts';
import { failureListPath } from '../job/io/failure-file.ts';
import { FileReader } from '../read/file-reader.ts';
import { HotCopies } from '../read/hot-copies.ts';
import { keyOf, segmentLengthOf, type SegmentSlice } from '../read/segment-slice.ts';
import { SegmentSources } from '../read/segment-sources.ts';
import { SourceChoice } from '../read/source-choice.ts';
import type { WrittenPaths } from '../read/written-paths.ts';
import { NodeCacheService } from './cache-service.ts';
import type { Closer } from './closer.ts';
import { NodeClusterService } from './cluster-service.ts';
import type { ClusterParts } from './form-cluster.ts';
import { NodeHealthService } from './health-service.ts';
import { NodeJobService } from './job-service.ts';
import { DrainAwareCatalog } from './draining.ts';
import { RetentionKeeper } from './keep-retention.ts';
import type { OpenedLocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';
import type { RepairParts } from './repair-parts.ts';
import { ResidenceService } from './residence-service.ts';
import type { RestPort } from './rest-port.ts';
import type { ReadLink } from './read-link.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { RulesInForce } from './rules-in-force.ts';
import { VerifyHere } from './verify-here.ts';
import { VerifyService } from './verify-service.ts';

/** For one segment: readers come first. */
const HOT_COPY_TIMEOUT_MS = 60_000;

type Context = NodeOptions & {
  readonly local: OpenedLocalParts;
  readonly cluster: ClusterParts & { readonly rest: RestPort };
  readonly coordinator: Coordinator;
  readonly times: RunTimes;
  readonly repair: RepairParts;
  readonly readLink: ReadLink;
  /** Whether all ports of clients are open. */
  readonly isOpen: () => boolean;
  readonly written: WrittenPaths;
  readonly closer: Closer;
  readonly logger: Logger;
};

export function openServices(context: Context): { files: FileReader; services: HttpServices } {
  const { local, cluster, metrics, logger, repair } = context;
  const { state, consensus, network, ring, self } = cluster;
  const { http, load } = context.loaded.config;
  const readState = () => state.current;
  const rules = new RulesInForce(readState, context.loaded.config.ufs.mounts);
  keepRetention(context, rules);
  const files = openFileReader(context, rules);
  const services: HttpServices = {
    jobs: openJobService(context, rules),
    cluster: new NodeClusterService({
      ...cluster,
      state: readState,
      store: local.store,
      catalog: local.catalog,
      repairReport: repair.report,
      clock: local.clock,
    }),
    files,
    cache: openCacheService(context, rules),
    health: new NodeHealthService({
      self,
      state: readState,
      leader: cluster.leader,
      store: local.store,
      isOpen: context.isOpen,
    }),
    metrics,
    limits: {
      bodyMaxBytes: http.bodyMaxBytes,
      queryMaxBytes: http.queryMaxBytes,
      defaultSegmentSizeBytes: load.segmentSizeBytes,
    },
  };
  const app = createHttpApp(services, {
    logger,
    version: context.version,
    onExchange: (exchange) => {
      metrics.httpRequest(exchange);
    },
  });
  const answer = app.callback();
  cluster.rest.answerWith((request, response) => void answer(request, response));
  metrics.watch({
    cache: () => local.store.usage(),
    raft: () => consensus.status(),
    members: () => [...state.current.members.values()],
    links: () => network.links(),
    jobs: () => [...state.current.jobs.values()],
    ring: () => ({ epoch: state.current.epoch, share: ring.ring().shares().get(self) ?? 0 }),
    repair: () => ({ copiedSegmentCount: repair.copiedSegmentCount() }),
  });
  return { files, services };
}

function openJobService(context: Context, rules: RulesInForce): NodeJobService {
  const { local, cluster, coordinator, times, readLink, repair } = context;
  const { config } = context.loaded;
  const { self, network, ring, endpointOf } = cluster;
  const { store, loader, catalog, stores } = local;
  const verifier = new VerifyService({
    ...{ self, network, readLink, catalog, ring, stores },
    here: new VerifyHere({ store, loader, endpointOf }),
    jobOrder: repair.jobOrder,
    isFreed: (record) => cluster.frees.isFreed(record),
    clock: local.clock,
  });
  return new NodeJobService({
    ...cluster,
    isSkipped: (path) => rules.freshnessOf(path) === 'skip',
    verifier,
    coordinator,
    times,
    stores: local.stores,
    state: () => cluster.state.current,
    clock: local.clock,
    newJobId: () => asJobId(randomUUID()),
    activeMaxCount: config.load.maxActiveJobs,
    segmentMaxBytes: config.cache.regionSizeBytes,
    failureListOf: (jobId) => failureListPath(config.peer.dataDir, jobId),
  });
}

function keepRetention({ local, cluster, closer, logger }: Context, rules: RulesInForce): void {
  const { state, ring, self } = cluster;
  const keeper = new RetentionKeeper({
    store: local.store,
    state,
    book: () => rules.book,
    share: () => ring.ring().shares().get(self) ?? 0,
    clock: local.clock,
    logger,
  });
  closer.add('retention', () => {
    keeper.close();
  });
}

function openCacheService(context: Context, rules: RulesInForce): NodeCacheService {
  const { local, cluster, readLink, repair, loaded, closer, logger } = context;
  const state = () => cluster.state.current;
  const residence = new ResidenceService({
    ...{ readLink, state: cluster.state, proposer: cluster.proposer, logger },
    ...{ generation: local.identity.generation, jobOrder: repair.jobOrder },
    ...{ self: cluster.self, network: cluster.network, ring: cluster.ring },
    ...{ catalog: local.catalog, store: local.store, stores: local.stores, clock: local.clock },
    segmentSizeBytes: loaded.config.load.segmentSizeBytes,
  });
  closer.add('frees', () => {
    residence.close();
  });
  return new NodeCacheService({
    ...{ proposer: cluster.proposer, residence, rules, state },
    ...{ stores: local.stores, clock: local.clock },
  });
}

function openHotCopies({
  local,
  cluster,
  loaded,
  closer,
  logger,
}: Pick<Context, 'local' | 'cluster' | 'loaded' | 'closer' | 'logger'>): HotCopies {
  const { ring, endpointOf, self } = cluster;
  const ownersOf = ({ record, index }: SegmentSlice): readonly PeerId[] => {
    const { path, segmented, replicaCount } = record;
    return ring.readPlacement().ownersOf({ path, index, segmented }, replicaCount);
  };
  const hot = new HotCopies({
    store: local.store,
    copy: async (slice) => {
      const request = {
        ...{ key: keyOf(slice), lengthBytes: segmentLengthOf(slice) },
        fileSizeBytes: slice.record.sizeBytes,
        peerEndpoints: ownersOf(slice).flatMap((peer) => endpointOf(peer) ?? []),
        allowUfs: false,
      };
      const load = (signal: AbortSignal) => local.loader.load(request, signal);
      await withTimeout(local.clock, HOT_COPY_TIMEOUT_MS, load);
    },
    isOwner: (slice) => ownersOf(slice).includes(self),
    budgetBytes: loaded.config.cache.hotCopiesBytes,
    clock: local.clock,
    logger,
  });
  closer.add('hot copies', () => {
    hot.close();
  });
  return hot;
}

/** Which record a path has, and how far it is trusted, is also a matter of members, rules, frees. */
function raiseWithCluster(state: ReplicatedState, marks: ChangeMarks): void {
  let { epoch, members, rules, lastFree } = state.current;
  state.onChange((next) => {
    const isSameRing = next.epoch === epoch && next.members === members;
    if (isSameRing && next.rules === rules && next.lastFree === lastFree) return;
    ({ epoch, members, rules, lastFree } = next);
    marks.raiseAll();
  });
}

function openFileReader(
  { local, cluster, readLink, written, loaded, metrics, closer, logger }: Context,
  rules: RulesInForce,
): FileReader {
  const { store, loader, stores } = local;
  const { ring, frees } = cluster;
  const placement = () => ring.readPlacement();
  const choice = new SourceChoice({ clock: local.clock, random: local.random() });
  cluster.network.onLinkChange(({ peerId, connected }) => {
    if (connected) choice.isAlive(peerId);
  });
  raiseWithCluster(cluster.state, local.marks);
  const hot = openHotCopies({ local, cluster, loaded, closer, logger });
  const sources = new SegmentSources({
    store,
    loader,
    stores,
    network: readLink,
    choice,
    placement,
    clock: local.clock,
    logger,
    onServed: (from, bytes, slice, count) => {
      if (from !== 'ufs') hot.served(from, slice, bytes);
      metrics.cacheRequest(from === 'local' ? 'hit' : from === 'peer' ? 'peer' : 'miss', count);
    },
    onTrouble: (trouble) => {
      metrics.readTrouble(trouble);
    },
  });
  const { load, ufs } = loaded.config;
  const files = new FileReader({
    catalog: new DrainAwareCatalog({
      catalog: local.catalog,
      drainingPeers: () => ring.drainingPeers(),
      recordAt: (peer, path) => readLink.recordAt(peer, path),
    }),
    stores,
    sources,
    written,
    network: readLink,
    placement,
    segmentSizeBytes: load.segmentSizeBytes,
    statTimeoutMs: ufs.listTimeoutMs,
    freshnessOf: (path) => rules.saidOf(path),
    isFreed: (record) => frees.isFreed(record),
    metadataMaxAgeMs: ufs.metadataMaxAgeMs,
    marks: local.marks,
    recycle: (chunk) => {
      store.recycle(chunk);
    },
    clock: local.clock,
  });
  frees.onFree((path) => {
    files.forgetBelow(path);
  });
  return files;
}
