/**
 * Takes the leader's seat and leaves it: follows Raft's status, and starts coordinator and duties
 * only after this peer has applied everything that was committed before its term.
 */
import { sleep, type Clock, type Timer } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { ClusterId, PeerId, Term } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Command } from '../cluster/commands.ts';
import type { Announcement } from '../cluster/member.ts';
import type { Coordinator } from '../job/coordinator.ts';
import type { Placement } from '../job/placement.ts';
import type { LinkStatus, PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus, RaftStatus } from '../raft/consensus.ts';
import type { LeaderDuties } from './leader-duties.ts';
import type { ReplicatedState } from './replicated-state.ts';
import type { RingView } from './ring-view.ts';
import { successorOf } from './succession.ts';

export interface LeaderSeatOptions {
  readonly consensus: Consensus;
  readonly coordinator: Coordinator;
  readonly duties: LeaderDuties;
  readonly ring: RingView;
  readonly state: ReplicatedState;
  readonly network: PeerNetwork;
  readonly commit: (command: Command) => Promise<void>;
  readonly clusterId: ClusterId;
  /** Who this peer is, for the case that it founds the cluster. */
  readonly founder: Announcement;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onElected: () => void;
}

const REACHABILITY_MS = 250;
const BARRIER_DEADLINE_MS = 2000;
const HAND_OVER_DEADLINE_MS = 3000;
const RETRY_DELAY_MS = 100;

export class LeaderSeat {
  readonly #options: LeaderSeatOptions;
  readonly #unsubscribe: (() => void)[];
  readonly #generations = new Map<PeerId, number>();
  #watch: Timer | undefined;
  #term: Term | undefined;
  #closed = false;

  constructor(options: LeaderSeatOptions) {
    this.#options = options;
    const { consensus, coordinator, state, network } = options;
    this.#unsubscribe = [
      consensus.onStatusChange((status) => {
        this.#follow(status);
      }),
      state.onChange((current) => {
        coordinator.setPlacement(this.#placement());
        coordinator.reconcile(current);
      }),
      network.onLinkChange((link) => {
        this.#noteLink(link);
      }),
    ];
    this.#watchReachability();
    this.#follow(consensus.status());
  }

  #placement(): Placement {
    const { ring, duties } = this.#options;
    return ring.placement(duties.isPlacementInOrder());
  }

  /**
   * A peer whose process is another one than before has lost all that it was working on. Why links
   * that end count, too: peers link to one that starts before its seat is there to hear of it.
   */
  #noteLink({ peerId, generation }: LinkStatus): void {
    const { coordinator } = this.#options;
    if (generation !== undefined) {
      const before = this.#generations.get(peerId);
      this.#generations.set(peerId, generation);
      if (before !== undefined && before !== generation) coordinator.losePeer(peerId);
    }
    coordinator.setPlacement(this.#placement());
  }

  /** Peers fall silent without an event: look a few times a second while this peer leads. */
  #watchReachability(): void {
    this.#watch = this.#options.clock.setTimer(REACHABILITY_MS, () => {
      if (this.#term !== undefined) this.#options.coordinator.setPlacement(this.#placement());
      this.#watchReachability();
    });
  }

  /** Hands leadership over when there is somebody to take it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.cancel();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    const wasLeading = this.#term !== undefined;
    this.#leave();
    if (wasLeading) await this.#handOver();
  }

  #follow({ role, term }: RaftStatus): void {
    if (role === 'leader' && term === this.#term) return;
    this.#leave();
    if (role !== 'leader' || this.#closed) return;
    this.#term = term;
    this.#options.onElected();
    void this.#take(term);
  }

  #leave(): void {
    this.#term = undefined;
    this.#options.duties.stop();
    this.#options.coordinator.resign();
  }

  async #take(term: Term): Promise<void> {
    while (!(await this.#isReady(term))) {
      if (this.#term !== term) return;
      // Why: a loop that has failed refuses at once, and must not keep this peer from stopping.
      await sleep(this.#options.clock, RETRY_DELAY_MS);
    }
    if (this.#term !== term) return;
    const { coordinator, duties, state, logger } = this.#options;
    logger.info('leading', { term });
    coordinator.lead(term, state.current, this.#placement());
    duties.start();
  }

  /** Everything that was committed before the term is applied, and the cluster exists. */
  async #isReady(term: Term): Promise<boolean> {
    const { consensus, state, logger } = this.#options;
    try {
      await consensus.readBarrier(BARRIER_DEADLINE_MS);
      if (state.current.clusterId === undefined && this.#term === term) await this.#found();
      return true;
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      logger.debug('not ready to lead yet', { code, reason: message, term });
      return false;
    }
  }

  async #found(): Promise<void> {
    const { clusterId, founder, clock, commit } = this.#options;
    await commit({ kind: 'cluster.create', clusterId, founder, atMs: clock.wallMs() });
  }

  async #handOver(): Promise<void> {
    const { consensus, logger, state, network } = this.#options;
    const successor = successorOf(consensus.status(), state.current, network);
    if (successor === undefined) return;
    try {
      await consensus.transferLeadership(successor, HAND_OVER_DEADLINE_MS);
    } catch (thrown) {
      logger.info('leadership not handed over', { reason: toRingloadError(thrown).message });
    }
  }
}
