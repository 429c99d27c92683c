/**
 * The seam between the links and what carries them: an ordered pipe of frames between two peers
 * whose handshake is done, and the way to get one. Sockets stand behind it in production, memory
 * in the simulator.
 */
import type { ClusterId, PeerId } from '../base/ids.ts';
import type { RingloadError } from '../base/errors.ts';
import type { Frame } from './frame.ts';
import type { RefusalReason } from './refusal.ts';

/** Who is at the other end, as proved by the handshake. */
export interface RemotePeer {
  readonly id: PeerId;
  readonly generation: number;
  /** Random per process: tells a clone of the data directory from the peer itself. */
  readonly instance: string;
}

/** `link`: the lasting one of the pair. `call`: for one request to an address. */
export type LinkPurpose = 'link' | 'call';

/** What a caller says first. */
export interface Hello extends RemotePeer {
  readonly purpose: LinkPurpose;
  /** Grows with every dial of the process: of two callers of one process, which is the later. */
  readonly dialNumber: number;
  /** Undefined: the caller has not joined a cluster yet. */
  readonly clusterId: ClusterId | undefined;
  /** Whom the caller expects; undefined: whoever answers. */
  readonly targetId: PeerId | undefined;
}

/** Why a wire ended; the last two carry no blame. */
export type WireEnd =
  'bad_frame' | 'silent' | 'backlog' | 'replaced' | 'lost' | 'closed' | 'drained';

export interface WireEvents {
  onFrame(frame: Frame): void;
  /** Anything arrived, be it a part of a frame. */
  onHeard(): void;
  /** Once, never from within `close`. */
  onEnd(reason: WireEnd): void;
}

export type SendUrgency =
  /** Bounded by the send buffer. */
  | 'normal'
  /** Answers and control frames: twice the send buffer. */
  | 'urgent';

export interface Wire {
  /** Called once, in the turn in which the wire was handed over. */
  bind(events: WireEvents): void;
  /**
   * False when the buffer is full or the wire has ended; nothing was sent then.
   * @throws invalid_argument, payload_too_large when the frame cannot be sent at all.
   */
  send(frame: Frame, urgency: SendUrgency): boolean;
  /** Ends the wire; what is in the buffer may be lost. */
  close(reason: WireEnd): void;
}

export interface DialRequest {
  readonly address: string;
  readonly hello: Hello;
}

export interface DialListener {
  onOpen(remote: RemotePeer, wire: Wire): void;
  /** `peer_unreachable` or `peer_refused`. */
  onFailure(error: RingloadError): void;
}

/** Exactly one callback of the listener is called, later; none after `abort`. */
export interface Dial {
  abort(): void;
}

export interface Dialler {
  dial(request: DialRequest, listener: DialListener): Dial;
}

/** The side that decides about callers; implemented by the links, asked by the acceptor. */
export interface Admission {
  /** What may be told to anybody: is the caller at the right place? Undefined: yes. */
  screen(hello: Hello): RefusalReason | undefined;
  /** What only an authenticated caller may learn. Undefined: `accept` must follow at once. */
  admit(hello: Hello): RefusalReason | undefined;
  accept(hello: Hello, wire: Wire): void;
  /** The caller was turned away, for the counters. */
  refused(hello: Hello | undefined, reason: RefusalReason): void;
}
