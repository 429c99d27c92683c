/**
 * Bodies in the form `aws-chunked`: chunks with their sizes in front, each signed or none, and
 * fields behind the last one, a checksum as a rule.
 *
 * Bytes are given on as they come, before the signature of their chunk is known: whoever takes them
 * must not count the body as whole before this has ended. Nothing is held but a line.
 */
import { createHash } from 'node:crypto';
import type { ChunkSignatures } from './chunk-signatures.ts';
import { S3Error, type Field } from './s3-error.ts';

export interface ChunkedForm {
  /** Absent: chunks are not signed. */
  readonly signatures?: ChunkSignatures;
  /** Fields that may follow the last chunk, in lower case. Empty: none do. */
  readonly trailerNames: readonly string[];
  readonly onTrailer: (field: Field) => void;
}

/** `10000;chunk-signature=` and 64 digits. */
const CHUNK_HEAD_MAX_BYTES = 128;
const TRAILER_LINE_MAX_BYTES = 1024;
const TRAILER_MAX_COUNT = 16;
const CHUNK_HEAD = /^([0-9A-Fa-f]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/;
const TRAILER_SIGNATURE = 'x-amz-trailer-signature';

/** @throws S3Error, and what the body throws */
export async function* decodeChunks(
  body: AsyncIterable<Uint8Array>,
  form: ChunkedForm,
): AsyncGenerator<Uint8Array> {
  const input = new ChunkInput(body);
  try {
    for (;;) {
      const [, size = '', signature] =
        CHUNK_HEAD.exec(await input.line(CHUNK_HEAD_MAX_BYTES)) ?? [];
      if (size === '') throw malformed('a chunk does not begin with its size');
      if ((signature === undefined) !== (form.signatures === undefined)) {
        throw malformed('chunks are not signed as the request says');
      }
      const sizeBytes = Number.parseInt(size, 16);
      const hash = form.signatures && createHash('sha256');
      for await (const piece of input.take(sizeBytes)) {
        hash?.update(piece);
        yield piece;
      }
      if (hash && !form.signatures.acceptsChunk(hash.digest('hex'), signature ?? '')) {
        throw new S3Error('SignatureDoesNotMatch', 'The signature of a chunk does not match.');
      }
      if (sizeBytes === 0) break;
      if ((await input.line(0)) !== '') throw malformed('a chunk is longer than it says');
    }
    await readTrailer(input, form);
    if (!(await input.isAtEnd())) throw malformed('something follows the last chunk');
  } finally {
    await input.close();
  }
}

async function readTrailer(input: ChunkInput, form: ChunkedForm): Promise<void> {
  let signed = '';
  let signature: string | undefined;
  for (let count = 0; count <= TRAILER_MAX_COUNT; count++) {
    const line = await input.line(TRAILER_LINE_MAX_BYTES, true);
    if (line === '') {
      checkTrailerSignature(form, signed, signature);
      return;
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === TRAILER_SIGNATURE) {
      signature = value;
      continue;
    }
    if (colon <= 0 || !form.trailerNames.includes(name)) {
      throw malformed('a field follows the last chunk that x-amz-trailer does not name');
    }
    signed += `${name}:${value}\n`;
    form.onTrailer([name, value]);
  }
  throw malformed('too many fields follow the last chunk');
}

function checkTrailerSignature(
  { signatures, trailerNames }: ChunkedForm,
  signed: string,
  signature: string | undefined,
): void {
  if (!signatures || trailerNames.length === 0) return;
  const sha256 = createHash('sha256').update(signed).digest('hex');
  if (signature !== undefined && signatures.acceptsTrailer(sha256, signature)) return;
  throw new S3Error(
    'SignatureDoesNotMatch',
    'The signature of the trailing fields does not match.',
  );
}

/** The body as lines and counted bytes. */
class ChunkInput {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);
  #isOver = false;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#source = body[Symbol.asyncIterator]();
  }

  /** Up to CRLF. @param endsAtEnd whether the end of the body may stand for an empty line. */
  async line(maxBytes: number, endsAtEnd = false): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end >= 0 && end <= maxBytes) {
        const line = this.#rest.toString('latin1', 0, end);
        this.#rest = this.#rest.subarray(end + 2);
        return line;
      }
      if (end > maxBytes || this.#rest.length > maxBytes + 1) throw malformed('a line is too long');
      if (await this.#more()) continue;
      if (endsAtEnd && this.#rest.length === 0) return '';
      throw malformed('it ends within a chunk');
    }
  }

  async *take(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0;) {
      if (this.#rest.length === 0 && !(await this.#more())) throw malformed('it ends in a chunk');
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#rest.length === 0 && (await this.#more()));
    return this.#rest.length === 0;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #more(): Promise<boolean> {
    if (this.#isOver) return false;
    const step = await this.#source.next();
    if (step.done === true) {
      this.#isOver = true;
      return false;
    }
    const { buffer, byteOffset, byteLength } = step.value;
    const bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    return true;
  }
}

function malformed(finding: string): S3Error {
  return new S3Error('IncompleteBody', `The body is not what aws-chunked is: ${finding}.`);
}
