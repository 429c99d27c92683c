/**
 * One link from its handshake to its end: requests with deadlines, answers, messages, liveness,
 * and an orderly goodbye. Knows nothing of sockets and nothing of other links.
 *
 * Invariant: every request that was sent settles exactly once: by its answer, its deadline, or
 * the end of the link. Both tables of open requests are bounded.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { fromWireError, RingloadError, toWireError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { PeerCounters } from './counters.ts';
import { ERROR_MESSAGE_MAX_CHARS } from './frame.ts';
import type { Frame } from './frame.ts';
import type { PeerLimits } from './limits.ts';
import type { MessageHandler, RequestHandler } from './peer-network.ts';
import type { LinkPurpose, RemotePeer, Wire, WireEnd } from './wire.ts';

/** What the two sides may do on a link. */
export interface SessionRole {
  readonly purpose: LinkPurpose;
  readonly dialledBySelf: boolean;
  readonly dialNumber: number;
  /** Whether the other side may send requests of `type`; asked for each. */
  readonly mayRequest: (type: string) => boolean;
  /** Whether the other side may send messages. */
  readonly mayMessage: boolean;
}

export interface SessionOptions extends SessionRole {
  readonly wire: Wire;
  readonly remote: RemotePeer;
  readonly context: SessionContext;
  /** Before the first frame is handled: the other side knows that the link is up. */
  readonly onFirstFrame: (session: LinkSession) => void;
  readonly onEnd: (session: LinkSession, reason: WireEnd) => void;
}

/** What all sessions of a peer share. */
export interface SessionContext {
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly requestHandlers: ReadonlyMap<string, RequestHandler>;
  readonly messageHandlers: ReadonlyMap<string, MessageHandler>;
  /** A handler threw something that no error code covers: a fault of this program. */
  readonly onHandlerFault: (from: PeerId, type: string, error: unknown) => void;
}

interface WaitingRequest {
  readonly resolve: (payload: unknown) => void;
  readonly reject: (error: RingloadError) => void;
  readonly timer: Timer;
}

export class LinkSession {
  readonly remote: RemotePeer;
  readonly purpose: LinkPurpose;
  readonly dialledBySelf: boolean;
  readonly dialNumber: number;
  readonly openedMs: number;
  readonly #options: SessionOptions;
  readonly #context: SessionContext;
  readonly #waiting = new Map<number, WaitingRequest>();
  readonly #handling = new Set<number>();
  #nextId = 1;
  #lastHeardMs: number;
  #suspectedMs: number | undefined;
  #roundTripMs: number | undefined;
  #ping: { readonly sequence: number; readonly sentMs: number } | undefined;
  #pingSequence = 0;
  #retiringSinceMs: number | undefined;
  #byeSent = false;
  #byeReceived = false;
  #heardFrame = false;
  #ended = false;

  constructor(options: SessionOptions) {
    this.remote = options.remote;
    this.purpose = options.purpose;
    this.dialledBySelf = options.dialledBySelf;
    this.dialNumber = options.dialNumber;
    this.#options = options;
    this.#context = options.context;
    this.openedMs = options.context.clock.nowMs();
    this.#lastHeardMs = this.openedMs;
    options.wire.bind({
      onFrame: (frame) => {
        this.#receive(frame);
      },
      onHeard: () => {
        this.#lastHeardMs = this.#context.clock.nowMs();
      },
      onEnd: (reason) => {
        this.#end(reason);
      },
    });
  }

  get lastHeardMs(): number {
    return this.#lastHeardMs;
  }
  /** Of the latest ping; only the dialler measures. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  request(type: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    const { limits, counters, clock } = this.#context;
    if (this.#ended) return Promise.reject(this.#unreachable('closed'));
    if (this.#waiting.size >= limits.outboundRequestsMax) {
      counters.sendsDropped++;
      return Promise.reject(this.#overloaded(`${this.#waiting.size} requests wait already`));
    }
    const id = this.#nextId;
    return new Promise((resolve, reject) => {
      if (!this.#send({ kind: 'request', id, type, payload })) {
        counters.sendsDropped++;
        reject(this.#overloaded('the send buffer is full'));
        return;
      }
      this.#nextId++;
      counters.requestsSent++;
      const timer = clock.setTimer(deadlineMs, () => {
        this.#settle(id)?.reject(
          new RingloadError(
            'deadline_exceeded',
            `wait for ${type} from peer ${this.remote.id}: no answer within ${deadlineMs} ms`,
          ),
        );
      });
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** Best effort; false when nothing was sent. */
  send(type: string, payload: unknown): boolean {
    if (this.#ended) return false;
    const sent = this.#send({ kind: 'message', type, payload });
    if (!sent) this.#context.counters.sendsDropped++;
    return sent;
  }

  /** Asks for a sign of life; the dialler does it for both. */
  ping(): void {
    if (this.#ended || !this.dialledBySelf) return;
    const sequence = ++this.#pingSequence;
    this.#ping = { sequence, sentMs: this.#context.clock.nowMs() };
    this.#sendUrgent({ kind: 'ping', sequence });
  }

  /**
   * Why the link has to end now; undefined: it has not. Asked once per ping interval.
   *
   * Silence counts only when the last asking has already found it: after a stall of this process
   * what the other side said meanwhile is still unread, and must not be held against it.
   */
  overdueAs(nowMs: number): WireEnd | undefined {
    const { deadAfterMs, pingIntervalMs, callMaxMs, drainMaxMs } = this.#context.limits;
    const silentMs = nowMs - this.#lastHeardMs;
    const suspectedBefore =
      this.#suspectedMs !== undefined && this.#suspectedMs > this.#lastHeardMs;
    if (silentMs > deadAfterMs && suspectedBefore) return 'silent';
    this.#suspectedMs = silentMs > deadAfterMs - pingIntervalMs ? nowMs : undefined;
    if (this.purpose === 'call' && nowMs - this.openedMs > callMaxMs) return 'closed';
    if (nowMs - (this.#retiringSinceMs ?? nowMs) > drainMaxMs) return 'drained';
    return undefined;
  }

  /** Starts no more requests here; the link ends when both sides have done so and are idle. */
  retire(): void {
    this.#retiringSinceMs ??= this.#context.clock.nowMs();
    this.#sayBye();
  }

  /** Ends the link now; requests under way fail with `peer_unreachable`. */
  close(reason: WireEnd): void {
    if (this.#ended) return;
    this.#options.wire.close(reason);
    this.#end(reason);
  }

  #send(frame: Frame): boolean {
    const sent = this.#options.wire.send(frame, 'normal');
    if (sent) this.#context.counters.framesSent++;
    return sent;
  }

  /** A side that does not even take its answers is not worth keeping. */
  #sendUrgent(frame: Frame): void {
    if (this.#ended) return;
    if (this.#options.wire.send(frame, 'urgent')) this.#context.counters.framesSent++;
    else this.close('backlog');
  }

  #receive(frame: Frame): void {
    if (this.#ended) return;
    this.#context.counters.framesReceived++;
    if (!this.#heardFrame) {
      this.#heardFrame = true;
      this.#options.onFirstFrame(this);
      if (this.#hasEnded()) return;
    }
    switch (frame.kind) {
      case 'request':
        this.#receiveRequest(frame.id, frame.type, frame.payload);
        return;
      case 'response':
        this.#settleOrCount(frame.id)?.resolve(frame.payload);
        return;
      case 'error':
        this.#settleOrCount(frame.id)?.reject(fromWireError(frame.error));
        return;
      case 'message':
        this.#receiveMessage(frame.type, frame.payload);
        return;
      case 'ping':
        this.#sendUrgent({ kind: 'pong', sequence: frame.sequence });
        return;
      case 'pong':
        this.#receivePong(frame.sequence);
        return;
      case 'bye':
        this.#byeReceived = true;
        this.#closeWhenDone();
        return;
    }
  }

  #receiveRequest(id: number, type: string, payload: unknown): void {
    const { counters, limits, requestHandlers } = this.#context;
    // Why: an error answer would settle the first request with that id.
    if (this.#handling.has(id)) {
      counters.duplicateRequests++;
      return;
    }
    counters.requestsReceived++;
    if (this.#handling.size >= limits.inboundRequestsMax) {
      counters.requestsShed++;
      this.#answerError(
        id,
        new RingloadError('overloaded', `${this.#handling.size} requests of this link are open`),
      );
      return;
    }
    if (!this.#options.mayRequest(type)) {
      this.#answerError(
        id,
        new RingloadError('forbidden', `request ${type} is not open to this caller`),
      );
      return;
    }
    const handler = requestHandlers.get(type);
    if (!handler) {
      this.#answerError(id, noHandler(type));
      return;
    }
    this.#handling.add(id);
    void this.#handle(id, type, handler, payload);
  }

  async #handle(
    id: number,
    type: string,
    handler: RequestHandler,
    payload: unknown,
  ): Promise<void> {
    try {
      const answer = await handler(this.remote.id, payload);
      this.#sendUrgent({ kind: 'response', id, payload: answer });
    } catch (error) {
      if (!(error instanceof RingloadError)) {
        this.#context.onHandlerFault(this.remote.id, type, error);
      }
      this.#answerError(id, error);
    } finally {
      this.#handling.delete(id);
      this.#closeWhenDone();
    }
  }

  #answerError(id: number, thrown: unknown): void {
    const error = toWireError(thrown);
    try {
      const message = error.message.slice(0, ERROR_MESSAGE_MAX_CHARS);
      this.#sendUrgent({ kind: 'error', id, error: { ...error, message } });
    } catch {
      // Why: the details of a foreign error may not be JSON; the caller still gets its code.
      this.#sendUrgent({ kind: 'error', id, error: { code: error.code, message: 'unprintable' } });
    }
  }

  #receiveMessage(type: string, payload: unknown): void {
    if (!this.#options.mayMessage) {
      this.#breach();
      return;
    }
    try {
      this.#context.messageHandlers.get(type)?.(this.remote.id, payload);
    } catch (error) {
      this.#context.onHandlerFault(this.remote.id, type, error);
    }
  }

  #receivePong(sequence: number): void {
    if (this.#ping?.sequence !== sequence) return;
    this.#roundTripMs = this.#context.clock.nowMs() - this.#ping.sentMs;
    this.#ping = undefined;
  }

  #settleOrCount(id: number): WaitingRequest | undefined {
    const waiting = this.#settle(id);
    if (!waiting) this.#context.counters.lateResponses++;
    return waiting;
  }

  #settle(id: number): WaitingRequest | undefined {
    const waiting = this.#waiting.get(id);
    if (!waiting) return undefined;
    this.#waiting.delete(id);
    waiting.timer.cancel();
    this.#sayBye();
    return waiting;
  }

  #sayBye(): void {
    if (
      this.#retiringSinceMs === undefined ||
      this.#byeSent ||
      this.#ended ||
      this.#waiting.size > 0
    )
      return;
    this.#byeSent = true;
    this.#sendUrgent({ kind: 'bye' });
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#byeSent && this.#byeReceived && this.#handling.size === 0) this.close('drained');
  }

  #breach(): void {
    this.#context.counters.badFrames++;
    this.close('bad_frame');
  }

  #hasEnded(): boolean {
    return this.#ended;
  }

  #end(reason: WireEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) {
      request.timer.cancel();
      request.reject(this.#unreachable(reason));
    }
    this.#options.onEnd(this, reason);
  }

  #unreachable(reason: WireEnd): RingloadError {
    return new RingloadError(
      'peer_unreachable',
      `reach peer ${this.remote.id}: the link ended (${reason})`,
      { details: { peerId: this.remote.id, reason } },
    );
  }

  #overloaded(why: string): RingloadError {
    return new RingloadError('overloaded', `ask peer ${this.remote.id}: ${why}`, {
      details: { peerId: this.remote.id },
    });
  }
}

export function noHandler(type: string): RingloadError {
  return new RingloadError('method_not_allowed', `no handler takes requests of type ${type}`);
}
