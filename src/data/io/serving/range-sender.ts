/**
 * Sends one range of a stored segment to a client: read, check, send, one piece after another.
 * The next piece is read when the kernel has taken the one before, so a slow reader costs one piece.
 *
 * Invariant: no byte leaves before the checksum of its block was compared.
 */
import { crc32c } from '@node-rs/crc32';
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';
import type { ReadRoom } from '../../../cache/read-room.ts';
import type { ServedRange } from '../../served-range.ts';
import type { Outlet } from './held-read.ts';
import { HEAD_ROOM_BYTES, SEND_MAX_BYTES, type SendBuffers } from './send-buffers.ts';
import type { Turns } from './serving-turns.ts';
import type { SourceFiles } from './source-files.ts';

export interface SenderParts {
  readonly files: SourceFiles;
  readonly buffers: SendBuffers;
  readonly room: ReadRoom;
}

export interface SentRange {
  readonly range: ServedRange;
  /** Sent in front of the first byte, in one piece with it. */
  readonly head: string;
  /** Absent: it is as urgent as all others. */
  readonly turns?: Turns;
  /** Asked when bytes are there, before they leave; absent: the segment keeps its place. */
  readonly isStill?: () => boolean;
}

/** Begins at once, and lets other connections have their turn between two pieces. */
const ALIKE: Turns = {
  take: (step) => {
    setImmediate(step);
  },
  read: (read) => read(),
};

export type SendEnd =
  | { readonly kind: 'sent' }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'unread'; readonly systemCode: string; readonly message: string };

export class RangeSender {
  readonly #outlet: Outlet;
  readonly #range: ServedRange;
  readonly #head: string;
  readonly #parts: SenderParts;
  readonly #turns: Turns;
  readonly #isStill: (() => boolean) | undefined;
  readonly #onEnd: (end: SendEnd) => void;
  #position: number;
  #hasBegun = false;
  #isStopped = false;
  /** On its way to the client. */
  #sending: Buffer | undefined;

  /**
   * `onEnd` is called once, unless the sender is stopped before.
   */
  constructor(
    outlet: Outlet,
    wanted: SentRange,
    parts: SenderParts,
    onEnd: (end: SendEnd) => void,
  ) {
    this.#outlet = outlet;
    this.#range = wanted.range;
    this.#head = wanted.head;
    this.#turns = wanted.turns ?? ALIKE;
    this.#isStill = wanted.isStill;
    this.#parts = parts;
    this.#onEnd = onEnd;
    this.#position = wanted.range.from;
  }

  /** Whether a part of the answer has left. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Of the range. */
  get sentBytes(): number {
    return this.#position - this.#range.from;
  }

  start(): void {
    if (this.#range.length === 0) this.#sendHeadOnly();
    else if (this.#turns === ALIKE) this.#step();
    else this.#turns.take(this.#step);
  }

  /** Nobody waits for it any more. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    // Why not given back to the buffers: who knows what the system does with it.
    if (this.#sending) this.#parts.room.giveBack(this.#sending.length);
  }

  /** Arrow: given away, so that other connections get their turn. */
  readonly #step = (): void => {
    if (this.#isStopped) return;
    const { from, length, segmentBytes, path, offset } = this.#range;
    const { room, buffers, files } = this.#parts;
    const start = this.#position - (this.#position % CHECKSUM_BLOCK_BYTES);
    const end = Math.min(from + length, start + Math.min(SEND_MAX_BYTES, room.chunkBytes));
    const blocksEnd = Math.min(
      segmentBytes,
      Math.ceil(end / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BLOCK_BYTES,
    );
    const buffer = buffers.take(blocksEnd - start);
    room.take(buffer.length);
    const blocks = buffer.subarray(HEAD_ROOM_BYTES, HEAD_ROOM_BYTES + blocksEnd - start);
    const goOn = (isWhole: boolean): void => {
      const isGood = !this.#isStopped && isWhole && this.#isSound(blocks, start);
      if (isGood && this.#isStill?.() !== false) {
        this.#send(buffer, start, end);
        return;
      }
      this.#giveBack(buffer);
      if (!this.#isStopped) this.#finish({ kind: 'damaged' });
    };
    const fail = (thrown: unknown): void => {
      this.#giveBack(buffer);
      if (this.#isStopped) return;
      const { code = 'EIO', message } = thrown as NodeJS.ErrnoException;
      this.#finish({ kind: 'unread', systemCode: code, message });
    };
    try {
      const read = (): boolean | Promise<boolean> =>
        this.#isStopped ? false : files.read(path, blocks, offset + start);
      const reading = this.#turns.read(read);
      if (typeof reading === 'boolean') goOn(reading);
      else reading.then(goOn, fail);
    } catch (thrown) {
      fail(thrown);
    }
  };

  #isSound(blocks: Buffer, start: number): boolean {
    const { from, blocks: expected } = this.#range;
    const first = Math.floor(from / CHECKSUM_BLOCK_BYTES);
    let index = start / CHECKSUM_BLOCK_BYTES - first;
    for (let at = 0; at < blocks.length; at += CHECKSUM_BLOCK_BYTES) {
      if (crc32c(blocks.subarray(at, at + CHECKSUM_BLOCK_BYTES)) !== expected[index++])
        return false;
    }
    return true;
  }

  #send(buffer: Buffer, start: number, end: number): void {
    let begin = HEAD_ROOM_BYTES + this.#position - start;
    if (!this.#hasBegun) {
      // The head takes the place in front of the first byte, which nobody needs any more.
      begin -= this.#head.length;
      buffer.write(this.#head, begin, 'latin1');
      this.#hasBegun = true;
    }
    this.#position = end;
    this.#sending = buffer;
    this.#outlet.write(buffer.subarray(begin, HEAD_ROOM_BYTES + end - start), (error) => {
      if (error || this.#isStopped) return;
      this.#sending = undefined;
      this.#giveBack(buffer);
      if (this.#position < this.#range.from + this.#range.length) this.#turns.take(this.#step);
      else this.#finish({ kind: 'sent' });
    });
  }

  #sendHeadOnly(): void {
    this.#hasBegun = true;
    this.#outlet.write(Buffer.from(this.#head, 'latin1'), (error) => {
      if (!error) this.#finish({ kind: 'sent' });
    });
  }

  #giveBack(buffer: Buffer): void {
    this.#parts.room.giveBack(buffer.length);
    this.#parts.buffers.giveBack(buffer);
  }

  #finish(end: SendEnd): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#onEnd(end);
  }
}
