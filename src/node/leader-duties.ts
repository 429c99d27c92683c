/**
 * What the leader does besides jobs: judges who is alive, keeps the voters in good order, and
 * forgets old jobs. One round at a time, a few times a second, only while this peer leads.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { PeerId, RaftId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { Command } from '../cluster/commands.ts';
import { isActiveState } from '../cluster/job-record.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus, MembershipChange } from '../raft/consensus.ts';
import { DEFAULT_TUNING } from '../raft/options.ts';
import { planMembership, type MemberHealth } from '../raft/membership-policy.ts';
import type { RepairStatus } from '../repair/repairer.ts';
import { LivenessJudge, type LivenessLimits } from './liveness-judge.ts';
import { REPAIR_STATUS } from './repair-parts.ts';

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
  readonly repairStatus: () => RepairStatus;
  readonly clock: Clock;
  readonly logger: Logger;
}

const ROUND_MS = 200;
/** A round that comes so late was held up by this process: silence until then proves nothing. */
const STALL_MS = 1000;
const PRUNE_INTERVAL_MS = 60_000;
const CHANGE_DEADLINE_MS = 10_000;
const STATUS_DEADLINE_MS = 2000;

export class LeaderDuties {
  readonly #options: LeaderDutiesOptions;
  readonly #judge: LivenessJudge;
  #timer: Timer | undefined;
  #roundMs = 0;
  #prunedMs = 0;
  #leading = false;

  constructor(options: LeaderDutiesOptions) {
    this.#options = options;
    this.#judge = new LivenessJudge(options.self, options.limits);
  }

  start(): void {
    if (this.#leading) return;
    this.#leading = true;
    this.#roundMs = this.#options.clock.nowMs();
    this.#judge.restart(this.#roundMs);
    this.#next();
  }

  stop(): void {
    this.#leading = false;
    this.#timer?.cancel();
  }

  #next(): void {
    if (!this.#leading) return;
    this.#timer = this.#options.clock.setTimer(ROUND_MS, () => {
      void this.#round().finally(() => {
        this.#next();
      });
    });
  }

  async #round(): Promise<void> {
    const { clock, logger } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs - this.#roundMs > ROUND_MS + STALL_MS) this.#judge.restart(nowMs);
    try {
      await this.#judgeMembers(nowMs);
      if (await this.#handOverWhenLeaving()) return;
      await this.#removeDrained();
      await this.#keepVoters(nowMs);
      await this.#prune(nowMs);
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      logger.debug('leader round not finished', { code, reason: message });
    }
    this.#roundMs = clock.nowMs();
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
  async #handOverWhenLeaving(): Promise<boolean> {
    const { self, state, consensus } = this.#options;
    const own = state().members.get(self)?.state;
    if (own !== 'draining' && own !== 'left') return false;
    const { id, voters, matchIndex } = consensus.status();
    const lag = (voter: RaftId): number => matchIndex.get(voter) ?? 0;
    const best = voters.filter((voter) => voter !== id).sort((a, b) => lag(b) - lag(a))[0];
    if (best === undefined) return false;
    await consensus.transferLeadership(best, CHANGE_DEADLINE_MS);
    return true;
  }

  /** A draining member goes when every live peer has brought placement in order without it. */
  async #removeDrained(): Promise<void> {
    const { state, network, self, repairStatus, commit, clock } = this.#options;
    const { members, epoch } = state();
    const draining = [...members.values()].filter((member) => member.state === 'draining');
    if (draining.length === 0) return;
    for (const member of members.values()) {
      if (member.state !== 'up' && member.state !== 'draining') continue;
      const status =
        member.id === self
          ? repairStatus()
          : ((await network.request(
              member.id,
              REPAIR_STATUS,
              null,
              STATUS_DEADLINE_MS,
            )) as RepairStatus);
      if (!status.idle || status.epoch !== epoch) return;
    }
    for (const { id } of draining)
      await commit({ kind: 'member.remove', id, atMs: clock.wallMs() });
  }

  async #keepVoters(nowMs: number): Promise<void> {
    const { consensus, state, limits, logger } = this.#options;
    const heard = this.#lastHeard();
    const members = [...state().members.values()].map((member): MemberHealth => {
      const silentMs = this.#judge.silenceMs(member.id, heard.get(member.id), nowMs);
      return {
        raftId: member.raftId,
        alive: silentMs < limits.suspectAfterMs,
        goneForMs: silentMs < limits.suspectAfterMs ? 0 : silentMs,
        zone: member.zone,
        // Why not while it drains: it is still needed as a source, and follows the log until then.
        leaving: member.state === 'left',
      };
    });
    const change = planMembership(consensus.status(), members, {
      maxVoters: limits.maxVoters,
      replaceAfterMs: limits.replaceVoterAfterMs,
      promoteLagEntries: DEFAULT_TUNING.promoteLagEntries,
    });
    if (!change) return;
    logger.info('change of the raft configuration', { change: change.kind, member: change.id });
    await this.#change(change);
  }

  async #change(change: MembershipChange): Promise<void> {
    await this.#options.consensus.changeMembership(change, CHANGE_DEADLINE_MS);
  }

  async #prune(nowMs: number): Promise<void> {
    if (nowMs - this.#prunedMs < PRUNE_INTERVAL_MS) return;
    this.#prunedMs = nowMs;
    const { clock, state, limits, commit } = this.#options;
    const endedBeforeMs = clock.wallMs() - limits.jobRetentionMs;
    const isOld = [...state().jobs.values()].some(
      (job) => !isActiveState(job.state) && (job.endedAtMs ?? Infinity) < endedBeforeMs,
    );
    if (isOld) await commit({ kind: 'job.prune', endedBeforeMs });
  }

  #lastHeard(): Map<PeerId, number | undefined> {
    return new Map(this.#options.network.links().map((link) => [link.peerId, link.lastHeardMs]));
  }
}
