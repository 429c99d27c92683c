/**
 * Freeing paths and looking at what is cached of them, as any peer offers it; and this peer's part
 * in what the others were asked for.
 */
import type { Clock } from '../base/clock.ts';
import type { PeerId } from '../base/ids.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { Logger } from '../base/logger.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import { mergeRecords, type JobOrder } from '../repair/record-order.ts';
import { checkPath } from '../residence/check-path.ts';
import { FreeDuty } from '../residence/free-duty.ts';
import { freePath, type FreeRequest } from '../residence/free-path.ts';
import type { CheckEvent, FreedAmounts, FreeEvent, FreeStatus } from '../residence/report.ts';
import type { ResidenceNetwork } from '../residence/residence-network.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { FreeBook } from './free-book.ts';
import type { ReadLink } from './read-link.ts';
import type { RingView } from './ring-view.ts';
import type { Proposer } from './proposer.ts';
import type { ReplicatedState } from './replicated-state.ts';

const FREED = 'cache.freed';
const FREE_STATUS = 'cache.freeStatus';
/** All sidecars of a large cache are read for it. */
const FREED_DEADLINE_MS = 600_000;
const COMMIT_DEADLINE_MS = 15_000;
const STATUS_DEADLINE_MS = 3000;

export interface ResidenceOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly readLink: ReadLink;
  readonly catalog: FileCatalog;
  readonly store: SegmentStore;
  readonly stores: UnderStores;
  readonly ring: RingView;
  readonly state: ReplicatedState;
  readonly proposer: Proposer;
  /** Start generation of this process. */
  readonly generation: number;
  readonly jobOrder: JobOrder;
  readonly segmentSizeBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ResidenceService {
  readonly #options: ResidenceOptions;
  readonly #frees: FreeBook;
  readonly #duty: FreeDuty;

  constructor(options: ResidenceOptions) {
    const { network, clock, state, store, catalog } = options;
    this.#options = options;
    this.#frees = new FreeBook(clock);
    this.#duty = new FreeDuty({
      ...options,
      state: () => state.current,
      parts: { store, catalog },
      tell: (number) => this.#tell(number),
    });
    state.onChange(() => {
      this.#duty.look();
    });
    this.#duty.look();
    network.onRequest(FREED, (_from, payload) =>
      this.#duty.freed((payload as { number: number }).number, new AbortController().signal),
    );
    network.onRequest(FREE_STATUS, (_from, payload) =>
      Promise.resolve(this.#frees.statusOf((payload as { path: string }).path) ?? null),
    );
  }

  /** @throws path_not_mounted */
  free(request: FreeRequest, signal: AbortSignal): AsyncGenerator<FreeEvent> {
    const { stores, ring } = this.#options;
    stores.storeOf(request.path);
    const parts = {
      network: this.#asNetwork(),
      placement: ring.readPlacement(),
      agree: ({ path, evenPinned }: FreeRequest) => this.#agree(path, evenPinned),
    };
    return freePath(request, parts, signal);
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

  /** False: none runs that was submitted here. What the cluster has agreed on already is done. */
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
    this.#duty.close();
  }

  #asNetwork(): ResidenceNetwork {
    const { self, catalog, readLink, network } = this.#options;
    return {
      scan: (peer, request) =>
        peer === self ? catalog.scan(request) : readLink.listAt(peer, request),
      holds: (peer: PeerId, keys: readonly SegmentKey[]) => readLink.holds(peer, keys),
      freed: (peer, number, signal) =>
        peer === self
          ? this.#duty.freed(number, signal)
          : (network.request(peer, FREED, { number }, FREED_DEADLINE_MS) as Promise<FreedAmounts>),
    };
  }

  async #agree(path: string, evenPinned: boolean): Promise<number> {
    const command = { kind: 'cache.free', path, evenPinned } as const;
    const answer = await this.#options.proposer.commit(command, COMMIT_DEADLINE_MS);
    return (answer as { number: number }).number;
  }

  async #tell(number: number): Promise<void> {
    const { proposer, self } = this.#options;
    await proposer.commit({ kind: 'cache.freed', peer: self, number }, COMMIT_DEADLINE_MS);
  }
}
