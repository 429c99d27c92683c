/** How a peer comes into a cluster: by founding one, by being admitted, or by coming back. */
import { randomUUID } from 'node:crypto';
import { sleep, type Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { clusterId, raftId, type ClusterId, type PeerId, type RaftId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Announcement } from '../cluster/member.ts';
import type { PeerAddress, PeerNetwork } from '../peer/peer-network.ts';
import { refusalOf, REFUSALS } from '../peer/refusal.ts';

export const JOIN = 'cluster.join';
const HELLO = 'cluster.hello';
const HELLO_DEADLINE_MS = 2000;

/** What a member answers to a peer that wants to join. */
export interface JoinReply {
  readonly clusterId: ClusterId;
  readonly raftId: RaftId;
  readonly members: readonly PeerAddress[];
}

export interface JoinOptions {
  readonly network: PeerNetwork;
  /** `host:port` of members, tried in turn. */
  readonly addresses: readonly string[];
  readonly announcement: Announcement;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const ATTEMPT_DEADLINE_MS = 5000;
const RETRY_DELAY_MS = 250;

/**
 * Asks until a member admits this peer: a cluster that is still electing answers later.
 * @throws peer_refused when a member says no for good; cancelled
 */
export async function join(options: JoinOptions): Promise<JoinReply> {
  const { network, addresses, announcement, clock, logger, signal } = options;
  for (let attempt = 0; ; attempt += 1) {
    const address = addresses[attempt % addresses.length];
    if (address === undefined)
      throw new RingloadError('config_invalid', 'no address to join is configured');
    try {
      return (await network.requestAt(
        address,
        JOIN,
        announcement,
        ATTEMPT_DEADLINE_MS,
      )) as JoinReply;
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (isLastingRefusal(error)) throw error;
      if (attempt % (4 * addresses.length) === 0) {
        logger.info('waiting to join', { address, code: error.code, reason: error.message });
      }
    }
    await sleep(clock, RETRY_DELAY_MS, signal);
  }
}

/** The peer said no, and will say so again. */
function isLastingRefusal(error: RingloadError): boolean {
  const reason = refusalOf(error);
  return error.code === 'peer_refused' && (reason === undefined || REFUSALS[reason].lasting);
}

/**
 * A peer that belongs to a cluster already does not join again; when the configured members are of
 * another one, somebody mixed up data directories.
 * @throws data_dir_foreign
 */
export async function checkSameCluster(
  network: PeerNetwork,
  addresses: readonly string[],
  own: ClusterId,
): Promise<void> {
  await Promise.all(
    addresses.map(async (address) => {
      try {
        await network.requestAt(address, HELLO, null, HELLO_DEADLINE_MS);
      } catch (thrown) {
        const error = toRingloadError(thrown);
        // Why only this: who cannot be reached, or answers something else, proves nothing.
        if (refusalOf(error) !== 'other_cluster') return;
        const message = `the data directory belongs to cluster ${own}, the peer at ${address} to another one`;
        throw new RingloadError('data_dir_foreign', message, { cause: error });
      }
    }),
  );
}

export const FOUNDER_RAFT_ID = raftId(1);

/** The first member numbers itself; everyone else is given a number. */
export function found(): { readonly clusterId: ClusterId; readonly raftId: RaftId } {
  return { clusterId: clusterId(randomUUID()), raftId: FOUNDER_RAFT_ID };
}

/** Addresses a joiner was told, until its own state knows better. */
export class AddressBook {
  readonly #told: readonly PeerAddress[];
  readonly #self: PeerId;

  constructor(self: PeerId, told: readonly PeerAddress[]) {
    this.#self = self;
    this.#told = told;
  }

  knows(id: PeerId): boolean {
    return this.#told.some((peer) => peer.id === id);
  }

  /** Everyone to keep a link to: what the state says, and before it says anything, what was told. */
  peers(members: Iterable<{ readonly id: PeerId; readonly address: string }>): PeerAddress[] {
    const known = [...members].map(({ id, address }) => ({ id, address }));
    const peers = known.length > 0 ? known : this.#told;
    return peers.filter(({ id }) => id !== this.#self);
  }
}
