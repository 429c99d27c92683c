/**
 * The bytes of one version of a file, whatever happens to the peer that sends them.
 *
 * Invariant: yields exactly the bytes of the range, in order, all of one version, or throws. When
 * a peer dies in the middle, the rest is read from another one, under the same entity tag; a
 * stream that ends early or late is never taken for complete.
 */
import { RingloadError } from '../../base/errors.ts';
import type { RingloadClient } from './client.ts';
import { discard, type PeerReply } from './exchange.ts';
import { addressOf } from './peer-list.ts';

export interface ByteRange {
  readonly firstByte: number;
  /** Inclusive; absent means to the end. */
  readonly lastByte?: number;
}

export interface Content {
  readonly lengthBytes: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Restarts without a single byte in between, before giving up. */
const FRUITLESS_RESUME_MAX_COUNT = 5;

type OpenReply = PeerReply & { readonly origin: string };

interface Position {
  readonly offset: number;
  /** Offset after the last byte. */
  readonly end: number;
  readonly etag: string | undefined;
}

/** @throws not_found, range_not_satisfiable, … as the peer reports them. */
export async function openContent(
  client: RingloadClient,
  path: string,
  range?: ByteRange,
): Promise<Content> {
  const reply = await client.openContent(
    path,
    range ? { range: `bytes=${range.firstByte}-${range.lastByte ?? ''}` } : {},
  );
  const first = range ? positionOfPart(reply, range) : positionOfWhole(reply);
  return {
    lengthBytes: first.end - first.offset,
    body: readThrough(client, path, reply, first),
  };
}

async function* readThrough(
  client: RingloadClient,
  path: string,
  firstReply: OpenReply,
  { offset: start, end, etag }: Position,
): AsyncIterable<Uint8Array> {
  let reply = firstReply;
  let offset = start;
  let fruitlessCount = 0;
  for (;;) {
    try {
      for await (const chunk of reply.body as AsyncIterable<Uint8Array>) {
        if (chunk.length === 0) continue;
        offset += chunk.length;
        fruitlessCount = 0;
        if (offset > end) throw overrun(path, end - start);
        yield chunk;
      }
      if (offset === end) return;
      throw new RingloadError(
        'peer_unreachable',
        `${addressOf(reply.origin)} sent ${offset - start} of ${end - start} bytes of ${path}`,
      );
    } catch (thrown) {
      const error = client.brokenBody(reply.origin, thrown);
      fruitlessCount++;
      if (!error.retryable || etag === undefined || fruitlessCount > FRUITLESS_RESUME_MAX_COUNT) {
        throw error;
      }
    } finally {
      discard(reply.body);
    }
    reply = await resume(client, path, { offset, end, etag });
  }
}

async function resume(
  client: RingloadClient,
  path: string,
  { offset, end, etag }: Position,
): Promise<OpenReply> {
  const reply = await client.openContent(path, {
    range: `bytes=${offset}-${end - 1}`,
    ...(etag === undefined ? {} : { 'if-range': etag }),
  });
  const resumed =
    reply.status === 206
      ? positionOfPart(reply, { firstByte: offset, lastByte: end - 1 })
      : undefined;
  if (resumed?.etag !== etag || resumed?.end !== end) {
    discard(reply.body);
    throw new RingloadError(
      'ufs_changed',
      `read ${path}: it became another version after ${offset} bytes`,
    );
  }
  return reply;
}

function positionOfWhole(reply: OpenReply): Position {
  const length = contentLength(reply);
  if (reply.status !== 200) throw refuse(reply, `HTTP ${reply.status} instead of 200`);
  return { offset: 0, end: length, etag: etagOf(reply) };
}

function positionOfPart(reply: OpenReply, range: ByteRange): Position {
  const header = reply.headers['content-range'] ?? '';
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(header);
  if (reply.status !== 206 || !match) {
    throw refuse(reply, `HTTP ${reply.status} with Content-Range '${header}' instead of a part`);
  }
  const first = Number(match[1]);
  const last = Number(match[2]);
  const asked = range.lastByte ?? Number.MAX_SAFE_INTEGER;
  // Why: a server may end earlier than asked only because the file ends there.
  const isCut = last < asked && match[3] !== '*' && last !== Number(match[3]) - 1;
  if (first !== range.firstByte || last > asked || last < first || isCut) {
    throw refuse(reply, `'${header}' for bytes ${range.firstByte}-${range.lastByte ?? ''}`);
  }
  if (contentLength(reply) !== last - first + 1) {
    throw refuse(reply, `Content-Length that does not fit '${header}'`);
  }
  return { offset: first, end: last + 1, etag: etagOf(reply) };
}

function contentLength(reply: OpenReply): number {
  const length = reply.headers['content-length'] ?? '';
  if (!/^\d{1,15}$/.test(length)) throw refuse(reply, 'no Content-Length');
  return Number(length);
}

/** Only a strong tag pins the bytes. */
function etagOf(reply: OpenReply): string | undefined {
  const { etag } = reply.headers;
  return etag?.startsWith('"') ? etag : undefined;
}

function refuse(reply: OpenReply, what: string): RingloadError {
  discard(reply.body);
  return new RingloadError('peer_refused', `${addressOf(reply.origin)} answered with ${what}`);
}

function overrun(path: string, lengthBytes: number): RingloadError {
  return new RingloadError('internal', `read ${path}: got more than its ${lengthBytes} bytes`);
}
