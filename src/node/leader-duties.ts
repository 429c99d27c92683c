/**
 * What the leader does besides jobs: judges who is alive, lets drained members go, finds out when
 * placement is in order, keeps the voters in good order, and forgets old jobs. One round at a time, a few times a second, only while this
 * peer leads; a duty that fails does not keep the others from being done.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { Command } from '../cluster/commands.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';
import { DEFAULT_TUNING } from '../raft/options.ts';
import { planMembership, type MemberHealth } from '../raft/membership-policy.ts';
import { DrainWatch } from './drain-watch.ts';
import { ForcedRemovals } from './forced-removals.ts';
import { JobRetention } from './job-retention.ts';
import { LivenessJudge, type LivenessLimits } from './liveness-judge.ts';
import { OrderWatch, type RepairReport } from './order-watch.ts';
import { successorOf } from './succession.ts';

export interface DutyLimits extends LivenessLimits {
  readonly maxVoters: number;
  readonly replaceVoterAfterMs: number;
  readonly jobRetentionMs: number;
}

export interface LeaderDutiesOptions {
  readonly self: PeerId;
  readonly consensus: Consensus;
  readonly network: PeerNetwork;
  readonly state: () => ClusterState;
  readonly commit: (command: Command) => Promise<void>;
  readonly limits: DutyLimits;
  readonly repairReport: () => RepairReport;
  readonly clock: Clock;
  readonly logger: Logger;
}

const ROUND_MS = 200;
/** A tick that comes so late was held up by this process: silence until then proves nothing. */
const STALL_MS = 1000;
const PRUNE_INTERVAL_MS = 60_000;
const CHANGE_DEADLINE_MS = 10_000;

export class LeaderDuties {
  readonly #options: LeaderDutiesOptions;
  readonly #judge: LivenessJudge;
  readonly #order: OrderWatch;
  readonly #drains: DrainWatch;
  readonly #retention: JobRetention;
  readonly #forced: ForcedRemovals;
  #timer: Timer | undefined;
  #tickMs = 0;
  #prunedMs = 0;
  #leading = false;
  /** A round is under way, maybe one of an earlier leadership. */
  #busy = false;

  constructor(options: LeaderDutiesOptions) {
    const { self, limits, repairReport } = options;
    this.#options = options;
    this.#judge = new LivenessJudge(self, limits);
    this.#retention = new JobRetention(limits.jobRetentionMs);
    this.#forced = new ForcedRemovals(options.network);
    this.#order = new OrderWatch({ ...options, report: repairReport });
    this.#drains = new DrainWatch({
      ...options,
      order: this.#order,
      lostAfterMs: limits.downAfterMs,
    });
  }

  start(): void {
    if (this.#leading) return;
    this.#leading = true;
    this.#forced.open();
    this.#tickMs = this.#options.clock.nowMs();
    this.#judge.restart(this.#tickMs);
    this.#retention.restart();
    this.#next();
  }

  /** Every segment is known to lie where the ring of now says. False while it may not. */
  isPlacementInOrder(): boolean {
    return this.#order.wasInOrder();
  }

  stop(): void {
    this.#leading = false;
    this.#forced.close();
    this.#timer?.cancel();
  }

  #next(): void {
    this.#timer = this.#options.clock.setTimer(ROUND_MS, () => {
      this.#tick();
      if (this.#leading) this.#next();
    });
  }

  /** Ticks go on while a round waits, so that a stall is seen whenever it comes. */
  #tick(): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#tickMs > ROUND_MS + STALL_MS) this.#judge.restart(nowMs);
    this.#tickMs = nowMs;
    if (this.#busy) return;
    this.#busy = true;
    void this.#round(nowMs).finally(() => {
      this.#busy = false;
    });
  }

  async #round(nowMs: number): Promise<void> {
    await this.#attempt(() => this.#judgeMembers(nowMs));
    await this.#attempt(() => this.#handOverWhenLeaving());
    await this.#attempt(() => this.#forced.perform((id, proposed) => this.#remove(id, proposed)));
    await this.#attempt(() => this.#removeDrained());
    await this.#attempt(() => this.#lookAtOrder());
    await this.#attempt(() => this.#keepVoters());
    await this.#attempt(() => this.#prune());
  }

  async #attempt(duty: () => Promise<void>): Promise<void> {
    if (!this.#leading) return;
    try {
      await duty();
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      this.#options.logger.debug('leader duty not done', { code, reason: message });
    }
  }

  async #judgeMembers(nowMs: number): Promise<void> {
    const { clock, state, commit, logger } = this.#options;
    const heard = this.#lastHeard();
    const now = { nowMs, wallMs: clock.wallMs() };
    for (const command of this.#judge.judge(state().members.values(), (id) => heard.get(id), now)) {
      logger.info('member judged', { member: command.id, verdict: command.verdict });
      await commit(command);
    }
  }

  /** A leader that leaves lets another one take its vote away. */
  async #handOverWhenLeaving(): Promise<void> {
    if (!this.#isLeaving()) return;
    const { state, consensus, network } = this.#options;
    const successor = successorOf(consensus.status(), state(), network);
    // Without one, the change of voters that follows gives a vote to somebody who can take over.
    if (successor !== undefined) await consensus.transferLeadership(successor, CHANGE_DEADLINE_MS);
  }

  #isLeaving(): boolean {
    const { self, state } = this.#options;
    const own = state().members.get(self)?.state;
    return own === 'draining' || own === 'left';
  }

  async #removeDrained(): Promise<void> {
    const heard = this.#lastHeard();
    const nowMs = this.#options.clock.nowMs();
    const leavers = await this.#drains.leavers(({ id }) =>
      this.#judge.silenceMs(id, heard.get(id), nowMs),
    );
    for (const id of leavers) {
      this.#options.logger.info('member drained', { member: id });
      await this.#remove(id);
    }
  }

  /** @throws not_leader when it was this peer itself: whoever leads now is to do it */
  async #remove(id: PeerId, proposed: () => void = () => undefined): Promise<void> {
    const { self, commit, clock, consensus, state, network } = this.#options;
    if (id === self) {
      const successor = successorOf(consensus.status(), state(), network);
      const message = `remove peer ${id}: nobody could lead after it`;
      if (successor === undefined) throw new RingloadError('conflict', message);
      await consensus.transferLeadership(successor, CHANGE_DEADLINE_MS);
      throw new RingloadError('not_leader', 'leadership was handed over');
    }
    await this.#takeVote(id);
    const committed = commit({ kind: 'member.remove', id, atMs: clock.wallMs() });
    proposed();
    await committed;
  }

  async #lookAtOrder(): Promise<void> {
    if (!this.#order.wasInOrder()) await this.#order.look();
  }

  /**
   * Before a member is told to go: its process ends with that, and could not help any more to change
   * the voters. Two that go together would take the quorum with them.
   */
  async #takeVote(id: PeerId): Promise<void> {
    const { consensus, state } = this.#options;
    const raftId = state().members.get(id)?.raftId;
    if (raftId === undefined || !consensus.status().voters.includes(raftId)) return;
    await consensus.changeMembership({ kind: 'demote', id: raftId }, CHANGE_DEADLINE_MS);
  }

  async #keepVoters(): Promise<void> {
    const { consensus, state, limits, logger, clock, self } = this.#options;
    const heard = this.#lastHeard();
    const nowMs = clock.nowMs();
    const members = [...state().members.values()].map((member): MemberHealth => {
      const silentMs = this.#judge.silenceMs(member.id, heard.get(member.id), nowMs);
      return {
        raftId: member.raftId,
        alive: silentMs < limits.suspectAfterMs,
        goneForMs: silentMs < limits.suspectAfterMs ? 0 : silentMs,
        zone: member.zone,
        // Why not others while they drain: they are still needed, and follow the log until then.
        leaving: member.state === 'left' || (member.id === self && this.#isLeaving()),
      };
    });
    const change = planMembership(consensus.status(), members, {
      maxVoters: limits.maxVoters,
      replaceAfterMs: limits.replaceVoterAfterMs,
      promoteLagEntries: DEFAULT_TUNING.promoteLagEntries,
    });
    if (!change) return;
    logger.info('change of the raft configuration', { change: change.kind, member: change.id });
    await consensus.changeMembership(change, CHANGE_DEADLINE_MS);
  }

  async #prune(): Promise<void> {
    const { clock, state, commit } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs - this.#prunedMs < PRUNE_INTERVAL_MS) return;
    this.#prunedMs = nowMs;
    const jobIds = this.#retention.expired(state().jobs.values(), nowMs);
    if (jobIds.length > 0) await commit({ kind: 'job.prune', jobIds });
  }

  #lastHeard(): Map<PeerId, number | undefined> {
    return new Map(this.#options.network.links().map((link) => [link.peerId, link.lastHeardMs]));
  }
}
