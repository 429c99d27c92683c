/**
 * Which links there are: at most one current link per peer, plus one that drains and one that was
 * accepted and not confirmed.
 *
 * A link counts at the accepting side from the dialler's first frame on. What the network held up
 * and delivers late, when its dialler has long given up, so never stands in for the real link.
 */
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { chooseLink } from './choose-link.ts';
import type { LinkChoice, LinkFacts } from './choose-link.ts';
import type { PeerCounters } from './counters.ts';
import { Heartbeat } from './heartbeat.ts';
import type { LinkStatus } from './peer-network.ts';
import { createSlot, statusOf, stopDialling } from './peer-slot.ts';
import type { PeerSlot } from './peer-slot.ts';
import type { RefusalReason } from './refusal.ts';
import { LinkSession } from './session.ts';
import type { SessionContext, SessionRole } from './session.ts';
import type { Hello, RemotePeer, Wire, WireEnd } from './wire.ts';

export interface LinkTableOptions {
  readonly self: PeerId;
  readonly context: SessionContext;
  readonly logger: Logger;
  /** A peer that is wanted has no link any more. */
  readonly onLinkless: (slot: PeerSlot) => void;
  readonly onCallEnded: (session: LinkSession) => void;
}

export class LinkTable {
  readonly #options: LinkTableOptions;
  readonly #self: PeerId;
  readonly #counters: PeerCounters;
  readonly #heartbeat: Heartbeat;
  readonly #slots = new Map<PeerId, PeerSlot>();
  readonly #listeners = new Set<(status: LinkStatus) => void>();

  constructor(options: LinkTableOptions) {
    this.#options = options;
    this.#self = options.self;
    this.#counters = options.context.counters;
    this.#heartbeat = new Heartbeat(options.context);
  }

  get(id: PeerId): PeerSlot | undefined {
    return this.#slots.get(id);
  }

  slots(): readonly PeerSlot[] {
    return [...this.#slots.values()];
  }

  onChange(listener: (status: LinkStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why a caller gets no link; undefined when it may have one. */
  refusalOf(caller: Hello): RefusalReason | undefined {
    const slot = this.#slots.get(caller.id);
    const facts = { remote: caller, dialledBySelf: false, dialNumber: caller.dialNumber };
    for (const known of [slot?.unconfirmed, slot?.current]) {
      const choice = known && chooseLink(known, facts, this.#self);
      if (choice?.kind === 'refuse') return choice.reason;
      if (choice?.kind === 'keep') return 'duplicate_link';
    }
    return undefined;
  }

  /** A peer dialled us. */
  accept(caller: Hello, wire: Wire): void {
    const slot = this.#slots.get(caller.id) ?? this.add(caller.id, undefined);
    const { dialNumber } = caller;
    const earlier = slot.unconfirmed;
    slot.unconfirmed = this.#startLink(caller, wire, { dialledBySelf: false, dialNumber });
    earlier?.close('replaced');
  }

  /** We reached a peer: a link, or the reason why the wire was closed. */
  open(
    slot: PeerSlot,
    remote: RemotePeer,
    wire: Wire,
    dialNumber: number,
  ): RefusalReason | undefined {
    const dialled = { dialledBySelf: true, dialNumber };
    const choice = this.#choose(slot, { ...dialled, remote });
    const refusal =
      remote.id !== slot.id ? 'wrong_target' : choice.kind === 'refuse' ? choice.reason : undefined;
    if (refusal !== undefined) {
      wire.close('closed');
      return refusal;
    }
    const session = this.#startLink(remote, wire, dialled);
    this.#place(slot, session, choice);
    // Why: the other side waits for a word before it takes the link for one.
    session.ping();
    return undefined;
  }

  add(id: PeerId, address: string | undefined): PeerSlot {
    const slot = createSlot(id, address);
    this.#slots.set(id, slot);
    return slot;
  }

  drop(slot: PeerSlot): void {
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

  closeAll(): void {
    for (const slot of this.slots()) this.drop(slot);
    for (const session of this.#heartbeat.sessions()) session.close('closed');
  }

  #choose(slot: PeerSlot, candidate: LinkFacts): LinkChoice {
    const existing = slot.current;
    return existing ? chooseLink(existing, candidate, this.#self) : { kind: 'switch' };
  }

  #startLink(
    remote: RemotePeer,
    wire: Wire,
    origin: Pick<SessionRole, 'dialledBySelf' | 'dialNumber'>,
  ): LinkSession {
    return this.startSession(remote, wire, {
      ...origin,
      purpose: 'link',
      mayRequest: () => true,
      mayMessage: true,
    });
  }

  startSession(
    { id, generation, instance }: RemotePeer,
    wire: Wire,
    role: SessionRole,
  ): LinkSession {
    const session = new LinkSession({
      ...role,
      remote: { id, generation, instance },
      wire,
      context: this.#options.context,
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
    const { logger } = this.#options;
    const counters = this.#counters;
    if (slot.generation !== undefined) counters.reconnects++;
    counters.linksOpened++;
    slot.lastFailure = undefined;
    slot.generation = session.remote.generation;
    slot.lastHeardMs = session.lastHeardMs;
    logger.info('link opened', { peerId: slot.id, dialledBySelf: session.dialledBySelf });
    this.#emit(statusOf(slot));
  }

  #linkClosed(slot: PeerSlot, session: LinkSession, reason: WireEnd): void {
    this.#counters.linksClosed++;
    slot.lastHeardMs = session.lastHeardMs;
    const lastedMs = this.#options.context.clock.nowMs() - session.openedMs;
    const lasted = lastedMs >= this.#options.context.limits.dialBackoffMaxMs;
    slot.failuresCount = lasted ? 0 : slot.failuresCount + 1;
    this.#options.logger.info('link closed', { peerId: slot.id, reason, lastedMs });
    this.#emit({ ...statusOf(slot), connected: false, generation: session.remote.generation });
  }

  #sessionEnded(session: LinkSession, reason: WireEnd): void {
    this.#heartbeat.unwatch(session);
    if (session.purpose === 'call') {
      this.#options.onCallEnded(session);
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
    if (slot.address !== undefined) this.#options.onLinkless(slot);
    else if (!slot.unconfirmed) this.#forget(slot);
  }

  #emit(status: LinkStatus): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(status);
      } catch (error) {
        this.#options.context.onHandlerFault(status.peerId, 'link change', error);
      }
    }
  }
}
