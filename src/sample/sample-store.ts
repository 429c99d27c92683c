/**
 * A read-only store that speaks S3 over objects which exist only as formulas: something to load
 * from in the demo and in tests, without an account, a disk or a download.
 *
 * Credentials and signatures are accepted unseen, whatever they are: it holds nothing worth
 * protecting, and listens on loopback unless told otherwise. An interceptor may look at each
 * request, wait, and answer something else; that is how tests turn it into a faulty origin.
 */
import { once, setMaxListeners } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { RingloadError } from '../base/errors.ts';
import type { ObjectSource } from './object-set.ts';
import { answer, errorReply, type SampleReply, type Bucket } from './s3-answer.ts';
import { readRequest, type SampleRequest } from './s3-request.ts';

export interface SampleStoreOptions {
  readonly bucket: string;
  readonly objects: ObjectSource;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Upper bound of all answers together; absent means as fast as it goes. */
  readonly bytesPerSecond?: number;
  readonly intercept?: Interceptor;
  /** Checksums that the store keeps of its objects. Default none. */
  readonly checksums?: Bucket['checksums'];
}

/**
 * Decides on the answer to a request. `proceed` computes the regular one, also for a request that
 * was altered. `gone` is aborted when the client has left or the store closes.
 * @throws ConnectionCut to answer nothing, or from within the body it returns to stop there.
 */
export type Interceptor = (
  request: SampleRequest,
  proceed: (request?: SampleRequest) => SampleReply,
  gone: AbortSignal,
) => Promise<SampleReply> | SampleReply;

/** Ends a connection in the middle: with a reset, or with a FIN as if all had been sent. */
export class ConnectionCut extends Error {
  readonly how: 'reset' | 'fin';

  constructor(how: 'reset' | 'fin') {
    super(`connection cut by ${how}`);
    this.name = 'ConnectionCut';
    this.how = how;
  }
}

export interface SampleTotals {
  readonly requestCount: number;
  /** Body bytes handed to sockets. */
  readonly sentBytes: number;
  readonly openConnectionCount: number;
}

export interface SampleStore extends AsyncDisposable {
  /** `http://host:port`, as an S3 endpoint. */
  readonly endpoint: string;
  readonly bucket: string;
  totals(): SampleTotals;
  close(): Promise<void>;
}

/** @throws address_in_use */
export async function startSampleStore(options: SampleStoreOptions): Promise<SampleStore> {
  const store = new SampleServer(options);
  await store.listen();
  return store;
}

/** Longer than clients keep idle sockets, so that they never meet a closing one. */
const KEEP_ALIVE_MS = 120_000;
const TARGET_MAX_BYTES = 16 * 1024;

class SampleServer implements SampleStore {
  readonly bucket: string;
  readonly #options: SampleStoreOptions;
  readonly #server: Server;
  readonly #pace: Pace | undefined;
  readonly #closing = new AbortController();
  #requestCount = 0;
  #sentBytes = 0;
  #openConnectionCount = 0;

  constructor(options: SampleStoreOptions) {
    // One listener for each answer under way: there is no count at which that is a leak.
    setMaxListeners(0, this.#closing.signal);
    this.bucket = options.bucket;
    this.#options = options;
    this.#pace =
      options.bytesPerSecond === undefined ? undefined : new Pace(options.bytesPerSecond);
    this.#server = createServer(
      { keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: TARGET_MAX_BYTES, noDelay: true },
      (incoming, outgoing) => void this.#serve(incoming, outgoing),
    );
    this.#server.on('connection', (socket) => {
      this.#openConnectionCount++;
      socket.once('close', () => this.#openConnectionCount--);
    });
  }

  async listen(): Promise<void> {
    const { host = '127.0.0.1', port = 0 } = this.#options;
    this.#server.listen(port, host);
    try {
      await once(this.#server, 'listening');
    } catch (thrown) {
      throw new RingloadError('address_in_use', `cannot listen on ${host}:${port}`, {
        cause: thrown,
      });
    }
  }

  get endpoint(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  totals(): SampleTotals {
    return {
      requestCount: this.#requestCount,
      sentBytes: this.#sentBytes,
      openConnectionCount: this.#openConnectionCount,
    };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.#requestCount++;
    const gone = new AbortController();
    const leave = (): void => {
      gone.abort();
    };
    outgoing.once('close', leave);
    this.#closing.signal.addEventListener('abort', leave, { once: true });
    // A body is not expected; left unread it would block the connection.
    incoming.resume();
    try {
      await this.#send(outgoing, await this.#replyTo(incoming, gone.signal), gone.signal);
    } catch (thrown) {
      cut(outgoing, thrown instanceof ConnectionCut ? thrown.how : 'reset');
    } finally {
      this.#closing.signal.removeEventListener('abort', leave);
    }
  }

  async #replyTo(incoming: IncomingMessage, gone: AbortSignal): Promise<SampleReply> {
    const request = readRequest(incoming);
    if (!request) {
      const anonymous = { method: incoming.method ?? 'GET', key: '' };
      return errorReply(anonymous, 400, 'InvalidURI', 'Could not parse the specified URI.');
    }
    const { objects, checksums } = this.#options;
    const bucket = { name: this.bucket, objects, checksums };
    const proceed = (altered = request): SampleReply => answer(altered, bucket);
    return this.#options.intercept
      ? this.#options.intercept(request, proceed, gone)
      : proceed(request);
  }

  async #send(outgoing: ServerResponse, reply: SampleReply, gone: AbortSignal): Promise<void> {
    outgoing.writeHead(reply.status, {
      ...reply.headers,
      'x-amz-request-id': String(this.#requestCount).padStart(16, '0'),
      server: 'ringload-sample',
    });
    for await (const piece of reply.body) {
      if (gone.aborted) return;
      if (this.#pace) await this.#pace.admit(piece.length, gone);
      this.#sentBytes += piece.length;
      if (!outgoing.write(piece)) await drained(outgoing, gone);
    }
    outgoing.end();
  }
}

/** Also returns when the client has left: then there is nothing to wait for. */
async function drained(outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  try {
    await once(outgoing, 'drain', { signal: gone });
  } catch (thrown) {
    if (!gone.aborted) throw thrown;
  }
}

function cut(outgoing: ServerResponse, how: 'reset' | 'fin'): void {
  const { socket } = outgoing;
  if (!socket) return;
  if (how === 'reset') socket.resetAndDestroy();
  // What was written goes out first.
  else socket.end();
}

/** Spreads bytes over time, for all connections together. */
class Pace {
  readonly #bytesPerMs: number;
  #freeAtMs = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  async admit(bytes: number, gone: AbortSignal): Promise<void> {
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + bytes / this.#bytesPerMs;
    const delayMs = this.#freeAtMs - nowMs;
    if (delayMs < 1) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, delayMs);
      function done(): void {
        clearTimeout(timer);
        gone.removeEventListener('abort', done);
        resolve();
      }
      gone.addEventListener('abort', done, { once: true });
    });
  }
}
