/**
 * Owners that do nothing: each takes every batch, and says at the next turn of the event loop that
 * all of it is stored. They add up what they "hold" as real ones do, so that a job's comparison of
 * inventories comes out equal; digests look like real ones, but are made from the task's number.
 */
import type { PeerId } from '../../src/base/ids.ts';
import type {
  BatchAck,
  InventoryReply,
  InventoryRequest,
  OwnerTransport,
  ResultFrame,
  Task,
  TaskBatch,
  TaskResult,
} from '../../src/job/protocol.ts';

/** As production's owners answer (`resultBatchMaxCount`). */
const FRAME_MAX_COUNT = 256;
const TWO_32 = 2 ** 32;

export class NullOwners implements OwnerTransport {
  readonly #ack: BatchAck;
  readonly #owners = new Map<PeerId, NullOwner>();
  taskCount = 0;
  batchCount = 0;
  /** Where answers go. */
  onResults: (from: PeerId, frame: ResultFrame) => void = () => undefined;

  constructor(ack: BatchAck) {
    this.#ack = ack;
  }

  sendBatch(to: PeerId, batch: TaskBatch): Promise<BatchAck> {
    this.taskCount += batch.tasks.length;
    this.batchCount += 1;
    const owner = this.#ownerOf(to);
    setImmediate(() => {
      for (let at = 0; at < batch.tasks.length; at += FRAME_MAX_COUNT) {
        const frame = owner.store(batch, batch.tasks.slice(at, at + FRAME_MAX_COUNT));
        this.onResults(to, frame);
      }
    });
    return Promise.resolve(this.#ack);
  }

  async inventory(to: PeerId, _request: InventoryRequest): Promise<InventoryReply> {
    return this.#ownerOf(to).inventory();
  }

  async discard(): Promise<void> {
    throw new Error('nothing here is ever found damaged');
  }

  recall(): void {
    // All was answered by the time that anybody could ask for it back.
  }

  cancel(): void {
    // As above.
  }

  #ownerOf(peer: PeerId): NullOwner {
    let owner = this.#owners.get(peer);
    if (!owner) this.#owners.set(peer, (owner = new NullOwner()));
    return owner;
  }
}

class NullOwner {
  readonly #segments = new Sum64();
  readonly #records = new Sum64();
  #bytes = 0;
  #segmentCount = 0;
  #recordCount = 0;

  store(batch: TaskBatch, tasks: readonly Task[]): ResultFrame {
    const { jobId, run, term, pass } = batch;
    const results = tasks.map((task) => this.#storeOne(task));
    const bytes = this.#bytes;
    const segmentCount = this.#segmentCount;
    const tally = { segmentCount, storedBytes: bytes, ufsBytes: bytes, copiedBytes: 0 };
    return { jobId, run, term, pass, results, tally, generation: 1 };
  }

  #storeOne({ id, index, length, record }: Task): TaskResult {
    this.#segmentCount += 1;
    this.#bytes += length;
    const digest = this.#segments.add(digestFor(id + index));
    if (!record) return { id, status: 'loaded', digest };
    this.#recordCount += 1;
    return { id, status: 'loaded', digest, recordDigest: this.#records.add(digestFor(~id)) };
  }

  inventory(): InventoryReply {
    return {
      inventory: {
        segmentCount: this.#segmentCount,
        bytes: this.#bytes,
        digest: this.#segments.hex(),
      },
      records: { recordCount: this.#recordCount, digest: this.#records.hex() },
      generation: 1,
    };
  }
}

/** A sum modulo 2^64 in two halves: big integers would cost more than what is measured. */
class Sum64 {
  #high = 0;
  #low = 0;

  /** @returns what was added, as 16 hex digits. */
  add({ high, low, text }: Digest): string {
    const sum = this.#low + low;
    this.#low = sum % TWO_32;
    this.#high = (this.#high + high + (sum >= TWO_32 ? 1 : 0)) % TWO_32;
    return text;
  }

  hex(): string {
    return hex32(this.#high) + hex32(this.#low);
  }
}

interface Digest {
  readonly high: number;
  readonly low: number;
  readonly text: string;
}

/** Made beforehand: to print one takes longer than to schedule half a segment. */
const DIGESTS = Array.from({ length: 4096 }, (_, number): Digest => {
  const high = mix(number);
  const low = mix(~number);
  return { high, low, text: hex32(high) + hex32(low) };
});

function digestFor(number: number): Digest {
  return DIGESTS[number & 4095] as Digest;
}

/** 32 bits that look random. */
function mix(number: number): number {
  let bits = Math.imul(number ^ (number >>> 16), 0x45d9f3b);
  bits = Math.imul(bits ^ (bits >>> 16), 0x45d9f3b);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function hex32(bits: number): string {
  return bits.toString(16).padStart(8, '0');
}
