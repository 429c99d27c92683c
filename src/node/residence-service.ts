/**
 * Freeing paths and looking at what is cached of them, as any peer offers it; and this peer's part
 * in what the others were asked for.
 */
import type { Clock } from '../base/clock.ts';
import type { PeerId } from '../base/ids.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState } from '../cluster/job-record.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import { mergeRecords, type JobOrder } from '../repair/record-order.ts';
import { checkPath } from '../residence/check-path.ts';
import { freeHere, type FreeingParts } from '../residence/free-here.ts';
import { freePath, type FreeRequest } from '../residence/free-path.ts';
import type { CheckEvent, FreedAmounts, FreeEvent, FreeStatus } from '../residence/report.ts';
import type { FreeOrder, ResidenceNetwork } from '../residence/residence-network.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { FreeBook } from './free-book.ts';
import type { ReadLink } from './read-link.ts';
import type { RingView } from './ring-view.ts';
import type { RulesInForce } from './rules-in-force.ts';

const FREE = 'cache.free';
const FREE_STATUS = 'cache.freeStatus';
/** All sidecars of a large cache are read for it. */
const FREE_DEADLINE_MS = 600_000;
const STATUS_DEADLINE_MS = 3000;

export interface ResidenceOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly readLink: ReadLink;
  readonly catalog: FileCatalog;
  readonly store: SegmentStore;
  readonly stores: UnderStores;
  readonly ring: RingView;
  readonly rules: RulesInForce;
  readonly state: () => ClusterState;
  readonly jobOrder: JobOrder;
  readonly segmentSizeBytes: number;
  readonly clock: Clock;
}

export class ResidenceService {
  readonly #options: ResidenceOptions;
  readonly #frees: FreeBook;

  constructor(options: ResidenceOptions) {
    const { network, clock } = options;
    this.#options = options;
    this.#frees = new FreeBook(clock);
    network.onRequest(FREE, (_from, payload) =>
      freeHere(this.#freeingParts(), payload as FreeOrder, new AbortController().signal),
    );
    network.onRequest(FREE_STATUS, (_from, payload) =>
      Promise.resolve(this.#frees.statusOf((payload as { path: string }).path) ?? null),
    );
  }

  /** @throws path_not_mounted */
  free(request: FreeRequest, signal: AbortSignal): AsyncGenerator<FreeEvent> {
    const { stores, ring } = this.#options;
    stores.storeOf(request.path);
    return freePath(request, this.#asNetwork(), ring.readPlacement(), signal);
  }

  /** Frees it without anybody waiting. One that runs already is answered as it is. */
  submitFree(request: FreeRequest): FreeStatus {
    const { path } = request;
    this.#options.stores.storeOf(path);
    return this.#frees.start(path, (signal) => this.free(request, signal));
  }

  /** The latest free of the path, on whichever peer it was submitted. */
  async freeStatus(path: string): Promise<FreeStatus | undefined> {
    const { network, ring, self } = this.#options;
    const { members, isReachable } = ring.readPlacement();
    const others = members.filter((peer) => peer !== self && isReachable(peer));
    const answers = await Promise.all(
      others.map((peer) =>
        network.request(peer, FREE_STATUS, { path }, STATUS_DEADLINE_MS).catch(() => null),
      ),
    );
    const known = [this.#frees.statusOf(path), ...(answers as (FreeStatus | null)[])];
    return known
      .flatMap((status) => status ?? [])
      .sort((a, b) => b.startedAtMs - a.startedAtMs)
      .at(0);
  }

  /** False: none runs that was submitted here. What peers were told already, they do. */
  stopFree(path: string): boolean {
    return this.#frees.stop(path);
  }

  /** @throws path_not_mounted */
  check(
    request: { readonly path: string; readonly asksStore: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<CheckEvent> {
    const { stores, ring, segmentSizeBytes, jobOrder } = this.#options;
    const store = stores.storeOf(request.path);
    const newestOf = (records: readonly FileRecord[]): FileRecord | undefined =>
      records.reduce<FileRecord | undefined>(
        (known, offered) => (known ? mergeRecords(known, offered, jobOrder) : offered),
        undefined,
      );
    return checkPath(
      {
        path: request.path,
        ...(request.asksStore && { store }),
        network: this.#asNetwork(),
        placement: ring.readPlacement(),
        segmentSizeBytes,
        newestOf,
      },
      signal,
    );
  }

  close(): void {
    this.#frees.close();
  }

  #asNetwork(): ResidenceNetwork {
    const { self, catalog, readLink, network } = this.#options;
    return {
      scan: (peer, request) =>
        peer === self ? catalog.scan(request) : readLink.listAt(peer, request),
      holds: (peer: PeerId, keys: readonly SegmentKey[]) => readLink.holds(peer, keys),
      free: (peer, order, signal) =>
        peer === self
          ? freeHere(this.#freeingParts(), order, signal)
          : (network.request(peer, FREE, order, FREE_DEADLINE_MS) as Promise<FreedAmounts>),
    };
  }

  #freeingParts(): FreeingParts {
    const { store, catalog, rules, state } = this.#options;
    return {
      store,
      catalog,
      isInUse: (path) => {
        for (const job of state().jobs.values())
          if (isActiveState(job.state) && isAtOrBelow(job.spec.path, path)) return true;
        return false;
      },
      isPinned: (path) => rules.book.effective(path).pinned === true,
    };
  }
}
