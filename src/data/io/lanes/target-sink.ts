/**
 * Takes the bytes of one body where the socket puts them, checksums them while they are in the
 * processor's cache, and writes them to their place.
 *
 * Two buffers at most: one is written while the other fills, and nothing more is received when both
 * are busy. Invariant: bytes are written in order, and `finish` or `stop` leaves no write behind.
 */
import type { CombinableSum } from '../../../base/crc-combine.ts';
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';
import type { ObjectChecksum } from '../../../ufs/under-store.ts';
import { TrailMemory } from '../../trail-memory.ts';
import { ExtraSum } from '../extra-sum.ts';
import { BlockChecksums } from './block-checksums.ts';
import type { BlockRun, LaneTarget } from './lane-orders.ts';
import { PAGE_BYTES, type PageBuffers } from './page-buffers.ts';
import type { TargetFiles } from './target-files.ts';

export interface SinkParts {
  readonly buffers: PageBuffers;
  readonly files: TargetFiles;
}

export class TargetSink {
  readonly #target: LaneTarget;
  readonly #start: number;
  readonly #parts: SinkParts;
  readonly #checksums: BlockChecksums;
  readonly #isDirect: boolean;
  /** Nobody waits for it: its writes go behind those that somebody waits for. */
  isAhead = false;
  /** A second sum of everything, to be compared with what the store says. */
  #sum: ExtraSum | undefined;
  /** Where blocks are left for those who follow. */
  #trail: TrailMemory | undefined;
  /** Bytes of the target that are written. */
  #writtenTo: number;
  /** Bytes of the target that came, and where in it the current buffer begins. */
  #position: number;
  #bufferStart: number;
  #current: Buffer | undefined;
  /** The buffer that is being written, or was. */
  #other: Buffer | undefined;
  #otherStart: number;
  #writing: Promise<void> | undefined;
  #isWriting = false;
  #failure: NodeJS.ErrnoException | undefined;

  constructor(target: LaneTarget, start: number, parts: SinkParts) {
    this.#target = target;
    this.#start = start;
    this.#parts = parts;
    this.#position = start;
    this.#bufferStart = start;
    this.#writtenTo = start;
    this.#otherStart = start;
    this.#checksums = new BlockChecksums(start, target.length);
    this.#isDirect = parts.files.canGoDirect(target.offset, target.isDirect);
  }

  get isFull(): boolean {
    return this.#position === this.#target.length;
  }

  get receivedBytes(): number {
    return this.#position - this.#start;
  }

  get sum(): ObjectChecksum | undefined {
    return this.#sum && { algorithm: this.#sum.algorithm, value: this.#sum.result() };
  }

  /** Before the first byte of a whole target only. */
  computeSum(algorithm: CombinableSum): void {
    this.#sum = new ExtraSum(algorithm);
  }

  /** From now on others follow: what is not written yet is given to them, and all that comes. */
  follow(memory: SharedArrayBuffer): void {
    const trail = new TrailMemory(this.#target.length, memory);
    // Why: what was received once more may be other bytes, and is not to be mixed with those.
    if (trail.receivedBlocks > this.#start / CHECKSUM_BLOCK_BYTES) {
      trail.cut();
      return;
    }
    this.#trail = trail;
    trail.written(wholeBlocks(this.#writtenTo));
    this.#leave(this.#start, this.#position);
  }

  /** Where the next bytes go: never empty before the sink is full. */
  get room(): Buffer {
    const used = this.#position - this.#bufferStart;
    const missing = this.#target.length - this.#position;
    this.#current ??= this.#parts.buffers.take(missing);
    return this.#current.subarray(used, Math.min(this.#current.length, used + missing));
  }

  /**
   * `byteCount` bytes were put into {@link room}. A promise: both buffers are busy, nothing may be
   * put anywhere before it resolves.
   */
  received(byteCount: number): Promise<void> | undefined {
    const bytes = this.room.subarray(0, byteCount);
    this.#checksums.update(bytes);
    this.#sum?.update(bytes);
    const before = this.#position;
    this.#position += byteCount;
    if (this.#trail) this.#leave(before, this.#position);
    const used = this.#position - this.#bufferStart;
    return this.isFull || used === this.#current?.length ? this.#flush(used) : undefined;
  }

  /** Bytes that came along with the head. @returns as {@link received} */
  copy(bytes: Uint8Array): Promise<void> | undefined {
    let wait: Promise<void> | undefined;
    for (let at = 0; at < bytes.length;) {
      const { room } = this;
      const part = bytes.subarray(at, at + room.length);
      room.set(part);
      wait = this.received(part.length);
      at += part.length;
    }
    return wait;
  }

  /** Resolves when everything is written. @throws what a write failed with. */
  async finish(): Promise<void> {
    await this.#writing;
    this.#giveBack();
    if (this.#failure) throw this.#failure;
  }

  /**
   * Ends early: whole blocks that came are kept and written, unless they were to be compared as a
   * whole. @returns how much of the target is there. @throws what a write failed with.
   */
  async stop(): Promise<number> {
    const whole = this.#position - (this.#position % CHECKSUM_BLOCK_BYTES);
    const keptBytes = this.#sum ? this.#start : Math.max(this.#start, whole);
    if (keptBytes > this.#bufferStart && !this.isFull)
      void this.#flush(keptBytes - this.#bufferStart);
    await this.finish();
    return keptBytes;
  }

  /** Checksums of the blocks up to `keptBytes` of the target. */
  blocks(keptBytes = this.#position): BlockRun {
    return this.#checksums.run(keptBytes - this.#start);
  }

  /** Gives the blocks that are whole by now to those who follow. */
  #leave(from: number, to: number): void {
    const { length } = this.#target;
    const first = wholeBlocks(from);
    const end = to === length ? Math.ceil(to / CHECKSUM_BLOCK_BYTES) : wholeBlocks(to);
    for (let block = first; block < end; block++) {
      this.#trail?.put(block, this.#checksums.of(block), this.#bytesOf(block));
    }
    if (end > first) this.#trail?.received(end);
  }

  /** Undefined: it is written, or no buffer has it any more. */
  #bytesOf(block: number): Buffer | undefined {
    const at = block * CHECKSUM_BLOCK_BYTES;
    const end = Math.min(at + CHECKSUM_BLOCK_BYTES, this.#position);
    if (at >= this.#bufferStart)
      return this.#current?.subarray(at - this.#bufferStart, end - this.#bufferStart);
    if (at < this.#otherStart || !this.#isWriting) return undefined;
    return this.#other?.subarray(at - this.#otherStart, end - this.#otherStart);
  }

  #flush(byteCount: number): Promise<void> | undefined {
    const full = this.#current;
    const before = this.#isWriting ? this.#writing : undefined;
    if (full) {
      const at = this.#target.offset + this.#bufferStart;
      const end = this.#bufferStart + byteCount;
      const write = (): Promise<void> => this.#write(full, byteCount, at);
      this.#isWriting = true;
      const writing = (before ? before.then(write) : write()).then(
        () => {
          if (this.#writing === writing) this.#isWriting = false;
          if (this.#failure) return;
          this.#writtenTo = end;
          this.#trail?.written(wholeBlocks(end));
        },
        (error: unknown) => {
          this.#failure ??= error as NodeJS.ErrnoException;
          if (this.#writing === writing) this.#isWriting = false;
        },
      );
      this.#writing = writing;
    }
    this.#otherStart = this.#bufferStart;
    this.#bufferStart += byteCount;
    this.#current = this.#other;
    this.#other = full;
    return before;
  }

  #write(buffer: Buffer, byteCount: number, position: number): Promise<void> {
    if (this.#failure) return Promise.resolve();
    const { path } = this.#target;
    const isAhead = (): boolean => this.isAhead;
    if (!this.#isDirect) {
      const bytes = buffer.subarray(0, byteCount);
      return this.#target.ownsPages
        ? this.#parts.files.write(path, bytes, position, { direct: false, isAhead })
        : this.#parts.files.writeSmall(path, bytes, position);
    }
    // The last page may be padded: it belongs to this target alone.
    const paddedBytes = Math.ceil(byteCount / PAGE_BYTES) * PAGE_BYTES;
    const padded = buffer.subarray(0, paddedBytes);
    return this.#parts.files.write(path, padded, position, { direct: true, isAhead });
  }

  #giveBack(): void {
    for (const buffer of [this.#current, this.#other]) {
      if (buffer) this.#parts.buffers.giveBack(buffer);
    }
    this.#current = undefined;
    this.#other = undefined;
  }
}

function wholeBlocks(bytes: number): number {
  return Math.floor(bytes / CHECKSUM_BLOCK_BYTES);
}
