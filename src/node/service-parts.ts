/** What clients see of this peer: files, jobs, the cluster, health and metrics, over HTTP. */
import { randomUUID } from 'node:crypto';
import { jobId as asJobId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { createHttpApp } from '../http/app.ts';
import type { HttpServices } from '../http/services.ts';
import type { Coordinator } from '../job/coordinator.ts';
import type { RunTimes } from '../job/run-times.ts';
import { failureListPath } from '../job/io/failure-file.ts';
import { FileReader } from '../read/file-reader.ts';
import { SegmentSources } from '../read/segment-sources.ts';
import { SourceChoice } from '../read/source-choice.ts';
import { NodeCacheService } from './cache-service.ts';
import { NodeClusterService } from './cluster-service.ts';
import type { ClusterParts } from './form-cluster.ts';
import { NodeHealthService } from './health-service.ts';
import { NodeJobService } from './job-service.ts';
import { DrainAwareCatalog } from './draining.ts';
import type { LocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';
import type { RepairParts } from './repair-parts.ts';
import { ResidenceService } from './residence-service.ts';
import type { RestPort } from './rest-port.ts';
import type { ReadLink } from './read-link.ts';
import { RulesInForce } from './rules-in-force.ts';
import { VerifyHere } from './verify-here.ts';
import { VerifyService } from './verify-service.ts';

type Context = NodeOptions & {
  readonly local: LocalParts;
  readonly cluster: ClusterParts & { readonly rest: RestPort };
  readonly coordinator: Coordinator;
  readonly times: RunTimes;
  readonly repair: RepairParts;
  readonly readLink: ReadLink;
  readonly logger: Logger;
};

export function openServices(context: Context): { files: FileReader; services: HttpServices } {
  const { local, cluster, metrics, logger, repair } = context;
  const { state, consensus, network, ring, self } = cluster;
  const { http, load } = context.loaded.config;
  const readState = () => state.current;
  const rules = new RulesInForce(readState, context.loaded.config.ufs.mounts);
  const files = openFileReader(context, rules);
  const services: HttpServices = {
    jobs: openJobService(context),
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

function openJobService(context: Context): NodeJobService {
  const { local, cluster, coordinator, times, readLink, repair } = context;
  const { config } = context.loaded;
  const { self, network, ring, endpointOf } = cluster;
  const { store, loader, catalog, stores } = local;
  const verifier = new VerifyService({
    ...{ self, network, readLink, catalog, ring, stores },
    here: new VerifyHere({ store, loader, endpointOf }),
    jobOrder: repair.jobOrder,
    clock: local.clock,
  });
  return new NodeJobService({
    ...cluster,
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

function openCacheService(context: Context, rules: RulesInForce): NodeCacheService {
  const { local, cluster, readLink, repair, loaded } = context;
  const state = () => cluster.state.current;
  const residence = new ResidenceService({
    ...{ readLink, rules, state, jobOrder: repair.jobOrder },
    ...{ self: cluster.self, network: cluster.network, ring: cluster.ring },
    ...{ catalog: local.catalog, store: local.store, stores: local.stores, clock: local.clock },
    segmentSizeBytes: loaded.config.load.segmentSizeBytes,
  });
  return new NodeCacheService({
    ...{ proposer: cluster.proposer, residence, rules, state },
    ...{ stores: local.stores, clock: local.clock },
  });
}

function openFileReader(
  { local, cluster, readLink, loaded, metrics, logger }: Context,
  rules: RulesInForce,
): FileReader {
  const { store, loader, stores } = local;
  const { ring } = cluster;
  const placement = () => ring.readPlacement();
  const choice = new SourceChoice({ clock: local.clock, random: local.random() });
  cluster.network.onLinkChange(({ peerId, connected }) => {
    if (connected) choice.isAlive(peerId);
  });
  const sources = new SegmentSources({
    store,
    loader,
    stores,
    network: readLink,
    choice,
    placement,
    clock: local.clock,
    logger,
    onServed: (from) => {
      metrics.cacheRequest(from === 'local' ? 'hit' : from === 'peer' ? 'peer' : 'miss');
    },
    onTrouble: (trouble) => {
      metrics.readTrouble(trouble);
    },
  });
  const { load, ufs } = loaded.config;
  return new FileReader({
    catalog: new DrainAwareCatalog({
      catalog: local.catalog,
      drainingPeers: () => ring.drainingPeers(),
      recordAt: (peer, path) => readLink.recordAt(peer, path),
    }),
    stores,
    sources,
    network: readLink,
    placement,
    segmentSizeBytes: load.segmentSizeBytes,
    statTimeoutMs: ufs.listTimeoutMs,
    freshnessOf: (path) => rules.freshnessOf(path),
    metadataMaxAgeMs: ufs.metadataMaxAgeMs,
    recycle: (chunk) => {
      store.recycle(chunk);
    },
    clock: local.clock,
  });
}
