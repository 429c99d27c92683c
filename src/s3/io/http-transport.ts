/**
 * Carries S3 requests and answers over `node:http`: with back-pressure, and whole or visibly
 * broken.
 *
 * Invariant: the last byte of a promised length is written only after its source has ended
 * properly. A source that fails costs the client its connection, so that no wrong body looks
 * complete; a client that leaves closes the source.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { OpenRange } from '../../read/file-reader.ts';
import type { S3Answer, S3Request } from '../message.ts';
import type { Field } from '../s3-error.ts';

export interface TransportOptions {
  readonly answer: (request: S3Request) => Promise<S3Answer>;
  /** Told of each chunk that was sent: its memory may be used again. */
  readonly recycle?: (chunk: Uint8Array) => void;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/** A client that takes nothing for so long is gone; its source and buffers are released. */
const WRITE_STALL_MAX_MS = 60_000;
const KEEP_ALIVE_MS = 65_000;
/** Presigned URLs with long keys need more than most requests. */
const HEADER_MAX_BYTES = 32 * 1024;

export function createS3Server(options: TransportOptions): Server {
  const settings = {
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(options.headersTimeoutMs / 4)),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_MAX_BYTES,
    noDelay: true,
  } satisfies ServerOptions;
  return createServer(settings, (incoming, outgoing) => void serve(incoming, outgoing, options));
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  options: TransportOptions,
): Promise<void> {
  outgoing.on('error', ignore);
  const answer = await options.answer(requestOf(incoming));
  // A body that nobody read would block the connection.
  incoming.resume();
  const { status, headers, body } = answer;
  if (outgoing.destroyed) {
    if (body && 'record' in body) await close(body);
    return;
  }
  outgoing.writeHead(status, headers.flat());
  if (!body) outgoing.end();
  else if ('record' in body) await send(body, outgoing, options);
  else outgoing.end(body);
}

function requestOf(incoming: IncomingMessage): S3Request {
  const { rawHeaders } = incoming;
  const headers: Field[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    headers.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '']);
  }
  const { method = 'GET', url = '/' } = incoming;
  return { method, target: url, headers, body: incoming };
}

async function send(
  range: OpenRange,
  outgoing: ServerResponse,
  options: TransportOptions,
): Promise<void> {
  const chunks = range.body[Symbol.asyncIterator]();
  const onClose = (): void => {
    void chunks.return?.();
  };
  outgoing.once('close', onClose);
  try {
    let left = range.length;
    let step = await chunks.next();
    while (!step.done) {
      const chunk = step.value;
      left -= chunk.length;
      // The last one waits for the end of its source, which may yet say that all was wrong.
      const following = left > 0 ? undefined : await chunks.next();
      if (left < 0 || following?.done === false) throw new Error('the source gave too much');
      await written(outgoing, chunk);
      options.recycle?.(chunk);
      step = following ?? (await chunks.next());
    }
    if (left > 0) throw new Error('the source gave too little');
    outgoing.off('close', onClose);
    outgoing.end();
  } catch {
    outgoing.destroy();
  }
}

/** Resolves when the kernel has all of the chunk; rejects when the client is gone. */
function written(outgoing: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => outgoing.destroy(), WRITE_STALL_MAX_MS);
    const onClose = (): void => {
      clearTimeout(timer);
      reject(new Error('the client is gone'));
    };
    if (outgoing.destroyed) {
      onClose();
      return;
    }
    outgoing.once('close', onClose);
    outgoing.write(chunk, (error) => {
      clearTimeout(timer);
      outgoing.off('close', onClose);
      if (error) reject(error);
      else resolve();
    });
  });
}

async function close(range: OpenRange): Promise<void> {
  await range.body[Symbol.asyncIterator]().return?.();
}

function ignore(): void {
  // Whoever writes hears of it by the end of the connection.
}
