/** One simulated peer: the real executor, loader and coordinator over memory twins. */
import type { ManualClock } from '../../../src/base/clock.ts';
import { sleep } from '../../../src/base/clock.ts';
import { RingloadError, toRingloadError } from '../../../src/base/errors.ts';
import type { PeerId, Term } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { Random } from '../../../src/base/random.ts';
import { nativeCrc32c } from '../../../src/cache/io/native-crc32c.ts';
import { MemoryFileCatalog } from '../../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
import type { ClusterState } from '../../../src/cluster/cluster-state.ts';
import type { Command } from '../../../src/cluster/commands.ts';
import { isActiveState } from '../../../src/cluster/job-record.ts';
import type { DataPlane, FillCommand, FillResult } from '../../../src/data/data-plane.ts';
import { Checksummer } from '../../../src/data/io/checksummer.ts';
import { sumOf } from '../../../src/data/io/extra-sum.ts';
import { SegmentLoader } from '../../../src/data/segment-loader.ts';
import { newMutes } from '../../data/support.ts';
import { Coordinator } from '../../../src/job/coordinator.ts';
import { Executor, type ExecutorLimits } from '../../../src/job/executor.ts';
import type { RunLimits } from '../../../src/job/run-contract.ts';
import type { LeaderTransport, OwnerTransport } from '../../../src/job/protocol.ts';
import type { MemoryUnderStore } from '../../../src/ufs/memory-under-store.ts';

export interface SimNetwork {
  /** The peer behind a data endpoint, if it can be reached from `from` now. */
  peerAt(from: PeerId, endpoint: string): SimPeer | undefined;
  readonly owners: (from: PeerId) => OwnerTransport;
  readonly leader: (from: PeerId) => LeaderTransport;
  readonly fillMs: () => number;
}

export interface SimPeerOptions {
  readonly id: PeerId;
  readonly clock: ManualClock;
  readonly random: Random;
  readonly under: MemoryUnderStore;
  readonly network: SimNetwork;
  readonly state: () => ClusterState;
  readonly term: () => Term;
  readonly commit: (from: SimPeer, command: Command) => Promise<void>;
  readonly runLimits: RunLimits;
  readonly executorLimits: ExecutorLimits;
}

export function endpointOf(id: PeerId): string {
  return `http://${id}`;
}

export class SimPeer {
  readonly id: PeerId;
  generation = 0;
  alive = false;
  store = newStore();
  catalog = new MemoryFileCatalog();
  /** What the last wipe took away, and when: nobody can know of it at once. */
  wiped: { readonly store: MemorySegmentStore; readonly atMs: number } | undefined;
  /** The replicated state as far as this peer has applied it. */
  seen: ClusterState;
  loader!: SegmentLoader;
  executor!: Executor;
  coordinator!: Coordinator;
  readonly #options: SimPeerOptions;

  constructor(options: SimPeerOptions) {
    this.id = options.id;
    this.#options = options;
    this.seen = options.state();
  }

  start(): void {
    const { clock, random, under, network, commit, runLimits, executorLimits } = this.#options;
    this.generation += 1;
    this.alive = true;
    this.seen = this.#options.state();
    const stores = { storeOf: () => under, mounts: ['s3://b'] };
    this.loader = new SegmentLoader({
      store: this.store,
      plane: this.#plane(),
      mutes: newMutes(clock),
      logger: silentLogger,
    });
    this.executor = new Executor({
      store: this.store,
      catalog: this.catalog,
      loader: this.loader,
      leader: network.leader(this.id),
      clock,
      logger: silentLogger,
      limits: executorLimits,
      generation: this.generation,
      currentTerm: this.#options.term,
      endpointOf,
      sumOf,
      runOf: (jobId) => {
        const record = this.seen.jobs.get(jobId);
        return record && { run: record.run, active: isActiveState(record.state) };
      },
    });
    this.coordinator = new Coordinator({
      stores,
      owners: network.owners(this.id),
      commit: (command) => commit(this, command),
      failuresOf: () => ({ append: () => undefined }),
      limits: runLimits,
      runningMaxCount: 10,
      clock,
      random,
      logger: silentLogger,
    });
  }

  crash(how: 'keeps all' | 'loses leases' | 'wiped'): void {
    this.alive = false;
    this.executor.close();
    this.coordinator.resign();
    if (how === 'wiped') {
      this.wiped = { store: this.store, atMs: this.#options.clock.nowMs() };
      this.store = newStore();
      this.catalog = new MemoryFileCatalog();
    } else if (how === 'loses leases') {
      for (const holder of this.store.leaseHolders()) this.store.releaseLease(holder);
    }
  }

  #plane(): DataPlane {
    const { store } = this;
    const fill = (command: FillCommand, signal: AbortSignal): Promise<FillResult> =>
      this.#fill(store, command, signal);
    return { fill, close: () => Promise.resolve() };
  }

  async #fill(
    store: MemorySegmentStore,
    command: FillCommand,
    signal: AbortSignal,
  ): Promise<FillResult> {
    const { clock, network } = this.#options;
    const { extent } = command;
    const sums = new Checksummer(extent.lengthBytes);
    let receivedBytes = 0;
    try {
      for await (const chunk of this.#open(command, signal)) {
        command.trail?.begin({ path: '', offset: 0 }, () => undefined);
        await sleep(clock, network.fillMs(), signal);
        sums.update(chunk);
        await store.write(extent, receivedBytes, chunk);
        receivedBytes += chunk.length;
      }
    } catch (thrown) {
      const { code, message } = toRingloadError(signal.aborted ? signal.reason : thrown);
      throw new RingloadError(code, message, { details: { receivedBytes } });
    }
    return { ...sums.result(), lengthBytes: extent.lengthBytes, receivedBytes };
  }

  /** What the source fetches is there when that was judged good and stored, or never. */
  async #follow(source: SimPeer, key: SegmentKey, signal: AbortSignal): Promise<void> {
    const following = source.loader.follow(key);
    if (!following) return;
    try {
      await following.judged;
      while (source.loader.isLoading(key)) await sleep(this.#options.clock, 1, signal);
    } finally {
      following.close();
    }
  }

  async *#open({ source }: FillCommand, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { network, under } = this.#options;
    if (source.kind === 'ufs') {
      yield* under.readRange(source.range, signal);
      return;
    }
    const peer = network.peerAt(this.id, source.endpoint);
    if (!peer) throw new RingloadError('peer_unreachable', `${source.endpoint} does not answer`);
    if (source.follows === true) await this.#follow(peer, source.key, signal);
    const reader = await peer.store.open(source.key);
    if (!reader) throw new RingloadError('not_found', 'the peer does not hold the segment');
    try {
      yield* reader.read(0, source.lengthBytes);
    } finally {
      reader.close();
    }
  }
}

function newStore(): MemorySegmentStore {
  return new MemorySegmentStore({ capacityBytes: 64 * 1024 * 1024, crc32c: nativeCrc32c });
}
