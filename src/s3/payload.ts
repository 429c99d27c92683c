/**
 * The body of a request that writes, as what it declares itself to be: its length, its form, its
 * sums.
 *
 * Invariant: the last piece is given out only when all of that has been found true, so that whoever
 * passes the pieces on under the declared length never completes a body that is not the right one.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Caller } from './authenticator.ts';
import { ChunkSignatures } from './chunk-signatures.ts';
import { decodeChunks } from './chunked-body.ts';
import type { HeaderMap } from './message.ts';
import { S3Error, type Field } from './s3-error.ts';

export const CHECKSUM_NAMES = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const;
export type ChecksumName = (typeof CHECKSUM_NAMES)[number];

/** A sum of bytes that pass by. */
export interface RunningSum {
  update(bytes: Uint8Array): void;
  /** After the last byte, in base64. */
  result(): string;
}

export interface PayloadParts {
  readonly headers: HeaderMap;
  readonly caller: Caller;
  readonly body: AsyncIterable<Uint8Array> | undefined;
  readonly newSum: (name: ChecksumName) => RunningSum;
}

const HEX_SHA256 = /^[0-9a-f]{64}$/;
const PREFIX = 'x-amz-checksum-';
const SIGNED_FORMS = new Set([
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
]);
const UNSIGNED_FORM = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

export class Payload {
  readonly sizeBytes: number;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #sha256: { readonly hash: Hash; readonly expected: string } | undefined;
  /** Of the one checksum that a request may have. */
  readonly #sum: { readonly name: ChecksumName; readonly running: RunningSum } | undefined;
  #expected: string | undefined;
  #isComplete = false;

  /** @throws S3Error */
  constructor(parts: PayloadParts) {
    const { headers, newSum } = parts;
    const form = headers.find('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD';
    const isChunked = form.startsWith('STREAMING-');
    this.sizeBytes = sizeOf(headers, isChunked);
    const trailerNames = trailerNamesOf(headers, form);
    const declared = checksumOf(headers, trailerNames);
    this.#sum = declared && { name: declared.name, running: newSum(declared.name) };
    this.#expected = declared?.expected;
    this.#sha256 = HEX_SHA256.test(form)
      ? { hash: createHash('sha256'), expected: form }
      : undefined;
    const body = parts.body ?? nothing();
    this.#source = isChunked ? this.#decoded(body, form, trailerNames, parts.caller) : body;
  }

  /** All of it was given out, and was right. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The checksum that the client declared, once it is known: before the first byte, or after all. */
  checksum(): Field | undefined {
    if (!this.#sum || this.#expected === undefined) return undefined;
    return [`${PREFIX}${this.#sum.name}`, this.#expected];
  }

  /** To be taken once. @throws S3Error, and whatever ends the request's body */
  async *pieces(): AsyncGenerator<Uint8Array> {
    let receivedBytes = 0;
    let held: Uint8Array | undefined;
    for await (const piece of this.#source) {
      if (piece.length === 0) continue;
      receivedBytes += piece.length;
      if (receivedBytes > this.sizeBytes) throw wrongLength();
      this.#sum?.running.update(piece);
      this.#sha256?.hash.update(piece);
      if (held) yield held;
      held = piece;
    }
    if (receivedBytes !== this.sizeBytes) throw wrongLength();
    this.#verify();
    this.#isComplete = true;
    if (held) yield held;
  }

  /** All of it. @throws as {@link pieces}; EntityTooLarge */
  async collect(maxBytes: number): Promise<Buffer> {
    if (this.sizeBytes > maxBytes) throw new S3Error('EntityTooLarge');
    const whole: Uint8Array[] = [];
    for await (const piece of this.pieces()) whole.push(piece);
    return Buffer.concat(whole);
  }

  #decoded(
    body: AsyncIterable<Uint8Array>,
    form: string,
    trailerNames: readonly string[],
    caller: Caller,
  ): AsyncIterable<Uint8Array> {
    const isSigned = SIGNED_FORMS.has(form);
    if (!isSigned && form !== UNSIGNED_FORM) {
      throw new S3Error('NotImplemented', `Bodies of the form ${form} are not implemented.`);
    }
    if (isSigned && caller.kind === 'anonymous') {
      throw new S3Error('InvalidRequest', 'Chunks are signed only where the request is.');
    }
    return decodeChunks(body, {
      trailerNames,
      onTrailer: ([name, value]) => {
        if (name.startsWith(PREFIX)) this.#expected = value;
      },
      ...(isSigned &&
        caller.kind === 'signed' && { signatures: new ChunkSignatures(caller.chunks) }),
    });
  }

  #verify(): void {
    if (this.#sha256 && this.#sha256.hash.digest('hex') !== this.#sha256.expected) {
      throw new S3Error('XAmzContentSHA256Mismatch');
    }
    if (!this.#sum) return;
    if (this.#expected === undefined) {
      throw new S3Error('InvalidRequest', 'The checksum that x-amz-trailer names did not come.');
    }
    if (this.#sum.running.result() === this.#expected) return;
    const { name } = this.#sum;
    throw new S3Error('BadDigest', `The ${name} you specified did not match what was received.`);
  }
}

function sizeOf(headers: HeaderMap, isChunked: boolean): number {
  const name = isChunked ? 'x-amz-decoded-content-length' : 'content-length';
  const text = headers.find(name);
  if (text === undefined && !isChunked && headers.find('transfer-encoding') === undefined) return 0;
  if (text === undefined) throw new S3Error('MissingContentLength');
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new S3Error('InvalidArgument', `${name} is not a number of bytes`);
}

function trailerNamesOf(headers: HeaderMap, form: string): string[] {
  if (!form.endsWith('-TRAILER')) return [];
  const names = headers.get('x-amz-trailer').toLowerCase().split(',');
  return names.map((name) => name.trim()).filter((name) => name !== '');
}

/** @throws S3Error for more than one, or one that is not known. */
function checksumOf(
  headers: HeaderMap,
  trailerNames: readonly string[],
): { readonly name: ChecksumName; readonly expected: string | undefined } | undefined {
  const isSum = (name: string): boolean =>
    name.startsWith(PREFIX) && !/-(?:algorithm|type|mode)$/.test(name);
  const inHeaders = [...headers.names()].filter(isSum);
  const all = [...inHeaders, ...trailerNames.filter(isSum)];
  const [first] = all;
  if (first === undefined) return undefined;
  if (all.length > 1) {
    throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header');
  }
  const name = CHECKSUM_NAMES.find((known) => first === `${PREFIX}${known}`);
  if (!name) throw new S3Error('NotImplemented', `Checksums of the kind ${first} are not known.`);
  const expected = inHeaders.length > 0 ? headers.find(first) : undefined;
  return { name, expected };
}

function wrongLength(): S3Error {
  return new S3Error('IncompleteBody');
}

async function* nothing(): AsyncGenerator<never> {
  // A request without a body.
}
