/**
 * Why a peer refuses another one: a closed list, told on the wire, in errors and in counters.
 *
 * `lasting` reasons need a person (a setting differs); the others pass by themselves, so the
 * dialler keeps its short back-off.
 */
import { RingloadError } from '../base/errors.ts';

interface RefusalTraits {
  readonly httpStatus: number;
  readonly lasting: boolean;
  readonly meaning: string;
}

export const REFUSALS = {
  malformed_handshake: r(400, true, 'the handshake is not one of this protocol'),
  protocol_version: r(426, true, 'the protocol majors differ'),
  browser_origin: r(403, true, 'browsers may not speak to peers'),
  not_a_peer: r(404, true, 'something else than a peer answers at that address'),
  other_cluster: r(403, true, 'the cluster ids differ'),
  secret_required: r(401, true, 'a shared secret is needed and none was proved'),
  wrong_secret: r(403, true, 'the shared secrets differ'),
  replayed: r(403, false, 'the challenge was used before'),
  challenge_expired: r(403, false, 'the challenge is too old'),
  own_id: r(409, true, 'the caller has the id of the peer it called'),
  wrong_target: r(421, true, 'another peer than the one expected answers at that address'),
  not_member: r(403, false, 'the cluster does not know the caller'),
  no_cluster_yet: r(503, false, 'the called peer has not joined a cluster yet'),
  stale_generation: r(409, true, 'a later start of the same peer id is connected'),
  duplicate_id: r(409, true, 'another process with the same peer id is connected'),
  stale_dial: r(409, false, 'a later dial of the caller arrived before this one'),
  duplicate_link: r(409, false, 'the preferred link of the pair is up already'),
  overloaded: r(503, false, 'too many transient links'),
  closing: r(503, false, 'the called peer is shutting down'),
} as const satisfies Record<string, RefusalTraits>;

export type RefusalReason = keyof typeof REFUSALS;

export function isRefusalReason(text: string): text is RefusalReason {
  return Object.hasOwn(REFUSALS, text);
}

/** `peer_refused` with the reason in its details; {@link refusalOf} reads it back. */
export function refusedError(reason: RefusalReason, address: string): RingloadError {
  return new RingloadError(
    'peer_refused',
    `refused by the peer at ${address}: ${reason}, ${REFUSALS[reason].meaning}`,
    { details: { reason, address } },
  );
}

export function refusalOf(error: RingloadError): RefusalReason | undefined {
  const reason = error.code === 'peer_refused' ? error.details['reason'] : undefined;
  return typeof reason === 'string' && isRefusalReason(reason) ? reason : undefined;
}

function r(httpStatus: number, lasting: boolean, meaning: string): RefusalTraits {
  return { httpStatus, lasting, meaning };
}
