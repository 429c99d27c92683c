/**
 * The links of one peer: which to dial and when, which of two to keep, whom to let in, who is
 * silent. Everything but the sockets, so the same code runs over memory and virtual time.
 *
 * Invariants: at most one current link per peer, plus one that drains and one that was accepted
 * and not confirmed; a peer that is wanted and not linked has a dial under way or planned.
 *
 * A link counts at the accepting side from the dialler's first frame on. What the network held up
 * and delivers late, when its dialler has long given up, so never stands in for the real link.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { ClusterId, PeerId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { nextDialDelayMs } from './back-off.ts';
import { Calls } from './calls.ts';
import { chooseLink } from './choose-link.ts';
import type { LinkChoice, LinkFacts } from './choose-link.ts';
import { countRefusal } from './counters.ts';
import type { PeerCounters } from './counters.ts';
import { isFrameType } from './frame.ts';
import { Heartbeat } from './heartbeat.ts';
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
import { createSlot, diagnosisOf, statusOf, stopDialling } from './peer-slot.ts';
import type { LinkDiagnosis, PeerSlot } from './peer-slot.ts';
import { refusalOf, refusedError, REFUSALS } from './refusal.ts';
import type { RefusalReason } from './refusal.ts';
import { LinkSession } from './session.ts';
import type { SessionContext, SessionRole } from './session.ts';
import type { Admission, Dialler, DialRequest, Hello, RemotePeer, Wire, WireEnd } from './wire.ts';

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

export class PeerLinks implements PeerNetwork, Admission {
  readonly #options: PeerLinksOptions;
  readonly #self: PeerId;
  readonly #context: SessionContext;
  readonly #requestHandlers = new Map<string, RequestHandler>();
  readonly #messageHandlers = new Map<string, MessageHandler>();
  readonly #listeners = new Set<(status: LinkStatus) => void>();
  readonly #slots = new Map<PeerId, PeerSlot>();
  readonly #heartbeat: Heartbeat;
  readonly #calls: Calls;
  readonly #loopback: LinkSession;
  #dialCount = 0;
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
    this.#heartbeat = new Heartbeat(options);
    this.#calls = new Calls({
      ...options,
      hello: () => this.#hello('call', undefined),
      startSession: (remote, wire, role) => this.#startSession(remote, wire, role),
      mayRequest: (caller, type) =>
        (caller.clusterId !== undefined && options.isMember(caller.id)) ||
        options.joinRequestTypes.includes(type),
    });
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
    if (this.#closed) throw unreachable(address, 'this peer is closing');
    return this.#calls.request(address, type, payload, deadlineMs);
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
    return [...this.#slots.values()].map(diagnosisOf);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#calls.abortAll();
    for (const slot of [...this.#slots.values()]) this.#dropSlot(slot);
    for (const session of this.#heartbeat.sessions()) session.close('closed');
    this.#loopback.close('closed');
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
    if (hello.purpose === 'call') return this.#calls.isFull ? 'overloaded' : undefined;
    if (hello.clusterId === undefined || !this.#options.isMember(hello.id)) return 'not_member';
    const slot = this.#slots.get(hello.id);
    const caller = { remote: hello, dialledBySelf: false, dialNumber: hello.dialNumber };
    for (const known of [slot?.unconfirmed, slot?.current]) {
      const choice = known && chooseLink(known, caller, this.#self);
      if (choice?.kind === 'refuse') return choice.reason;
      if (choice?.kind === 'keep') return 'duplicate_link';
    }
    return undefined;
  }

  accept(hello: Hello, wire: Wire): void {
    if (hello.purpose === 'call') {
      this.#calls.accept(hello, wire);
      return;
    }
    const slot = this.#slots.get(hello.id) ?? this.#addSlot(hello.id, undefined);
    const { dialNumber } = hello;
    const earlier = slot.unconfirmed;
    slot.unconfirmed = this.#startLink(hello, wire, { dialledBySelf: false, dialNumber });
    earlier?.close('replaced');
  }

  refused(hello: Hello | undefined, reason: RefusalReason): void {
    countRefusal(this.#options.counters.refusedCallers, reason);
    if (reason === 'duplicate_link') return;
    this.#options.logger.warn('peer refused', { caller: hello?.id, reason });
  }

  // --- Dialling -----------------------------------------------------------------------------

  #wantPeer(id: PeerId, address: string): void {
    const slot = this.#slots.get(id) ?? this.#addSlot(id, address);
    const moved = slot.address !== address;
    slot.address = address;
    if (moved && !slot.current) {
      slot.failuresCount = 0;
      stopDialling(slot);
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
    const hello = this.#hello('link', slot.id);
    slot.dial = this.#options.dialler.dial(
      { address, hello },
      {
        onOpen: (remote, wire) => {
          slot.dial = undefined;
          this.#dialOpened(slot, remote, wire, { address, hello });
        },
        onFailure: (error) => {
          slot.dial = undefined;
          this.#dialFailed(slot, error);
        },
      },
    );
  }

  #dialOpened(
    slot: PeerSlot,
    remote: RemotePeer,
    wire: Wire,
    { address, hello: { dialNumber } }: DialRequest,
  ): void {
    const dialled = { dialledBySelf: true, dialNumber };
    const choice = this.#choose(slot, { ...dialled, remote });
    const refusal =
      remote.id !== slot.id ? 'wrong_target' : choice.kind === 'refuse' ? choice.reason : undefined;
    if (refusal !== undefined) {
      wire.close('closed');
      this.#dialFailed(slot, refusedError(refusal, address));
      return;
    }
    const session = this.#startLink(remote, wire, dialled);
    this.#place(slot, session, choice);
    // Why: the other side waits for a word before it takes the link for one.
    session.ping();
  }

  #dialFailed(slot: PeerSlot, error: RingloadError): void {
    const { counters, logger } = this.#options;
    const refusal = refusalOf(error);
    counters.dialFailures++;
    if (refusal !== undefined) countRefusal(counters.refusedDials, refusal);
    // Why: the other side dialled meanwhile, and that dial won.
    if (slot.current) return;
    if (slot.unconfirmed && refusal === 'duplicate_link') {
      this.#planDial(slot);
      return;
    }
    if (slot.lastFailure?.message !== error.message && refusal !== 'duplicate_link') {
      logger.warn('dial failed', { peerId: slot.id, address: slot.address, error: error.message });
    }
    slot.lastFailure = error;
    slot.failuresCount++;
    this.#planDial(slot);
  }

  #hello(purpose: Hello['purpose'], targetId: PeerId | undefined): Hello {
    const { identity, instance, clusterId } = this.#options;
    const dialNumber = ++this.#dialCount;
    return { ...identity, instance, purpose, dialNumber, clusterId: clusterId(), targetId };
  }

  // --- Links --------------------------------------------------------------------------------

  #choose(slot: PeerSlot, candidate: LinkFacts): LinkChoice {
    const existing = slot.current;
    return existing ? chooseLink(existing, candidate, this.#self) : { kind: 'switch' };
  }

  #startLink(
    remote: RemotePeer,
    wire: Wire,
    origin: Pick<SessionRole, 'dialledBySelf' | 'dialNumber'>,
  ): LinkSession {
    return this.#startSession(remote, wire, {
      ...origin,
      purpose: 'link',
      mayRequest: () => true,
      mayMessage: true,
    });
  }

  #startSession(
    { id, generation, instance }: RemotePeer,
    wire: Wire,
    role: SessionRole,
  ): LinkSession {
    const session = new LinkSession({
      ...role,
      remote: { id, generation, instance },
      wire,
      context: this.#context,
      onFirstFrame: (heard) => {
        this.#confirm(heard);
      },
      onEnd: (ended, reason) => {
        this.#sessionEnded(ended, reason);
      },
    });
    this.#heartbeat.watch(session);
    return session;
  }

  /** The dialler of an accepted link holds it for one, too: now it competes with the others. */
  #confirm(session: LinkSession): void {
    const slot = this.#slots.get(session.remote.id);
    if (slot?.unconfirmed !== session) return;
    slot.unconfirmed = undefined;
    const choice = this.#choose(slot, session);
    if (choice.kind === 'refuse') session.close('closed');
    else this.#place(slot, session, choice);
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
    slot.draining?.close('drained');
    slot.draining = session;
    session.retire();
  }

  #linkOpened(slot: PeerSlot, session: LinkSession): void {
    const { counters, logger } = this.#options;
    if (slot.generation !== undefined) counters.reconnects++;
    counters.linksOpened++;
    slot.lastFailure = undefined;
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
    this.#heartbeat.unwatch(session);
    if (session.purpose === 'call') {
      this.#calls.sessionEnded(session);
      return;
    }
    const slot = this.#slots.get(session.remote.id);
    if (!slot) return;
    if (slot.draining === session) slot.draining = undefined;
    if (slot.unconfirmed === session) slot.unconfirmed = undefined;
    if (slot.current === session) {
      slot.current = undefined;
      this.#linkClosed(slot, session, reason);
    }
    if (slot.current) return;
    if (slot.address !== undefined) this.#planDial(slot);
    else if (!slot.unconfirmed) this.#forget(slot);
  }

  #addSlot(id: PeerId, address: string | undefined): PeerSlot {
    const slot = createSlot(id, address);
    this.#slots.set(id, slot);
    return slot;
  }

  #dropSlot(slot: PeerSlot): void {
    slot.address = undefined;
    stopDialling(slot);
    slot.unconfirmed?.close('closed');
    slot.draining?.close('closed');
    slot.current?.close('closed');
    this.#forget(slot);
  }

  /** Unless a listener of the closing link has asked for the peer again. */
  #forget(slot: PeerSlot): void {
    if (this.#slots.get(slot.id) === slot) this.#slots.delete(slot.id);
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

function checkRequest(type: string, deadlineMs: number): void {
  invariant(isFrameType(type), `'${type}' is no request type`);
  invariant(
    Number.isFinite(deadlineMs) && deadlineMs >= 0,
    `deadline of ${deadlineMs} ms for a request of type ${type}`,
  );
}

function unreachable(address: string, why: string): RingloadError {
  return new RingloadError('peer_unreachable', `reach ${address}: ${why}`, {
    details: { address },
  });
}
