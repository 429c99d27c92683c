/** Tasks and results over peer links, short-cut when leader and owner are the same peer. */
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import type { Coordinator } from '../job/coordinator.ts';
import type { Executor } from '../job/executor.ts';
import type {
  BatchAck,
  DiscardedFile,
  InventoryReply,
  InventoryRequest,
  LeaderTransport,
  OwnerTransport,
  PassRef,
  ResultFrame,
  TaskBatch,
  TaskRecall,
} from '../job/protocol.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';

const BATCH = 'task.batch';
const RESULTS = 'task.results';
const INVENTORY = 'task.inventory';
const CANCEL = 'task.cancel';
const DISCARD = 'task.discard';
const RECALL = 'task.recall';
const TOLD = 'object.told';
const DEADLINE_MS = 10_000;
/** A peer may have to read the records of ten million files. */
const INVENTORY_DEADLINE_MS = 600_000;

export class OwnerLink implements OwnerTransport, LeaderTransport {
  readonly #self: PeerId;
  readonly #network: PeerNetwork;
  readonly #lastFree: () => number;
  #executor: Executor | undefined;
  #coordinator: Coordinator | undefined;

  /** @param lastFree number of the newest free that this peer knows. */
  constructor(self: PeerId, network: PeerNetwork, lastFree: () => number) {
    this.#self = self;
    this.#network = network;
    this.#lastFree = lastFree;
  }

  /** From now on orders and results are taken. */
  attach(executor: Executor, coordinator: Coordinator): void {
    this.#executor = executor;
    this.#coordinator = coordinator;
    this.#network.onRequest(BATCH, (from, payload) =>
      this.#take(() => executor.accept(from, payload as TaskBatch)),
    );
    this.#network.onRequest(INVENTORY, (_from, payload) =>
      executor.inventory(payload as InventoryRequest),
    );
    this.#network.onRequest(RESULTS, (from, payload) =>
      this.#take(() => {
        coordinator.takeResults(from, payload as ResultFrame);
        return null;
      }),
    );
    this.#network.onRequest(DISCARD, async (_from, payload) => {
      await executor.discard(payload as DiscardedFile);
      return null;
    });
    this.#network.onMessage(CANCEL, (_from, payload) => {
      executor.cancel(payload as PassRef);
    });
    this.#network.onMessage(RECALL, (from, payload) => {
      executor.recall(from, payload as TaskRecall);
    });
  }

  /** From now on others are told what the under store told here of objects that they followed. */
  tellWith(loader: Pick<SegmentLoader, 'told'>): void {
    this.#network.onRequest(TOLD, (_from, payload) =>
      Promise.resolve(loader.told(payload as SegmentKey) ?? null),
    );
  }

  async toldAt(peer: PeerId, key: SegmentKey): Promise<ObjectAttributes | undefined> {
    const told = await this.#network.request(peer, TOLD, key, DEADLINE_MS);
    return (told as ObjectAttributes | null) ?? undefined;
  }

  sendBatch(to: PeerId, ordered: TaskBatch): Promise<BatchAck> {
    const batch: TaskBatch = { ...ordered, afterFree: this.#lastFree() };
    if (to === this.#self) return this.#take(() => this.#local(this.#executor).accept(to, batch));
    return this.#network.request(to, BATCH, batch, DEADLINE_MS) as Promise<BatchAck>;
  }

  inventory(to: PeerId, request: InventoryRequest): Promise<InventoryReply> {
    if (to === this.#self) return this.#local(this.#executor).inventory(request);
    const answer = this.#network.request(to, INVENTORY, request, INVENTORY_DEADLINE_MS);
    return answer as Promise<InventoryReply>;
  }

  async discard(to: PeerId, file: DiscardedFile): Promise<void> {
    if (to === this.#self) await this.#local(this.#executor).discard(file);
    else await this.#network.request(to, DISCARD, file, DEADLINE_MS);
  }

  recall(to: PeerId, recall: TaskRecall): void {
    if (to === this.#self) this.#executor?.recall(to, recall);
    else this.#network.send(to, RECALL, recall);
  }

  cancel(to: PeerId, pass: PassRef): void {
    if (to === this.#self) this.#executor?.cancel(pass);
    else this.#network.send(to, CANCEL, pass);
  }

  async sendResults(to: PeerId, frame: ResultFrame): Promise<void> {
    if (to === this.#self) this.#local(this.#coordinator).takeResults(to, frame);
    else await this.#network.request(to, RESULTS, frame, DEADLINE_MS);
  }

  /** A synchronous handler's throw becomes a rejection, as the network's would. */
  #take<T>(handle: () => T): Promise<T> {
    return new Promise((resolve) => {
      resolve(handle());
    });
  }

  #local<T>(part: T | undefined): T {
    if (part === undefined)
      throw new RingloadError('peer_unreachable', 'this peer is still starting');
    return part;
  }
}
