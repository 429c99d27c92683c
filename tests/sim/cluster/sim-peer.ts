/**
 * One peer across the lives of its process, made of the parts and the wiring of production over a
 * simulated network, disks and time.
 */
import { toRingloadError } from '../../../src/base/errors.ts';
import { jobId, peerId, type JobId, type PeerId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import { openFileSegmentStore } from '../../../src/cache/io/open-file-segment-store.ts';
import { StreamDataPlane } from '../../../src/data/io/stream-data-plane.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
import { MuteEndpoints } from '../../../src/data/mute-endpoints.ts';
import { Announcer } from '../../../src/node/announcer.ts';
import { Closer } from '../../../src/node/closer.ts';
import { NodeClusterService } from '../../../src/node/cluster-service.ts';
import { DrainAwareLoader } from '../../../src/node/draining.ts';
import { formCluster, type ClusterParts, type LinkRules } from '../../../src/node/form-cluster.ts';
import { releaseGoneLeases } from '../../../src/node/gone-leases.ts';
import type { Identity } from '../../../src/node/identity.ts';
import { openJobParts } from '../../../src/node/job-parts.ts';
import { NodeJobService } from '../../../src/node/job-service.ts';
import type { LocalParts } from '../../../src/node/local-parts.ts';
import { openSegment } from '../../../src/node/open-segment.ts';
import { ReadLink } from '../../../src/node/read-link.ts';
import { openRepairParts, type RepairParts } from '../../../src/node/repair-parts.ts';
import type { MemoryPeerHub } from '../../../src/peer/memory-peer-network.ts';
import { WalLogStorage } from '../../../src/raft/wal-log-storage.ts';
import { Chance } from '../raft/chance.ts';
import { SimDisk } from '../raft/sim-disk.ts';
import { SimCacheDisk } from './cache-disk.ts';
import { SimDataClient, type DataEndpoint } from './data-network.ts';
import { tellingOfFills, whenStored } from './followed-fills.ts';
import { Life } from './life.ts';
import { ObservedNetwork } from './observed-network.ts';
import { ObservedState } from './observed-state.ts';
import { CACHE_DIRECTORY, REGION_BYTES, type SimConfig } from './sim-config.ts';
import { DurableCatalog, SimCatalog } from './sim-catalog.ts';
import { openReading, type Reading } from './sim-reader.ts';
import type { World } from './world.ts';

/** A started process, as far as it has got. */
export interface Running {
  readonly life: Life;
  store: FileSegmentStore | undefined;
  endpoint: DataEndpoint | undefined;
  services: Services | undefined;
}

export interface Services extends Reading {
  readonly cluster: ClusterParts;
  readonly jobs: NodeJobService;
  readonly admin: NodeClusterService;
  readonly repair: RepairParts;
  readonly catalog: SimCatalog;
}

export interface SimPeerOptions {
  readonly world: World;
  readonly hub: MemoryPeerHub;
  readonly config: SimConfig;
  readonly index: number;
  readonly regionCount: number;
  readonly join: readonly string[];
  readonly peerAt: (address: string) => SimPeer | undefined;
}

const STALL_TIMEOUT_MS = 3000;
const STOP_MAX_MS = 10_000;

export class SimPeer {
  readonly id: PeerId;
  readonly address: string;
  readonly raftDisk = new SimDisk();
  cacheDisk: SimCacheDisk;
  readonly catalog = new DurableCatalog();
  identity: Identity;
  running: Running | undefined;
  /** Removed, or its disk is lost: it does not come back. */
  isRetired = false;
  wallOffsetMs = 0;
  /** Its cache is gone, and it has not started since. */
  isWiped = false;
  /** What the last wipe took away, and when. */
  wiped: { readonly names: ReadonlySet<string>; readonly atMs: number } | undefined;
  /** Segments that were resident when the process ended: those that have to be there again. */
  residentAtEnd: ReadonlySet<string> = new Set();
  readonly #options: SimPeerOptions;
  readonly #chance: Chance;
  readonly #clockRate: number;

  constructor(options: SimPeerOptions) {
    const { index, world } = options;
    this.id = peerId(`00000000-0000-4000-8000-00000000000${index.toString(16)}`);
    this.address = `p${index}`;
    this.identity = { peerId: this.id, generation: 0 };
    this.#options = options;
    this.cacheDisk = this.#newCacheDisk();
    this.#chance = new Chance(world.seed, 100 + index);
    this.#clockRate = this.#chance.between(0.97, 1.03);
  }

  get isUp(): boolean {
    return this.running !== undefined;
  }

  get isPaused(): boolean {
    return this.running?.life.isPaused === true;
  }

  get services(): Services | undefined {
    return this.running?.services;
  }

  start(): void {
    if (this.running || this.isRetired) return;
    const { world } = this.#options;
    const life = new Life({
      time: world.time,
      clockRate: this.#clockRate,
      wallOffsetMs: () => this.wallOffsetMs,
      onFuse: () => {
        this.crash(this.#chance.hit(0.5));
      },
    });
    const running: Running = { life, store: undefined, endpoint: undefined, services: undefined };
    this.running = running;
    this.isWiped = false;
    this.identity = { ...this.identity, generation: this.identity.generation + 1 };
    world.say(`${this.address} starts, generation ${this.identity.generation}`);
    this.#open(running).catch((thrown: unknown) => {
      if (life.isOver) return;
      const { code, message } = toRingloadError(thrown);
      world.violated('start', `${this.address} does not start: ${code}: ${message}`);
    });
  }

  /** @param isPowerCut what was not synced is lost too. */
  crash(isPowerCut: boolean): void {
    const { running } = this;
    if (!running) return;
    const { world, hub } = this.#options;
    world.say(`${this.address} ${isPowerCut ? 'loses power' : 'is killed'}`);
    world.count(isPowerCut ? 'proc.powerCut' : 'proc.kill');
    if (running.store) this.residentAtEnd = this.#residentIn(running.store);
    running.life.end();
    this.running = undefined;
    hub.powerCut(this.address);
    if (!isPowerCut) return;
    this.raftDisk.crash(this.#chance);
    this.cacheDisk.powerCut(this.#chance);
  }

  /** The process ends, and its cache directory is empty when it starts again. */
  wipeCache(): void {
    if (!this.running) return;
    this.crash(false);
    this.isWiped = true;
    this.wiped = { names: this.residentAtEnd, atMs: this.#options.world.time.nowMs };
    this.residentAtEnd = new Set();
    this.cacheDisk = this.#newCacheDisk();
  }

  #newCacheDisk(): SimCacheDisk {
    return new SimCacheDisk((what, by) => {
      this.#options.world.count(what, by);
    });
  }

  /** Names of the segments that the model knows of and this peer holds, or held when it ended. */
  resident(): ReadonlySet<string> {
    const store = this.running?.store;
    return store ? this.#residentIn(store) : this.residentAtEnd;
  }

  #residentIn(store: FileSegmentStore): ReadonlySet<string> {
    return this.#options.world.history.residentIn(store);
  }

  async #open(running: Running): Promise<void> {
    const { world, config } = this.#options;
    const { life } = running;
    const { clock } = life;
    const logger = silentLogger;
    const closer = new Closer(logger);
    const store = await openFileSegmentStore({
      directories: [
        { path: CACHE_DIRECTORY, capacityBytes: this.#options.regionCount * REGION_BYTES },
      ],
      regionSizeBytes: REGION_BYTES,
      clock,
      logger,
      disk: this.cacheDisk.access(life, world.disks),
      roomWaitMs: 500,
    });
    world.history.reopened(this, store);
    running.store = store;
    const catalog = new SimCatalog(this.catalog, life, world.disks);
    const stores = world.ufs.storesFor(this.id, life);
    const client = this.#dataClient(life);
    const plane = tellingOfFills(new StreamDataPlane({ stores, peers: client, writer: store }));
    const mutes = new MuteEndpoints({ clock, waitMs: config.config.liveness.downAfterMs });
    const loader = new DrainAwareLoader({ store, plane, mutes, logger });
    running.endpoint = {
      address: this.address,
      life,
      open: async (request, signal) => {
        const following = request.fill ? undefined : loader.follow(request.key);
        if (following) {
          world.count('fills.followed');
          await whenStored(following, () => loader.isLoading(request.key), { clock, signal });
        }
        return openSegment(store, loader, request, signal);
      },
    };
    const local: LocalParts = {
      clock,
      random: () => this.#chance.random,
      identity: this.identity,
      catalog,
      store,
      stores,
      client,
      mutes,
      loader,
      dataServer: { port: 1, close: () => Promise.resolve() },
      cluster: { id: this.identity.membership?.clusterId },
    };
    const cluster = await this.#formCluster(running, local, closer);
    const readLink = new ReadLink({ ...local, ...cluster });
    loader.drainingEndpoints = () =>
      cluster.ring.drainingPeers().flatMap((peer) => cluster.endpointOf(peer) ?? []);
    const repair = openRepairParts({ local, cluster, readLink, closer, logger });
    const { coordinator, times } = openJobParts({
      ...{ local, cluster, repair, closer, logger },
      config: config.config,
      limits: { run: config.run, owner: config.owner },
      failuresOf: () => ({ append: () => undefined }),
      metrics: { loadFiles: ignore, raftElection: ignore, batchRefused: ignore },
    });
    releaseGoneLeases(store, cluster.state.current);
    const { announcement, proposer, state, consensus } = cluster;
    const announcer = new Announcer({ announcement, proposer, state, clock, logger });
    announcer.start();
    const shared = { ...cluster, state: () => state.current, clock };
    running.services = {
      cluster,
      repair,
      catalog,
      jobs: new NodeJobService({
        ...shared,
        coordinator,
        times,
        stores,
        verifier: { verify: () => Promise.resolve(nothingToVerify()) },
        newJobId: () => world.history.newJobId(),
        activeMaxCount: config.config.load.maxActiveJobs,
        segmentMaxBytes: REGION_BYTES,
        failureListOf: (job) => job,
      }),
      admin: new NodeClusterService({ ...shared, store, catalog, repairReport: repair.report }),
      ...openReading({ local, cluster, readLink, repair, config: config.config, closer }),
    };
    void Promise.race([consensus.failed, announcer.overtaken, cluster.twins.found]).then(
      (error) => {
        this.#failed(life, error);
      },
    );
    state.onChange(({ members }) => {
      if (members.get(this.id)?.state === 'left') this.retire(closer);
    });
  }

  /** The cluster has removed this peer: its process ends. */
  retire(closer?: Closer): void {
    if (this.isRetired) return;
    this.isRetired = true;
    const { time } = this.#options.world;
    // As a process does that is told to stop: in order, and at last anyhow.
    void closer?.close().then(() => {
      this.crash(false);
    });
    time.after(STOP_MAX_MS, () => {
      this.crash(false);
    });
  }

  async #formCluster(running: Running, local: LocalParts, closer: Closer): Promise<ClusterParts> {
    const { world, hub, config, join } = this.#options;
    const { life } = running;
    const openLinks = (rules: LinkRules): Promise<Awaited<ReturnType<typeof open>>> => open(rules);
    const open = async (rules: LinkRules) => {
      const links = hub.createNetwork({
        ...rules,
        identity: { id: this.id, generation: this.identity.generation },
        address: this.address,
        clock: life.clock,
        deliver: (arrive) => {
          life.deliver(arrive);
        },
        limits: {
          pingIntervalMs: config.config.liveness.pingIntervalMs,
          deadAfterMs: config.config.liveness.linkTimeoutMs,
        },
      });
      const network = new ObservedNetwork(links, this, world);
      return {
        network,
        announcement: {
          id: this.id,
          address: this.address,
          dataEndpoint: `http://${this.address}`,
          weight: 0.05,
          zone: '',
          capacityBytes: local.store.usage().capacityBytes,
          generation: this.identity.generation,
        },
      };
    };
    const cluster = await formCluster({
      config: config.config,
      joinAddresses: join,
      local,
      ground: {
        openLinks,
        openLog: () => Promise.resolve(new WalLogStorage(this.#raftFiles(life), silentLogger)),
        remember: (identity) =>
          new Promise((resolve) => {
            life.clock.setTimer(1, () => {
              this.identity = identity;
              resolve();
            });
          }),
      },
      state: new ObservedState(this, world),
      closer,
      logger: silentLogger,
      giveUp: new AbortController().signal,
    });
    world.history.formed(this, running, cluster);
    return cluster;
  }

  #raftFiles(life: Life) {
    const { world } = this.#options;
    return this.raftDisk.access({
      complete: (kind, complete) => {
        if (!life.begin()) return;
        const { syncMaxMs } = this.cacheDisk.weather;
        if (kind === 'quick') life.deliver(complete);
        else life.clock.setTimer(world.disks.between(0.1, syncMaxMs), complete);
      },
      isDead: () => life.isOver,
      shouldFailSync: () => false,
      liesAboutSync: false,
    });
  }

  #dataClient(life: Life): SimDataClient {
    const { world, peerAt, config } = this.#options;
    return new SimDataClient({
      world,
      address: this.address,
      life,
      endpointAt: (endpoint) => peerAt(endpoint.slice('http://'.length))?.running?.endpoint,
      headTimeoutMs: config.config.liveness.downAfterMs,
      stallTimeoutMs: STALL_TIMEOUT_MS,
    });
  }

  #failed(life: Life, error: Error): void {
    if (life.isOver) return;
    const { details, code, message } = toRingloadError(error);
    if (details['removed'] === true) {
      this.retire();
      return;
    }
    this.#options.world.violated('health', `${this.address} failed: ${code}: ${message}`);
  }
}

export function segmentName({ path, version, index }: SegmentKey): string {
  return `${path}@${version}#${index}`;
}

export function newIds(): () => JobId {
  let count = 0;
  return () => jobId(`job-${++count}`);
}

function ignore(): void {}

/** Certificates are not asked for here. */
async function* nothingToVerify(): AsyncGenerator<never> {}
