/** The chain of signatures of a body that is signed chunk by chunk: each covers the one before. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export interface ChunkSigning {
  readonly key: Buffer;
  readonly time: string;
  readonly scope: string;
  /** The signature of the request, which the first chunk builds on. */
  readonly seed: string;
}

const EMPTY_SHA256 = createHash('sha256').digest('hex');

export class ChunkSignatures {
  readonly #signing: ChunkSigning;
  #previous: string;

  constructor(signing: ChunkSigning) {
    this.#signing = signing;
    this.#previous = signing.seed;
  }

  /** Whether `signature` is that of the next chunk, whose bytes have this SHA-256. */
  acceptsChunk(sha256: string, signature: string): boolean {
    return this.#accepts('PAYLOAD', `${EMPTY_SHA256}\n${sha256}`, signature);
  }

  /** Whether `signature` is that of the fields behind the last chunk. */
  acceptsTrailer(sha256: string, signature: string): boolean {
    return this.#accepts('TRAILER', sha256, signature);
  }

  #accepts(kind: 'PAYLOAD' | 'TRAILER', hashes: string, signature: string): boolean {
    const { key, time, scope } = this.#signing;
    const toSign = `AWS4-HMAC-SHA256-${kind}\n${time}\n${scope}\n${this.#previous}\n${hashes}`;
    const expected = createHmac('sha256', key).update(toSign).digest();
    const given = Buffer.from(signature, 'hex');
    this.#previous = signature;
    return given.length === expected.length && timingSafeEqual(expected, given);
  }
}
