/**
 * One request that this thread answers by itself: all that is asked for is read and checked before
 * anything leaves, so that until then the request can be handed to the main thread, which knows what
 * to do about damage, and about everything that has changed.
 */
import { crc32c } from '@node-rs/crc32';
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';
import type { OwnAnswer } from '../../own-answers.ts';
import type { ClientResponse } from './client-response.ts';
import type { SenderParts } from './range-sender.ts';
import { HEAD_ROOM_BYTES, SEND_MAX_BYTES } from './send-buffers.ts';

export interface OwnUses {
  /** Nothing was sent: somebody else is to answer. */
  readonly onForward: () => void;
  readonly onOver: () => void;
}

export class OwnExchange {
  readonly #response: ClientResponse;
  readonly #answer: OwnAnswer;
  readonly #parts: SenderParts & { readonly writeStallMs: number };
  readonly #uses: OwnUses;
  #buffer: Buffer | undefined;
  #isGone = false;

  constructor(
    response: ClientResponse,
    answer: OwnAnswer,
    parts: SenderParts & { readonly writeStallMs: number },
    uses: OwnUses,
  ) {
    this.#response = response;
    this.#answer = answer;
    this.#parts = parts;
    this.#uses = uses;
  }

  start(): void {
    const { range } = this.#answer;
    if (!range) {
      this.#send();
      return;
    }
    const { files, buffers, room } = this.#parts;
    const { first, end } = blocksOf(range);
    const byteCount = end - first;
    if (byteCount > Math.min(SEND_MAX_BYTES, room.chunkBytes)) {
      this.#uses.onForward();
      return;
    }
    const buffer = buffers.take(byteCount);
    room.take(buffer.length);
    this.#buffer = buffer;
    const blocks = buffer.subarray(HEAD_ROOM_BYTES, HEAD_ROOM_BYTES + byteCount);
    try {
      const reading = files.read(range.path, blocks, range.offset + first);
      if (typeof reading === 'boolean') this.#check(blocks, reading);
      else this.#wait(reading, blocks);
    } catch {
      this.#forward();
    }
  }

  #wait(reading: Promise<boolean>, blocks: Buffer): void {
    this.#response.once('close', () => (this.#isGone = true));
    reading.then(
      (isWhole) => {
        this.#check(blocks, isWhole);
      },
      () => {
        this.#forward();
      },
    );
  }

  #check(blocks: Buffer, isWhole: boolean): void {
    const { range } = this.#answer;
    if (range && isWhole && isSound(blocks, range.blocks)) this.#send();
    else this.#forward();
  }

  #send(): void {
    const { status, headers, range, isStill, onSent } = this.#answer;
    if (this.#isGone || !isStill()) {
      this.#forward();
      return;
    }
    const response = this.#response;
    response.socket?.setTimeout(this.#parts.writeStallMs);
    response.on('error', ignore);
    response.once('close', () => {
      // Why not given back to the buffers: who knows what the system does with it.
      if (this.#buffer) this.#parts.room.giveBack(this.#buffer.length);
      this.#uses.onOver();
    });
    response.writeHead(status, headers as string[]);
    const [begin, end] = range ? bytesOf(range) : [0, 0];
    // What lies in front of the range nobody needs any more.
    if (this.#buffer) response.useRoom?.(this.#buffer.subarray(0, begin));
    response.end(this.#buffer?.subarray(begin, end), () => {
      this.#giveBack();
    });
    onSent();
  }

  #forward(): void {
    this.#giveBack();
    if (this.#isGone) this.#uses.onOver();
    else this.#uses.onForward();
  }

  #giveBack(): void {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    if (!buffer) return;
    this.#parts.room.giveBack(buffer.length);
    this.#parts.buffers.giveBack(buffer);
  }
}

/** The blocks that cover the range, relative to the segment. */
function blocksOf({ from, length, segmentBytes }: NonNullable<OwnAnswer['range']>): {
  readonly first: number;
  readonly end: number;
} {
  const last = Math.ceil((from + length) / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BLOCK_BYTES;
  return { first: from - (from % CHECKSUM_BLOCK_BYTES), end: Math.min(segmentBytes, last) };
}

/** Where the range lies in a buffer of its blocks. */
function bytesOf({ from, length }: NonNullable<OwnAnswer['range']>): [number, number] {
  const begin = HEAD_ROOM_BYTES + (from % CHECKSUM_BLOCK_BYTES);
  return [begin, begin + length];
}

function isSound(blocks: Buffer, expected: Uint32Array): boolean {
  let index = 0;
  for (let at = 0; at < blocks.length; at += CHECKSUM_BLOCK_BYTES) {
    if (crc32c(blocks.subarray(at, at + CHECKSUM_BLOCK_BYTES)) !== expected[index++]) return false;
  }
  return true;
}

function ignore(): void {
  // Whoever writes hears of it by the end of the connection.
}
