/** Reads ranges of segments from the data endpoints of other peers, over kept-alive sockets. */
import { Agent, get, type IncomingMessage } from 'node:http';
import { fromWireError, RingloadError, type WireError } from '../../base/errors.ts';
import type { PeerSegment, PeerSegments } from '../peer-segments.ts';
import { CRC_HEADER, formatSegmentRequest, type SegmentRequest } from '../segment-request.ts';

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

export class SegmentClient implements PeerSegments {
  readonly #options: SegmentClientOptions;
  readonly #agent: Agent;

  constructor(options: SegmentClientOptions) {
    this.#options = options;
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: 64,
      maxFreeSockets: 16,
      maxTotalSockets: options.socketMaxCount,
    });
  }

  /** @throws peer_unreachable, deadline_exceeded, or what the peer answered. */
  async open(endpoint: string, request: SegmentRequest, signal: AbortSignal): Promise<PeerSegment> {
    signal.throwIfAborted();
    const response = await this.#head(`${endpoint}${formatSegmentRequest(request)}`, signal);
    if (response.statusCode !== 200) throw await readError(response, endpoint);
    const lengthBytes = Number(response.headers['content-length']);
    return {
      lengthBytes,
      crc32c: Number(response.headers[CRC_HEADER]),
      body: this.#body(response, lengthBytes, endpoint),
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  #head(url: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { headTimeoutMs } = this.#options;
    const token = this.#options.token();
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
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

  async *#body(
    response: IncomingMessage,
    lengthBytes: number,
    endpoint: string,
  ): AsyncGenerator<Uint8Array> {
    let received = 0;
    response.setTimeout(this.#options.stallTimeoutMs, () => {
      response.destroy(
        new RingloadError(
          'deadline_exceeded',
          `${endpoint} stalled after ${String(received)} bytes`,
        ),
      );
    });
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        received += chunk.length;
        yield chunk;
      }
    } catch (error) {
      throw asUnreachable(error, endpoint);
    } finally {
      response.destroy();
    }
    if (received !== lengthBytes) {
      throw new RingloadError(
        'peer_unreachable',
        `${endpoint} sent ${String(received)} of ${String(lengthBytes)} bytes`,
      );
    }
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
