/**
 * Every bound of the peer links, with its default and the relations between them.
 *
 * Defaults suit a LAN: a dead peer is noticed within 3 s, a restarted one is linked again within
 * 2 s, and one link never holds more than about 48 MiB of unsent or half-received data.
 */
import { RingloadError } from '../base/errors.ts';
import { KIB, MIB } from '../base/units.ts';

export interface PeerLimits {
  /** Largest WebSocket frame that is read; a larger one closes its link. */
  readonly frameMaxBytes: number;
  /** Largest message after joining its parts, and largest that is sent. */
  readonly messageMaxBytes: number;
  /** Messages above this size travel in parts of it, so that small frames can pass between. */
  readonly partBytes: number;
  /** Unsent bytes of one link beyond which `send` says false and `request` says overloaded. */
  readonly sendBufferMaxBytes: number;
  /** Deepest nesting of arrays and objects in a frame. */
  readonly nestingMax: number;
  /** Requests of one link that handlers may be working on; more are answered with overloaded. */
  readonly inboundRequestsMax: number;
  /** Requests of one link that may wait for their answer; more fail with overloaded. */
  readonly outboundRequestsMax: number;
  /** Transient links of joiners and other callers accepted at a time. */
  readonly callsMax: number;
  /** Life of a transient link. */
  readonly callMaxMs: number;
  readonly pingIntervalMs: number;
  /** Silence after which a link is dead. */
  readonly deadAfterMs: number;
  /** From the first packet of a dial to the finished handshake, both round trips included. */
  readonly dialTimeoutMs: number;
  /** First and largest delay between two dials; each is spread over its upper half. */
  readonly dialBackoffMinMs: number;
  readonly dialBackoffMaxMs: number;
  /** Head start that the peer with the larger id gives the other one, so that one dial suffices. */
  readonly dialCourtesyMs: number;
  /** How long the losing link of a duplicate may finish the requests it carries. */
  readonly drainMaxMs: number;
  /** Life of a challenge, from its issue to its use. */
  readonly challengeMaxMs: number;
}

export const DEFAULT_PEER_LIMITS: PeerLimits = {
  frameMaxBytes: 8 * MIB,
  messageMaxBytes: 32 * MIB,
  partBytes: 256 * KIB,
  sendBufferMaxBytes: 8 * MIB,
  nestingMax: 64,
  inboundRequestsMax: 4_096,
  outboundRequestsMax: 16_384,
  callsMax: 64,
  callMaxMs: 60_000,
  pingIntervalMs: 500,
  deadAfterMs: 2_500,
  dialTimeoutMs: 3_000,
  dialBackoffMinMs: 50,
  dialBackoffMaxMs: 2_000,
  dialCourtesyMs: 200,
  drainMaxMs: 5_000,
  challengeMaxMs: 10_000,
};

/** Bytes that a part or a seal adds to a frame, rounded up. */
const FRAME_OVERHEAD_BYTES = 64;

/**
 * Defaults with `overrides`.
 * @throws config_invalid when a bound is not a positive whole number or two contradict each other.
 */
export function resolvePeerLimits(overrides: Partial<PeerLimits> = {}): PeerLimits {
  const limits: PeerLimits = { ...DEFAULT_PEER_LIMITS, ...overrides };
  for (const [name, value] of Object.entries(limits) as [string, number][]) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RingloadError(
        'config_invalid',
        `peer limit ${name} is ${value}, not a whole number above 0`,
      );
    }
  }
  demand(limits.partBytes + FRAME_OVERHEAD_BYTES <= limits.frameMaxBytes, limits, [
    'partBytes',
    'frameMaxBytes',
  ]);
  demand(limits.partBytes <= limits.messageMaxBytes, limits, ['partBytes', 'messageMaxBytes']);
  demand(limits.pingIntervalMs * 2 <= limits.deadAfterMs, limits, [
    'pingIntervalMs',
    'deadAfterMs',
  ]);
  demand(limits.dialBackoffMinMs <= limits.dialBackoffMaxMs, limits, [
    'dialBackoffMinMs',
    'dialBackoffMaxMs',
  ]);
  return Object.freeze(limits);
}

function demand(
  holds: boolean,
  limits: PeerLimits,
  [small, large]: readonly [keyof PeerLimits, keyof PeerLimits],
): void {
  if (holds) return;
  throw new RingloadError(
    'config_invalid',
    `peer limit ${small} (${limits[small]}) is too large for ${large} (${limits[large]})`,
  );
}
