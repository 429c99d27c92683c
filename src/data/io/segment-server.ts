/**
 * The data endpoint of a peer: plain HTTP/1.1 on a port of its own, for peers only. It serves
 * verified ranges of segments, and reads a segment through for a reader elsewhere.
 */
import { timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DescriptorGate } from '../../base/descriptors.ts';
import { RingloadError, toRingloadError, toWireError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { SegmentReader } from '../../cache/segment-store.ts';
import {
  CRC_HEADER,
  parseSegmentRequest,
  SEGMENT_PATH,
  type SegmentRequest,
} from '../segment-request.ts';

export interface SegmentServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Bearer token that peers present; absent: no authentication. */
  readonly token: () => string | undefined;
  readonly open: (
    request: SegmentRequest,
    signal: AbortSignal,
  ) => Promise<SegmentReader | undefined>;
  readonly gate: DescriptorGate;
  /** Told of every connection that the gate did not let in. */
  readonly onRefused: () => void;
  readonly logger: Logger;
}

export interface SegmentServer {
  readonly port: number;
  close(): Promise<void>;
}

/** What is refused and asks for nothing ends after so long. */
const REFUSED_MAX_MS = 1000;
/** A reader that takes nothing for so long is gone; what it pins is released. */
const WRITE_STALL_MAX_MS = 60_000;

/** @throws address_in_use */
export async function startSegmentServer(options: SegmentServerOptions): Promise<SegmentServer> {
  const server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
    if (options.gate.admits(request.socket)) void serve(request, response, options);
    else refuseConnection(response, options.gate);
  });
  server.on('connection', (socket) => {
    const verdict = options.gate.enter(socket);
    if (verdict === 'use') return;
    options.onRefused();
    server.closeIdleConnections();
    if (verdict === 'drop') socket.destroy();
    else socket.setTimeout(REFUSED_MAX_MS);
  });
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      server.close();
      if (server.listening) await once(server, 'close');
    },
  };
}

function listen(server: Server, { host, port }: SegmentServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EADDRINUSE' ? 'address_in_use' : 'internal';
      reject(
        new RingloadError(code, `listen on data port ${String(port)}: ${error.message}`, {
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: SegmentServerOptions,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    gone.abort(new RingloadError('cancelled', 'the reader went away'));
  });
  let reader: SegmentReader | undefined;
  try {
    authorize(request, options.token());
    const wanted = parseSegmentRequest(request.url ?? '');
    reader = await options.open(wanted, gone.signal);
    if (!reader)
      throw new RingloadError('not_found', `segment ${String(wanted.key.index)} is not resident`);
    await send(reader, wanted, response);
  } catch (thrown) {
    refuse(response, thrown);
    const { code, message } = toRingloadError(thrown);
    if (code === 'internal') options.logger.error('data request failed', { reason: message });
  } finally {
    reader?.close();
  }
}

function authorize(request: IncomingMessage, token: string | undefined): void {
  if (request.method !== 'GET')
    throw new RingloadError('method_not_allowed', 'the data endpoint takes GET only');
  if (!request.url?.startsWith(`${SEGMENT_PATH}?`))
    throw new RingloadError('not_found', 'no such resource');
  if (token === undefined) return;
  const given = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${token}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new RingloadError('unauthenticated', 'the data endpoint is for peers of this cluster');
  }
}

async function send(
  reader: SegmentReader,
  wanted: SegmentRequest,
  response: ServerResponse,
): Promise<void> {
  const length = wanted.length ?? reader.lengthBytes - wanted.offset;
  if (length < 0 || wanted.offset + length > reader.lengthBytes) {
    throw new RingloadError(
      'range_not_satisfiable',
      `the segment has ${String(reader.lengthBytes)} bytes`,
    );
  }
  const chunks = reader.read(wanted.offset, length)[Symbol.asyncIterator]();
  try {
    // Why before the head: damage found at once is still an answer, not a broken connection.
    let next = await chunks.next();
    response.writeHead(200, { 'content-length': length, [CRC_HEADER]: reader.crc32c });
    for (; !next.done; next = await chunks.next()) {
      if (response.destroyed) return;
      if (!response.write(next.value)) await drained(response);
    }
    response.end();
  } finally {
    await chunks.return?.();
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => response.destroy(), WRITE_STALL_MAX_MS);
    const done = (): void => {
      clearTimeout(timer);
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

function refuseConnection(response: ServerResponse, { reason }: DescriptorGate): void {
  response.shouldKeepAlive = false;
  refuse(response, new RingloadError('overloaded', reason));
}

/** An error before the head is an answer; after it only a cut connection tells the truth. */
function refuse(response: ServerResponse, thrown: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const error = toRingloadError(thrown);
  const body = JSON.stringify(toWireError(error));
  response.writeHead(error.httpStatus, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
