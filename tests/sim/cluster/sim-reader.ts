/** The reading side of a simulated peer, and its part in rules and frees, wired as production does. */
import { silentLogger } from '../../../src/base/logger.ts';
import { DrainAwareCatalog } from '../../../src/node/draining.ts';
import type { Closer } from '../../../src/node/closer.ts';
import type { ClusterParts } from '../../../src/node/form-cluster.ts';
import { RetentionKeeper } from '../../../src/node/keep-retention.ts';
import type { LocalParts } from '../../../src/node/local-parts.ts';
import type { ReadLink } from '../../../src/node/read-link.ts';
import type { RepairParts } from '../../../src/node/repair-parts.ts';
import { ResidenceService } from '../../../src/node/residence-service.ts';
import { NodeCacheService } from '../../../src/node/cache-service.ts';
import { RulesInForce } from '../../../src/node/rules-in-force.ts';
import { FileReader } from '../../../src/read/file-reader.ts';
import { SegmentSources } from '../../../src/read/segment-sources.ts';
import { SourceChoice } from '../../../src/read/source-choice.ts';
import type { SimConfig } from './sim-config.ts';

export interface ReadingParts {
  readonly local: LocalParts;
  readonly cluster: ClusterParts;
  readonly readLink: ReadLink;
  readonly repair: RepairParts;
  readonly config: SimConfig['config'];
  readonly closer: Closer;
}

export interface Reading {
  readonly reader: FileReader;
  readonly rules: RulesInForce;
  readonly cache: NodeCacheService;
}

export function openReading(parts: ReadingParts): Reading {
  const { local, cluster, readLink, repair, config, closer } = parts;
  const { state, ring, self, proposer } = cluster;
  const { store, stores, clock } = local;
  const rules = new RulesInForce(() => state.current, config.ufs.mounts);
  const keeper = new RetentionKeeper({
    ...{ store, state, clock, logger: silentLogger },
    book: () => rules.book,
    share: () => ring.ring().shares().get(self) ?? 0,
  });
  closer.add('retention', () => {
    keeper.close();
  });
  const residence = new ResidenceService({
    ...{ ...local, ...cluster, readLink, jobOrder: repair.jobOrder, logger: silentLogger },
    generation: local.identity.generation,
    segmentSizeBytes: config.load.segmentSizeBytes,
  });
  closer.add('frees', () => {
    residence.close();
  });
  const cache = new NodeCacheService({
    ...{ proposer, residence, rules, stores, clock },
    state: () => state.current,
  });
  return { reader: openReader(parts, rules), rules, cache };
}

function openReader(
  { local, cluster, readLink: network, config }: ReadingParts,
  rules: RulesInForce,
): FileReader {
  const { ring, frees } = cluster;
  const { store, loader, stores, clock } = local;
  const placement = () => ring.readPlacement();
  const choice = new SourceChoice({ clock, random: local.random() });
  cluster.network.onLinkChange(({ peerId, connected }) => {
    if (connected) choice.isAlive(peerId);
  });
  const reader = new FileReader({
    catalog: new DrainAwareCatalog({
      catalog: local.catalog,
      drainingPeers: () => ring.drainingPeers(),
      recordAt: (peer, path) => network.recordAt(peer, path),
    }),
    stores,
    sources: new SegmentSources({
      ...{ store, loader, stores, network, placement, choice, clock },
      logger: silentLogger,
    }),
    ...{ network, placement, clock },
    segmentSizeBytes: config.load.segmentSizeBytes,
    statTimeoutMs: config.ufs.listTimeoutMs,
    freshnessOf: (path) => rules.saidOf(path),
    isFreed: (record) => frees.isFreed(record),
  });
  frees.onFree((path) => {
    reader.forgetBelow(path);
  });
  return reader;
}
