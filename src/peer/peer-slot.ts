/** What is known of one other peer: its address, its link, and how dialling it went. */
import type { Timer } from '../base/clock.ts';
import type { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { LinkStatus } from './peer-network.ts';
import type { LinkSession } from './session.ts';
import type { Dial } from './wire.ts';

/** More about a link than {@link LinkStatus} tells: for `doctor` and logs. */
export interface LinkDiagnosis extends LinkStatus {
  readonly address: string | undefined;
  readonly dialledBySelf: boolean | undefined;
  /** Of the latest ping; measured by the side that dialled. */
  readonly roundTripMs: number | undefined;
  readonly failuresCount: number;
  /** Why the last dial failed; undefined when the last one succeeded. */
  readonly lastFailure: string | undefined;
}

export interface PeerSlot {
  readonly id: PeerId;
  /** Undefined: not asked for by `setPeers`, linked because it dialled us. */
  address: string | undefined;
  current: LinkSession | undefined;
  /** Accepted, and the dialler has not said a word yet: it may have given the dial up long ago. */
  unconfirmed: LinkSession | undefined;
  /** The loser of a duplicate, finishing what it carries. */
  draining: LinkSession | undefined;
  dial: Dial | undefined;
  redial: Timer | undefined;
  /** Failed dials, and links that ended young, since the last link that lasted. */
  failuresCount: number;
  lastFailure: RingloadError | undefined;
  lastHeardMs: number | undefined;
  generation: number | undefined;
}

export function createSlot(id: PeerId, address: string | undefined): PeerSlot {
  return {
    id,
    address,
    current: undefined,
    unconfirmed: undefined,
    draining: undefined,
    dial: undefined,
    redial: undefined,
    failuresCount: 0,
    lastFailure: undefined,
    lastHeardMs: undefined,
    generation: undefined,
  };
}

/** Stops whatever would lead to a new link. */
export function stopDialling(slot: PeerSlot): void {
  slot.redial?.cancel();
  slot.redial = undefined;
  slot.dial?.abort();
  slot.dial = undefined;
}

export function statusOf(slot: PeerSlot): LinkStatus {
  const heardMs = [slot.lastHeardMs, slot.current?.lastHeardMs, slot.draining?.lastHeardMs];
  const known = heardMs.filter((value) => value !== undefined);
  return {
    peerId: slot.id,
    connected: slot.current !== undefined,
    lastHeardMs: known.length === 0 ? undefined : Math.max(...known),
    generation: slot.current?.remote.generation ?? slot.generation,
  };
}

export function diagnosisOf(slot: PeerSlot): LinkDiagnosis {
  return {
    ...statusOf(slot),
    address: slot.address,
    dialledBySelf: slot.current?.dialledBySelf,
    roundTripMs: slot.current?.roundTripMs,
    failuresCount: slot.failuresCount,
    lastFailure: slot.lastFailure?.message,
  };
}
