/** Reads ranges of segments from the data endpoints of other peers, over kept-alive sockets. */
import { Agent, get, type IncomingMessage } from 'node:http';
import { fromWireError, RingloadError, type WireError } from '../../base/errors.ts';
import type { BodyWatch, PeerSegment, PeerSegments } from '../peer-segments.ts';
import {
  COPY_PURPOSE,
  CRC_HEADER,
  formatSegmentRequest,
  PURPOSE_HEADER,
  type SegmentRequest,
} from '../segment-request.ts';
import { ConnectionShare, type Lease } from './connection-share.ts';

export interface SegmentClientOptions {
  /** Bearer token of the cluster; undefined: peers do not authenticate each other. */
  readonly token: () => string | undefined;
  /** From connecting to the response head, a fill by read-through included. */
  readonly headTimeoutMs: number;
  /** A body must make progress at least this often. */
  readonly stallTimeoutMs: number;
  /** Sockets to all peers together; further reads wait for one. */
  readonly socketMaxCount: number;
}

const ERROR_BODY_MAX_BYTES = 64 * 1024;
const FREE_SOCKET_MAX_COUNT = 16;

/** A response under way, and the right to its connection. */
interface Opened {
  readonly response: IncomingMessage;
  readonly lease: Lease;
  readonly lengthBytes: number;
  readonly crc32c: number;
}

interface Wanted {
  readonly endpoint: string;
  readonly request: SegmentRequest;
  readonly signal: AbortSignal;
  readonly watch: BodyWatch;
}

export class SegmentClient implements PeerSegments {
  readonly #options: SegmentClientOptions;
  readonly #agent: Agent;
  readonly #share: ConnectionShare;

  constructor(options: SegmentClientOptions) {
    this.#options = options;
    const { socketMaxCount, headTimeoutMs } = options;
    this.#agent = new Agent({
      keepAlive: true,
      maxFreeSockets: Math.min(FREE_SOCKET_MAX_COUNT, Math.ceil(socketMaxCount / 8)),
      maxTotalSockets: socketMaxCount,
    });
    this.#share = new ConnectionShare({ maxCount: socketMaxCount, waitMaxMs: headTimeoutMs });
  }

  /** @throws peer_unreachable, deadline_exceeded, overloaded, or what the peer answered. */
  async open(
    endpoint: string,
    request: SegmentRequest,
    signal: AbortSignal,
    watch: BodyWatch = {},
  ): Promise<PeerSegment> {
    const wanted = { endpoint, request, signal, watch };
    const opened = await this.#ask(wanted);
    const { lengthBytes, crc32c } = opened;
    return { lengthBytes, crc32c, body: this.#body(opened, wanted) };
  }

  close(): void {
    this.#agent.destroy();
  }

  async #ask({ endpoint, request, signal, watch }: Wanted): Promise<Opened> {
    const lease = await this.#share.lease(endpoint, signal);
    try {
      this.#makeRoom();
      watch.onAsked?.();
      const url = `${endpoint}${formatSegmentRequest(request)}`;
      const response = await this.#head(url, watch.isAhead === true, signal);
      if (response.statusCode !== 200) throw await readError(response, endpoint);
      response.once('close', () => {
        lease.end();
      });
      const lengthBytes = Number(response.headers['content-length']);
      return { response, lease, lengthBytes, crc32c: Number(response.headers[CRC_HEADER]) };
    } catch (error) {
      lease.end();
      throw error;
    }
  }

  /** Why: sockets that are kept for one peer count, and would keep those to another from opening. */
  #makeRoom(): void {
    const { sockets, freeSockets } = this.#agent;
    const free = Object.values(freeSockets).flatMap((each) => each ?? []);
    const usedCount = Object.values(sockets).reduce((sum, each) => sum + (each?.length ?? 0), 0);
    if (usedCount + free.length >= this.#options.socketMaxCount) free[0]?.destroy();
  }

  #head(url: string, isAhead: boolean, signal: AbortSignal): Promise<IncomingMessage> {
    const { headTimeoutMs } = this.#options;
    const token = this.#options.token();
    const headers = {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(isAhead && { [PURPOSE_HEADER]: COPY_PURPOSE }),
    };
    return new Promise((resolve, reject) => {
      const request = get(url, { agent: this.#agent, headers, signal }, (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      const timer = setTimeout(() => {
        request.destroy(
          new RingloadError(
            'deadline_exceeded',
            `no answer from ${url.slice(0, url.indexOf('?'))} in ${String(headTimeoutMs)} ms`,
          ),
        );
      }, headTimeoutMs);
      request.once('error', (error) => {
        clearTimeout(timer);
        reject(signal.aborted ? asCancelled(signal) : asUnreachable(error, url));
      });
    });
  }

  /** Over one connection, and further ones where the reader rested and it was called back. */
  async *#body(first: Opened, wanted: Wanted): AsyncGenerator<Uint8Array> {
    const { endpoint, watch } = wanted;
    const { lengthBytes } = first;
    let received = 0;
    let opened = first;
    let chunks = this.#chunksOf(opened, endpoint, watch);
    try {
      for (;;) {
        const step = await chunks.next();
        if (step.done) break;
        received += step.value.length;
        const { response, lease } = opened;
        lease.rest(() => response.destroy());
        yield step.value;
        if (lease.resume()) continue;
        if (received === lengthBytes) break;
        opened = await this.#askForRest(wanted, first, received);
        chunks = this.#chunksOf(opened, endpoint, watch);
      }
    } catch (error) {
      throw asUnreachable(error, endpoint);
    } finally {
      opened.response.destroy();
      opened.lease.end();
    }
    if (received !== lengthBytes) {
      throw new RingloadError(
        'peer_unreachable',
        `${endpoint} sent ${String(received)} of ${String(lengthBytes)} bytes`,
      );
    }
  }

  #chunksOf(
    { response, lease }: Opened,
    endpoint: string,
    { bodyPatienceMs = this.#options.stallTimeoutMs }: BodyWatch,
  ): AsyncIterator<Uint8Array> {
    response.setTimeout(bodyPatienceMs, () => {
      // Why: then it is this side that stands still.
      if (lease.callBack()) return;
      response.destroy(new RingloadError('deadline_exceeded', `${endpoint} stalled in a body`));
    });
    return (response as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  /** @throws peer_unreachable when it is not the same copy any more. */
  async #askForRest(wanted: Wanted, first: Opened, received: number): Promise<Opened> {
    const { endpoint, request } = wanted;
    const length = first.lengthBytes - received;
    const rest = { ...request, offset: request.offset + received, length };
    const opened = await this.#ask({
      ...wanted,
      request: rest,
      watch: { isAhead: wanted.watch.isAhead === true },
    });
    if (opened.lengthBytes === length && opened.crc32c === first.crc32c) return opened;
    opened.response.destroy();
    throw new RingloadError('peer_unreachable', `${endpoint} has another copy than before`);
  }
}

async function readError(response: IncomingMessage, endpoint: string): Promise<RingloadError> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > ERROR_BODY_MAX_BYTES) break;
    chunks.push(chunk);
  }
  try {
    return fromWireError(JSON.parse(Buffer.concat(chunks).toString()) as WireError);
  } catch (cause) {
    return new RingloadError(
      'peer_unreachable',
      `${endpoint} answered ${String(response.statusCode)}`,
      { cause },
    );
  }
}

function asUnreachable(error: unknown, url: string): RingloadError {
  if (error instanceof RingloadError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RingloadError('peer_unreachable', `read from ${new URL(url).origin}: ${reason}`, {
    cause: error,
  });
}

function asCancelled(signal: AbortSignal): RingloadError {
  return signal.reason instanceof RingloadError
    ? signal.reason
    : new RingloadError('cancelled', 'the read was given up', { cause: signal.reason });
}
