/**
 * Members that are to go at once, drained or not: asked for at any peer, done by the leader in its
 * rounds, one after the other. It takes the member's vote first: the process ends when it hears that
 * it was removed, and members that go quickly one after the other would take the quorum with them.
 */
import { sleep, type Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';

const FORCE_OUT = 'cluster.forceOut';
const ATTEMPT_MAX_MS = 5_000;
const RETRY_DELAY_MS = 100;

interface Waiting {
  readonly id: PeerId;
  readonly from: PeerId;
  readonly resolve: (nothing: null) => void;
  readonly reject: (error: unknown) => void;
}

/** The leader's side: what it was asked for, until a round does it. */
export class ForcedRemovals {
  readonly #waiting: Waiting[] = [];
  #isOpen = false;

  constructor(network: Pick<PeerNetwork, 'onRequest'>) {
    network.onRequest(FORCE_OUT, (from, payload) =>
      this.#add(from, (payload as { readonly id: PeerId }).id),
    );
  }

  open(): void {
    this.#isOpen = true;
  }

  /** This peer leads no more: who asked has to ask the next leader. */
  close(): void {
    this.#isOpen = false;
    for (const { reject } of this.#waiting.splice(0)) reject(notLeading());
  }

  /**
   * @param remove calls `proposed` when only the commit is left. Who goes itself hears of that: with
   * the commit it has no link any more.
   */
  async perform(remove: (id: PeerId, proposed: () => void) => Promise<void>): Promise<void> {
    for (const { id, from, resolve, reject } of this.#waiting.splice(0)) {
      try {
        await remove(id, () => {
          if (from === id) resolve(null);
        });
        resolve(null);
      } catch (thrown) {
        reject(thrown);
      }
    }
  }

  #add(from: PeerId, id: PeerId): Promise<null> {
    if (!this.#isOpen) return Promise.reject(notLeading());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, from, resolve, reject });
    });
  }
}

/**
 * Resolves when the member is removed.
 * @throws conflict when the others could not decide anything any more; no_leader
 */
export async function forceOut(
  options: {
    readonly network: PeerNetwork;
    readonly leader: () => PeerId | undefined;
    readonly clock: Clock;
  },
  id: PeerId,
  deadlineMs: number,
): Promise<void> {
  const { network, leader, clock } = options;
  const untilMs = clock.nowMs() + deadlineMs;
  for (;;) {
    try {
      const to = leader();
      if (to === undefined) throw new RingloadError('no_leader', 'no leader is known');
      await network.request(to, FORCE_OUT, { id }, ATTEMPT_MAX_MS);
      return;
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (!error.retryable || clock.nowMs() + RETRY_DELAY_MS >= untilMs) throw error;
    }
    await sleep(clock, RETRY_DELAY_MS);
  }
}

function notLeading(): RingloadError {
  return new RingloadError('not_leader', 'this peer does not lead');
}
