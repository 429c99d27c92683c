/**
 * A peer's way to the others: requests and messages over the links there are, and whom to let in.
 * Everything but the sockets, so the same code runs over memory and virtual time.
 *
 * Invariant: a peer that is wanted and not linked has a dial under way or planned.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { ClusterId, PeerId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { Calls } from './calls.ts';
import { countRefusal } from './counters.ts';
import type { PeerCounters } from './counters.ts';
import { isFrameType } from './frame.ts';
import type { PeerLimits } from './limits.ts';
import { LinkDialler } from './link-dialler.ts';
import { LinkTable } from './link-table.ts';
import { createLoopback } from './loopback.ts';
import type {
  LinkStatus,
  MessageHandler,
  PeerAddress,
  PeerIdentity,
  PeerNetwork,
  RequestHandler,
} from './peer-network.ts';
import { diagnosisOf, statusOf } from './peer-slot.ts';
import type { LinkDiagnosis } from './peer-slot.ts';
import { refusalOf } from './refusal.ts';
import type { RefusalReason } from './refusal.ts';
import type { LinkSession, SessionContext } from './session.ts';
import type { Admission, Dialler, Hello, Wire } from './wire.ts';

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
  readonly #links: LinkTable;
  readonly #dialling: LinkDialler;
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
    this.#links = new LinkTable({
      self: this.#self,
      context: this.#context,
      logger: options.logger,
      onLinkless: (slot) => {
        this.#dialling.plan(slot);
      },
      onCallEnded: (session) => {
        this.#calls.sessionEnded(session);
      },
    });
    this.#dialling = new LinkDialler({
      ...options,
      self: this.#self,
      hello: (to) => this.#hello('link', to),
      open: (slot, remote, wire, dialNumber) => this.#links.open(slot, remote, wire, dialNumber),
    });
    this.#calls = new Calls({
      ...options,
      hello: () => this.#hello('call', undefined),
      startSession: (remote, wire, role) => this.#links.startSession(remote, wire, role),
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
    for (const slot of this.#links.slots()) {
      if (!wanted.has(slot.id)) this.#links.drop(slot);
    }
    for (const [id, address] of wanted) {
      this.#dialling.want(this.#links.get(id) ?? this.#links.add(id, address), address);
    }
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
    return this.#links.onChange(listener);
  }

  links(): readonly LinkStatus[] {
    return this.#links.slots().map(statusOf);
  }

  diagnose(): readonly LinkDiagnosis[] {
    return this.#links.slots().map(diagnosisOf);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#calls.abortAll();
    this.#dialling.close();
    this.#links.closeAll();
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
    return this.#links.refusalOf(hello);
  }

  accept(hello: Hello, wire: Wire): void {
    if (hello.purpose === 'call') this.#calls.accept(hello, wire);
    else this.#links.accept(hello, wire);
  }

  refused(hello: Hello | undefined, reason: RefusalReason): void {
    countRefusal(this.#options.counters.refusedCallers, reason);
    if (reason === 'duplicate_link') return;
    this.#options.logger.warn('peer refused', { caller: hello?.id, reason });
  }

  // --- Helpers ------------------------------------------------------------------------------

  #hello(purpose: Hello['purpose'], targetId: PeerId | undefined): Hello {
    const { identity, instance, clusterId } = this.#options;
    const dialNumber = ++this.#dialCount;
    return { ...identity, instance, purpose, dialNumber, clusterId: clusterId(), targetId };
  }

  #sessionTo(to: PeerId): LinkSession | undefined {
    if (this.#closed) return undefined;
    return to === this.#self ? this.#loopback : this.#links.get(to)?.current;
  }

  #noLink(to: PeerId): RingloadError {
    const failure = this.#links.get(to)?.lastFailure;
    const refusal = failure && refusalOf(failure);
    const why = failure ? `: ${failure.message}` : '';
    return new RingloadError('peer_unreachable', `no link to peer ${to}${why}`, {
      details: refusal === undefined ? { peerId: to } : { peerId: to, reason: refusal },
      ...(failure ? { cause: failure } : {}),
    });
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
