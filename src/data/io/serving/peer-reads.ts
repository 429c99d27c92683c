/**
 * What this thread reads from other peers' data endpoints: connections that are kept and shared
 * out, requests, and what the answers mean.
 */
import { fromWireError, RingloadError, type WireError } from '../../../base/errors.ts';
import { CRC_HEADER, formatSegmentRequest, type SegmentRequest } from '../../segment-request.ts';
import { ConnectionShare, type Lease } from '../connection-share.ts';
import type { PeerReadBounds } from './answer-messages.ts';
import { HeldRead, type HeldParts } from './held-read.ts';
import { PeerConnection, type Answered, type OpenedAnswer } from './peer-connection.ts';

export interface PeerOrder {
  readonly endpoint: string;
  readonly request: SegmentRequest;
  readonly token?: string;
  readonly bodyPatienceMs?: number;
}

export interface TakenConnection {
  readonly connection: PeerConnection;
  readonly lease: Lease;
}

const CONNECT_TIMEOUT_MS = 5000;
/** What a data endpoint keeps open is given up earlier here. */
const IDLE_MAX_MS = 20_000;
const IDLE_MAX_COUNT = 16;
const ERROR_BODY_MAX_BYTES = 64 * 1024;

export class PeerReads {
  readonly #bounds: PeerReadBounds;
  readonly #parts: HeldParts;
  readonly #share: ConnectionShare;
  /** By endpoint, the one that was used last is last. */
  readonly #idle = new Map<string, { connection: PeerConnection; sinceMs: number }[]>();
  readonly #reads = new Set<HeldRead>();

  constructor(bounds: PeerReadBounds, parts: HeldParts) {
    this.#bounds = bounds;
    this.#parts = parts;
    const { socketMaxCount: maxCount, headTimeoutMs: waitMaxMs } = bounds;
    this.#share = new ConnectionShare({ maxCount, waitMaxMs });
  }

  /** Resolves when the peer has begun to answer. @throws what it answered, peer_unreachable, … */
  async open(order: PeerOrder, signal: AbortSignal, onAsked: () => void): Promise<HeldRead> {
    const opened = await this.#ask(order, signal, onAsked);
    const { request } = order;
    const read = new HeldRead(opened, this.#parts, {
      patienceMs: order.bodyPatienceMs ?? this.#bounds.stallTimeoutMs,
      askAgain: async (fromBytes) => {
        const length = opened.lengthBytes - fromBytes;
        const rest = { ...request, offset: request.offset + fromBytes, length };
        const again = await this.#ask({ ...order, request: rest }, signal);
        if (again.lengthBytes === length && again.crc32c === opened.crc32c) return again;
        again.connection.close('it is not wanted');
        again.lease.end();
        const message = `${order.endpoint} has another copy than before`;
        throw new RingloadError('peer_unreachable', message);
      },
      onRead: ({ connection, lease }) => {
        lease.end();
        this.#keep(connection);
      },
      onEnd: () => this.#reads.delete(read),
    });
    this.#reads.add(read);
    return read;
  }

  /**
   * A connection for one short answer; undefined when none is free now. Whoever has it asks once and
   * then gives it back, or closes it and ends the lease.
   */
  take(endpoint: string): TakenConnection | undefined {
    const lease = this.#share.leaseNow(endpoint);
    return lease && { lease, connection: this.#connectionTo(endpoint) };
  }

  /** Its answer was read to the end. */
  giveBack({ connection, lease }: TakenConnection): void {
    lease.end();
    this.#keep(connection);
  }

  /** To be called now and then: ends what stands still and what nobody uses. */
  check(): void {
    const nowMs = this.#parts.nowMs();
    for (const read of this.#reads) read.check(nowMs);
    for (const [endpoint, idle] of this.#idle) {
      while (idle[0] && nowMs - idle[0].sinceMs > IDLE_MAX_MS)
        idle.shift()?.connection.close('nobody used it');
      if (idle.length === 0) this.#idle.delete(endpoint);
    }
  }

  async #ask(order: PeerOrder, signal: AbortSignal, onAsked?: () => void): Promise<OpenedAnswer> {
    const lease = await this.#share.lease(order.endpoint, signal);
    onAsked?.();
    let connection: PeerConnection | undefined;
    try {
      const kept = this.#idle.get(order.endpoint)?.pop()?.connection;
      connection = kept ?? this.#connect(order.endpoint);
      let answered: Answered;
      try {
        answered = await this.#askOver(connection, order, signal);
      } catch (thrown) {
        // Why once more: what was kept may have been closed meanwhile by the other side.
        if (!kept || signal.aborted) throw thrown;
        connection = this.#connect(order.endpoint);
        answered = await this.#askOver(connection, order, signal);
      }
      if (answered.head.status !== 200) throw await this.#refusalOf(connection, answered, order);
      const { bodyBytes: lengthBytes, head, rest } = answered;
      const first = Buffer.from(rest.subarray(0, lengthBytes));
      return { connection, lease, lengthBytes, crc32c: Number(head.headers[CRC_HEADER]), first };
    } catch (thrown) {
      lease.end();
      connection?.close('it was not answered');
      if (signal.aborted) throw signal.reason;
      throw asUnreachable(thrown, order.endpoint);
    }
  }

  /** A connection that says nothing in time, or is not wanted any more, is closed. */
  async #askOver(
    connection: PeerConnection,
    { endpoint, request, token }: PeerOrder,
    signal: AbortSignal,
  ): Promise<Answered> {
    const text = peerRequest({ endpoint, token, target: formatSegmentRequest(request) });
    const giveUp = (): void => {
      connection.close('nobody waits for it');
    };
    const { headTimeoutMs } = this.#bounds;
    const connecting = setTimeout(
      () => {
        if (!connection.isConnected) connection.close('it cannot be connected to');
      },
      Math.min(CONNECT_TIMEOUT_MS, headTimeoutMs),
    );
    const timer = setTimeout(() => {
      connection.close(`no answer in ${String(headTimeoutMs)} ms`);
    }, headTimeoutMs);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return await connection.ask(text);
    } finally {
      clearTimeout(connecting);
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    }
  }

  async #refusalOf(
    connection: PeerConnection,
    { bodyBytes, rest, head }: Answered,
    { endpoint }: PeerOrder,
  ): Promise<RingloadError> {
    const strange = `${endpoint} answered ${String(head.status)}`;
    if (bodyBytes > ERROR_BODY_MAX_BYTES || rest.length < bodyBytes) {
      // Errors of the data endpoint are short and come with their heads.
      return new RingloadError('peer_unreachable', strange);
    }
    const text = rest.toString('utf8', 0, bodyBytes);
    if (rest.length === bodyBytes) this.#keep(connection);
    try {
      return fromWireError(JSON.parse(text) as WireError);
    } catch (cause) {
      return new RingloadError('peer_unreachable', strange, { cause });
    }
  }

  #connectionTo(endpoint: string): PeerConnection {
    return this.#idle.get(endpoint)?.pop()?.connection ?? this.#connect(endpoint);
  }

  #connect(endpoint: string): PeerConnection {
    return new PeerConnection(endpoint, () => {
      this.#forget(endpoint);
    });
  }

  #keep(connection: PeerConnection): void {
    connection.rest();
    const idle = this.#idle.get(connection.endpoint) ?? [];
    if (!connection.mayReuse || idle.length >= this.#idleMaxCount) {
      connection.close('enough are kept');
      return;
    }
    idle.push({ connection, sinceMs: this.#parts.nowMs() });
    this.#idle.set(connection.endpoint, idle);
  }

  get #idleMaxCount(): number {
    return Math.min(IDLE_MAX_COUNT, Math.ceil(this.#bounds.socketMaxCount / 8));
  }

  #forget(endpoint: string): void {
    const idle = this.#idle.get(endpoint);
    const open = idle?.filter(({ connection }) => !connection.isClosed) ?? [];
    if (open.length > 0) this.#idle.set(endpoint, open);
    else this.#idle.delete(endpoint);
  }
}

/** A request for what lies at `target` of a data endpoint. */
export function peerRequest(asked: {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly target: string;
}): string {
  const { endpoint, token, target } = asked;
  const host = endpoint.slice(endpoint.indexOf('//') + 2);
  const authorization = token === undefined ? '' : `authorization: Bearer ${token}\r\n`;
  return `GET ${target} HTTP/1.1\r\nhost: ${host}\r\n${authorization}\r\n`;
}

function asUnreachable(thrown: unknown, endpoint: string): RingloadError {
  if (thrown instanceof RingloadError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const message = `read from ${endpoint}: ${reason}`;
  return new RingloadError('peer_unreachable', message, { cause: thrown });
}
