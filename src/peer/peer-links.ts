/**
 * The links of one peer: which to dial and when, which of two to keep, whom to let in, who is
 * silent. Everything but the sockets, so the same code runs over memory and virtual time.
 *
 * Invariants: at most one current link per peer, plus one that drains; a peer that is wanted and
 * not linked has a dial under way or planned.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { ClusterId, PeerId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { nextDialDelayMs } from './back-off.ts';
import { chooseLink } from './choose-link.ts';
import type { LinkChoice } from './choose-link.ts';
import { countRefusal } from './counters.ts';
import type { PeerCounters } from './counters.ts';
import { isFrameType } from './frame.ts';
import type { PeerLimits } from './limits.ts';
import { createLoopback } from './loopback.ts';
import type {
  LinkStatus,
  MessageHandler,
  PeerAddress,
  PeerIdentity,
  PeerNetwork,
  RequestHandler,
} from './peer-network.ts';
import { refusalOf, refusedError, REFUSALS } from './refusal.ts';
import type { RefusalReason } from './refusal.ts';
import { LinkSession } from './session.ts';
import type { SessionContext } from './session.ts';
import type { Admission, Dial, Dialler, Hello, RemotePeer, Wire, WireEnd } from './wire.ts';

export interface PeerLinksOptions {
  readonly identity: PeerIdentity;
  /** Random per process. */
  readonly instance: string;
  /** Undefined until this peer has joined. */
  readonly clusterId: () => ClusterId | undefined;
  /** Whether the cluster knows a peer: only members get a link. */
  readonly isMember: (id: PeerId) => boolean;
  /** What a caller may request before it is a member. */
  readonly joinRequestTypes: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly dialler: Dialler;
}

/** More about a link than {@link LinkStatus} tells: for `doctor` and logs. */
export interface LinkDiagnosis extends LinkStatus {
  readonly address: string | undefined;
  readonly dialledBySelf: boolean | undefined;
  readonly roundTripMs: number | undefined;
  readonly failuresCount: number;
  /** Why the last dial failed; undefined when the last one succeeded. */
  readonly lastFailure: string | undefined;
}

interface PeerSlot {
  readonly id: PeerId;
  /** Undefined: not asked for by `setPeers`, linked because it dialled us. */
  address: string | undefined;
  current: LinkSession | undefined;
  draining: { readonly session: LinkSession; readonly sinceMs: number } | undefined;
  dial: Dial | undefined;
  redial: Timer | undefined;
  failuresCount: number;
  lastFailure: RingloadError | undefined;
  lastHeardMs: number | undefined;
  generation: number | undefined;
}

export class PeerLinks implements PeerNetwork, Admission {
  readonly #options: PeerLinksOptions;
  readonly #self: PeerId;
  readonly #context: SessionContext;
  readonly #requestHandlers = new Map<string, RequestHandler>();
  readonly #messageHandlers = new Map<string, MessageHandler>();
  readonly #listeners = new Set<(status: LinkStatus) => void>();
  readonly #slots = new Map<PeerId, PeerSlot>();
  readonly #sessions = new Set<LinkSession>();
  readonly #loopback: LinkSession;
  /** Ends of `requestAt` calls that are still being dialled. */
  readonly #abortCalls = new Set<() => void>();
  #callsCount = 0;
  #tick: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #closed = false;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    this.#self = options.identity.id;
    this.#context = {
      clock: options.clock,
      limits: options.limits,
      counters: options.counters,
      requestHandlers: this.#requestHandlers,
      messageHandlers: this.#messageHandlers,
      onHandlerFault: (from, type, error) => {
        options.logger.error('handler failed', {
          from,
          type,
          error: toRingloadError(error).message,
        });
      },
    };
    this.#loopback = createLoopback(
      { ...options.identity, instance: options.instance },
      this.#context,
    );
  }

  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#closed) return;
    const wanted = new Map(peers.map((peer) => [peer.id, peer.address]));
    wanted.delete(this.#self);
    for (const slot of [...this.#slots.values()]) {
      if (!wanted.has(slot.id)) this.#dropSlot(slot);
    }
    for (const [id, address] of wanted) this.#wantPeer(id, address);
  }

  async request(to: PeerId, type: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    checkRequest(type, deadlineMs);
    const session = this.#sessionTo(to);
    if (!session) throw this.#noLink(to);
    return session.request(type, payload, deadlineMs);
  }

  async requestAt(
    address: string,
    type: string,
    payload: unknown,
    deadlineMs: number,
  ): Promise<unknown> {
    checkRequest(type, deadlineMs);
    const dueMs = this.#options.clock.nowMs() + deadlineMs;
    const session = await this.#openCall(address, deadlineMs);
    try {
      const leftMs = Math.max(0, dueMs - this.#options.clock.nowMs());
      return await session.request(type, payload, leftMs);
    } finally {
      session.close('closed');
    }
  }

  send(to: PeerId, type: string, payload: unknown): boolean {
    invariant(isFrameType(type), `'${type}' is no message type`);
    try {
      return this.#sessionTo(to)?.send(type, payload) ?? false;
    } catch (error) {
      if (toRingloadError(error).code !== 'payload_too_large') throw error;
      this.#options.counters.sendsDropped++;
      this.#options.logger.warn('message dropped', {
        to,
        type,
        error: toRingloadError(error).message,
      });
      return false;
    }
  }

  onRequest(type: string, handler: RequestHandler): void {
    invariant(isFrameType(type), `'${type}' is no request type`);
    invariant(!this.#requestHandlers.has(type), `requests of type ${type} have a handler`);
    this.#requestHandlers.set(type, handler);
  }

  onMessage(type: string, handler: MessageHandler): void {
    invariant(isFrameType(type), `'${type}' is no message type`);
    invariant(!this.#messageHandlers.has(type), `messages of type ${type} have a handler`);
    this.#messageHandlers.set(type, handler);
  }

  onLinkChange(listener: (status: LinkStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  links(): readonly LinkStatus[] {
    return [...this.#slots.values()].map(statusOf);
  }

  diagnose(): readonly LinkDiagnosis[] {
    return [...this.#slots.values()].map((slot) => ({
      ...statusOf(slot),
      address: slot.address,
      dialledBySelf: slot.current?.dialledBySelf,
      roundTripMs: slot.current?.roundTripMs,
      failuresCount: slot.failuresCount,
      lastFailure: slot.lastFailure?.message,
    }));
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const abort of [...this.#abortCalls]) abort();
    for (const slot of [...this.#slots.values()]) this.#dropSlot(slot);
    for (const session of [...this.#sessions]) session.close('closed');
    this.#loopback.close('closed');
    this.#tick?.timer.cancel();
    this.#tick = undefined;
    return Promise.resolve();
  }

  // --- Callers ------------------------------------------------------------------------------

  screen(hello: Hello): RefusalReason | undefined {
    if (this.#closed) return 'closing';
    if (hello.id === this.#self) return 'own_id';
    const clusterId = this.#options.clusterId();
    if (clusterId === undefined) return 'no_cluster_yet';
    if (hello.clusterId !== undefined && hello.clusterId !== clusterId) return 'other_cluster';
    if (hello.targetId !== undefined && hello.targetId !== this.#self) return 'wrong_target';
    return undefined;
  }

  admit(hello: Hello): RefusalReason | undefined {
    if (this.#closed) return 'closing';
    if (hello.purpose === 'call') {
      return this.#callsCount >= this.#options.limits.callsMax ? 'overloaded' : undefined;
    }
    if (hello.clusterId === undefined || !this.#options.isMember(hello.id)) return 'not_member';
    const choice = this.#choose(this.#slots.get(hello.id), hello, false);
    if (choice.kind === 'refuse') return choice.reason;
    return choice.kind === 'keep' ? 'duplicate_link' : undefined;
  }

  accept(hello: Hello, wire: Wire): void {
    if (hello.purpose === 'call') {
      this.#acceptCall(hello, wire);
      return;
    }
    const slot = this.#slots.get(hello.id) ?? this.#addSlot(hello.id, undefined);
    const choice = this.#choose(slot, hello, false);
    this.#place(slot, this.#startLink(hello, wire, false), choice);
  }

  refused(hello: Hello | undefined, reason: RefusalReason): void {
    countRefusal(this.#options.counters.refusedCallers, reason);
    if (reason === 'duplicate_link') return;
    this.#options.logger.warn('peer refused', { caller: hello?.id, reason });
  }

  #acceptCall(hello: Hello, wire: Wire): void {
    const { isMember, joinRequestTypes } = this.#options;
    this.#callsCount++;
    this.#startSession(hello, wire, {
      purpose: 'call',
      dialledBySelf: false,
      mayRequest: (type) =>
        (hello.clusterId !== undefined && isMember(hello.id)) || joinRequestTypes.includes(type),
      mayMessage: false,
    });
  }

  // --- Dialling -----------------------------------------------------------------------------

  #wantPeer(id: PeerId, address: string): void {
    const slot = this.#slots.get(id) ?? this.#addSlot(id, address);
    const moved = slot.address !== address;
    slot.address = address;
    if (moved && !slot.current) {
      slot.failuresCount = 0;
      slot.dial?.abort();
      slot.dial = undefined;
      slot.redial?.cancel();
      slot.redial = undefined;
    }
    this.#planDial(slot);
  }

  #planDial(slot: PeerSlot): void {
    const idle = !slot.current && !slot.dial && !slot.redial;
    if (this.#closed || slot.address === undefined || !idle) return;
    const refusal = slot.lastFailure && refusalOf(slot.lastFailure);
    const delayMs = nextDialDelayMs(
      {
        failuresCount: slot.failuresCount,
        lastingRefusal: refusal !== undefined && REFUSALS[refusal].lasting,
        courtesy: slot.id < this.#self,
      },
      this.#options.limits,
      this.#options.random,
    );
    slot.redial = this.#options.clock.setTimer(delayMs, () => {
      slot.redial = undefined;
      this.#dial(slot);
    });
  }

  #dial(slot: PeerSlot): void {
    const { address } = slot;
    if (this.#closed || address === undefined || slot.current) return;
    this.#options.counters.dials++;
    slot.dial = this.#options.dialler.dial(
      { address, hello: this.#hello('link', slot.id) },
      {
        onOpen: (remote, wire) => {
          slot.dial = undefined;
          this.#dialOpened(slot, remote, wire, address);
        },
        onFailure: (error) => {
          slot.dial = undefined;
          this.#dialFailed(slot, error);
        },
      },
    );
  }

  #dialOpened(slot: PeerSlot, remote: RemotePeer, wire: Wire, address: string): void {
    const choice = this.#choose(slot, remote, true);
    const refusal =
      remote.id !== slot.id ? 'wrong_target' : choice.kind === 'refuse' ? choice.reason : undefined;
    if (refusal !== undefined) {
      wire.close('closed');
      this.#dialFailed(slot, refusedError(refusal, address));
      return;
    }
    slot.lastFailure = undefined;
    this.#place(slot, this.#startLink(remote, wire, true), choice);
  }

  #dialFailed(slot: PeerSlot, error: RingloadError): void {
    const { counters, logger } = this.#options;
    const refusal = refusalOf(error);
    counters.dialFailures++;
    if (refusal !== undefined) countRefusal(counters.refusedDials, refusal);
    if (slot.lastFailure?.message !== error.message && refusal !== 'duplicate_link') {
      logger.warn('dial failed', { peerId: slot.id, address: slot.address, error: error.message });
    }
    slot.lastFailure = error;
    slot.failuresCount++;
    this.#planDial(slot);
  }

  /** Dials for one request and waits for the open link, no longer than the caller would. */
  #openCall(address: string, deadlineMs: number): Promise<LinkSession> {
    if (this.#closed) return Promise.reject(this.#unreachable(address, 'this peer is closing'));
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        timer.cancel();
        this.#abortCalls.delete(abort);
      };
      const giveUp = (error: RingloadError): void => {
        finish();
        dial.abort();
        reject(error);
      };
      const abort = (): void => {
        giveUp(this.#unreachable(address, 'this peer is closing'));
      };
      const timer = this.#options.clock.setTimer(deadlineMs, () => {
        giveUp(
          new RingloadError('deadline_exceeded', `reach ${address}: not within ${deadlineMs} ms`),
        );
      });
      this.#abortCalls.add(abort);
      this.#options.counters.dials++;
      const dial = this.#options.dialler.dial(
        { address, hello: this.#hello('call', undefined) },
        {
          onOpen: (remote, wire) => {
            finish();
            resolve(
              this.#startSession(remote, wire, {
                purpose: 'call',
                dialledBySelf: true,
                mayRequest: () => false,
                mayMessage: false,
              }),
            );
          },
          onFailure: (error) => {
            finish();
            this.#options.counters.dialFailures++;
            const refusal = refusalOf(error);
            if (refusal !== undefined) countRefusal(this.#options.counters.refusedDials, refusal);
            reject(error);
          },
        },
      );
    });
  }

  #hello(purpose: Hello['purpose'], targetId: PeerId | undefined): Hello {
    const { identity, instance, clusterId } = this.#options;
    return { ...identity, instance, purpose, clusterId: clusterId(), targetId };
  }

  // --- Links --------------------------------------------------------------------------------

  #choose(slot: PeerSlot | undefined, remote: RemotePeer, dialledBySelf: boolean): LinkChoice {
    const existing = slot?.current;
    if (!existing) return { kind: 'switch' };
    return chooseLink(existing, { remote, dialledBySelf }, this.#self);
  }

  #startLink(remote: RemotePeer, wire: Wire, dialledBySelf: boolean): LinkSession {
    return this.#startSession(remote, wire, {
      purpose: 'link',
      dialledBySelf,
      mayRequest: () => true,
      mayMessage: true,
    });
  }

  #startSession(
    { id, generation, instance }: RemotePeer,
    wire: Wire,
    role: Pick<LinkSession, 'purpose' | 'dialledBySelf'> & {
      mayRequest: (type: string) => boolean;
      mayMessage: boolean;
    },
  ): LinkSession {
    const session = new LinkSession({
      ...role,
      remote: { id, generation, instance },
      wire,
      context: this.#context,
      onEnd: (ended, reason) => {
        this.#sessionEnded(ended, reason);
      },
    });
    this.#sessions.add(session);
    this.#planTick();
    return session;
  }

  #place(slot: PeerSlot, session: LinkSession, choice: LinkChoice): void {
    const before = slot.current;
    if (choice.kind === 'keep') {
      this.#drain(slot, session);
      return;
    }
    slot.redial?.cancel();
    slot.redial = undefined;
    slot.current = session;
    if (before && choice.kind === 'switch') {
      slot.generation = session.remote.generation;
      this.#drain(slot, before);
      return;
    }
    if (before) {
      before.close('replaced');
      this.#linkClosed(slot, before, 'replaced');
    }
    this.#linkOpened(slot, session);
  }

  #drain(slot: PeerSlot, session: LinkSession): void {
    slot.draining?.session.close('drained');
    slot.draining = { session, sinceMs: this.#options.clock.nowMs() };
    session.retire();
  }

  #linkOpened(slot: PeerSlot, session: LinkSession): void {
    const { counters, logger } = this.#options;
    if (slot.generation !== undefined) counters.reconnects++;
    counters.linksOpened++;
    slot.generation = session.remote.generation;
    slot.lastHeardMs = session.lastHeardMs;
    logger.info('link opened', { peerId: slot.id, dialledBySelf: session.dialledBySelf });
    this.#emit(statusOf(slot));
  }

  #linkClosed(slot: PeerSlot, session: LinkSession, reason: WireEnd): void {
    this.#options.counters.linksClosed++;
    slot.lastHeardMs = session.lastHeardMs;
    const lastedMs = this.#options.clock.nowMs() - session.openedMs;
    const lasted = lastedMs >= this.#options.limits.dialBackoffMaxMs;
    slot.failuresCount = lasted ? 0 : slot.failuresCount + 1;
    this.#options.logger.info('link closed', { peerId: slot.id, reason, lastedMs });
    this.#emit({ ...statusOf(slot), connected: false, generation: session.remote.generation });
  }

  #sessionEnded(session: LinkSession, reason: WireEnd): void {
    this.#sessions.delete(session);
    if (session.purpose === 'call') {
      if (!session.dialledBySelf) this.#callsCount--;
      return;
    }
    const slot = this.#slots.get(session.remote.id);
    if (!slot) return;
    if (slot.draining?.session === session) slot.draining = undefined;
    if (slot.current !== session) return;
    slot.current = undefined;
    this.#linkClosed(slot, session, reason);
    if (slot.address === undefined && !slot.current) this.#slots.delete(slot.id);
    else this.#planDial(slot);
  }

  #addSlot(id: PeerId, address: string | undefined): PeerSlot {
    const slot: PeerSlot = {
      id,
      address,
      current: undefined,
      draining: undefined,
      dial: undefined,
      redial: undefined,
      failuresCount: 0,
      lastFailure: undefined,
      lastHeardMs: undefined,
      generation: undefined,
    };
    this.#slots.set(id, slot);
    return slot;
  }

  #dropSlot(slot: PeerSlot): void {
    slot.address = undefined;
    slot.redial?.cancel();
    slot.dial?.abort();
    slot.draining?.session.close('closed');
    slot.current?.close('closed');
    this.#slots.delete(slot.id);
  }

  // --- Liveness -----------------------------------------------------------------------------

  /** One timer for all links, and none while there is no link. */
  #planTick(): void {
    if (this.#tick || this.#closed || this.#sessions.size === 0) return;
    const { clock, limits } = this.#options;
    this.#tick = {
      dueMs: clock.nowMs() + limits.pingIntervalMs,
      timer: clock.setTimer(limits.pingIntervalMs, () => {
        this.#onTick();
      }),
    };
  }

  #onTick(): void {
    const { clock, limits } = this.#options;
    const nowMs = clock.nowMs();
    // Why: after a stall of this process the frames of the others wait unread in the kernel.
    const stalled = nowMs - (this.#tick?.dueMs ?? nowMs) > limits.pingIntervalMs;
    this.#tick = undefined;
    for (const session of [...this.#sessions]) {
      if (!stalled) this.#endIfOverdue(session, nowMs);
      session.ping();
    }
    this.#planTick();
  }

  #endIfOverdue(session: LinkSession, nowMs: number): void {
    const { limits, counters } = this.#options;
    const draining = this.#slots.get(session.remote.id)?.draining;
    if (nowMs - session.lastHeardMs > limits.deadAfterMs) {
      counters.silentLinks++;
      session.close('silent');
    } else if (session.purpose === 'call' && nowMs - session.openedMs > limits.callMaxMs) {
      session.close('closed');
    } else if (draining?.session === session && nowMs - draining.sinceMs > limits.drainMaxMs) {
      session.close('drained');
    }
  }

  // --- Helpers ------------------------------------------------------------------------------

  #sessionTo(to: PeerId): LinkSession | undefined {
    if (this.#closed) return undefined;
    return to === this.#self ? this.#loopback : this.#slots.get(to)?.current;
  }

  #noLink(to: PeerId): RingloadError {
    const failure = this.#slots.get(to)?.lastFailure;
    const refusal = failure && refusalOf(failure);
    const why = failure ? `: ${failure.message}` : '';
    return new RingloadError('peer_unreachable', `no link to peer ${to}${why}`, {
      details: refusal === undefined ? { peerId: to } : { peerId: to, reason: refusal },
      ...(failure ? { cause: failure } : {}),
    });
  }

  #unreachable(address: string, why: string): RingloadError {
    return new RingloadError('peer_unreachable', `reach ${address}: ${why}`, {
      details: { address },
    });
  }

  #emit(status: LinkStatus): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(status);
      } catch (error) {
        this.#context.onHandlerFault(status.peerId, 'link change', error);
      }
    }
  }
}

function statusOf(slot: PeerSlot): LinkStatus {
  const heardMs = [slot.lastHeardMs, slot.current?.lastHeardMs, slot.draining?.session.lastHeardMs];
  const known = heardMs.filter((value) => value !== undefined);
  return {
    peerId: slot.id,
    connected: slot.current !== undefined,
    lastHeardMs: known.length === 0 ? undefined : Math.max(...known),
    generation: slot.current?.remote.generation ?? slot.generation,
  };
}

function checkRequest(type: string, deadlineMs: number): void {
  invariant(isFrameType(type), `'${type}' is no request type`);
  invariant(
    Number.isFinite(deadlineMs) && deadlineMs >= 0,
    `deadline of ${deadlineMs} ms for a request of type ${type}`,
  );
}
