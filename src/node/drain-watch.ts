/**
 * When a member that drains may go: once every peer has brought placement in order without it.
 *
 * Peers are asked one by one while work moves between them (files that one hands over are work of
 * another), so a single round of answers proves nothing. Two rounds in a row in which everybody is
 * idle and nobody was given anything in between do: then all were idle at the same time.
 */
import type { Epoch, PeerId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState, type JobRecord } from '../cluster/job-record.ts';
import type { Member } from '../cluster/member.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { RepairStatus } from '../repair/repairer.ts';

export const REPAIR_STATUS = 'repair.status';
const STATUS_DEADLINE_MS = 2000;

/** What a peer tells of its repair. */
export interface RepairReport extends RepairStatus {
  /** Raft entries that the peer had applied when it said so. */
  readonly appliedIndex: number;
}

export interface DrainWatchOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly state: () => ClusterState;
  readonly report: () => RepairReport;
  /** Silence after which a member that drains is not waited for: what it alone has is lost. */
  readonly lostAfterMs: number;
}

export class DrainWatch {
  readonly #options: DrainWatchOptions;
  /** What the last round of answers was, if all were idle. */
  #quiet: string | undefined;

  constructor(options: DrainWatchOptions) {
    this.#options = options;
  }

  /** Members to remove now; never this peer itself, which hands leadership over first. */
  async leavers(silenceMs: (member: Member) => number): Promise<readonly PeerId[]> {
    const { self, state, lostAfterMs } = this.#options;
    const { members } = state();
    const draining = [...members.values()].filter((member) => member.state === 'draining');
    const lost = draining.filter((member) => silenceMs(member) >= lostAfterMs);
    if (lost.length > 0) return lost.map(({ id }) => id);
    const before = this.#quiet;
    this.#quiet = draining.length > 0 ? await this.#askAll(state()) : undefined;
    if (this.#quiet === undefined || this.#quiet !== before) return [];
    return draining.map(({ id }) => id).filter((id) => id !== self);
  }

  /** The answers in short, if everybody is idle; undefined otherwise. */
  async #askAll({ members, epoch, jobs }: ClusterState): Promise<string | undefined> {
    if ([...jobs.values()].some((job) => mayNeedFormerOwners(job, epoch))) return undefined;
    const asked = [...members.values()].filter(({ state }) => isAwaited(state));
    // Why: it owns keys, and may be what others wait for to hand them over.
    if (asked.some(({ state }) => state === 'suspect')) return undefined;
    const { appliedIndex } = this.#options.report();
    try {
      const reports = await Promise.all(asked.map(({ id }) => this.#ask(id)));
      const isInOrder = reports.every(
        (report) => report.idle && report.epoch === epoch && report.appliedIndex >= appliedIndex,
      );
      if (!isInOrder) return undefined;
      const counts = reports.map(({ requestCount }) => requestCount);
      return JSON.stringify([epoch, asked.map(({ id, generation }) => [id, generation]), counts]);
    } catch {
      return undefined;
    }
  }

  async #ask(id: PeerId): Promise<RepairReport> {
    const { self, network, report } = this.#options;
    if (id === self) return report();
    return (await network.request(id, REPAIR_STATUS, null, STATUS_DEADLINE_MS)) as RepairReport;
  }
}

function isAwaited(state: Member['state']): boolean {
  return state === 'up' || state === 'suspect' || state === 'draining';
}

/** Repair leaves the files of running jobs alone; only one that began under this ring needs none. */
function mayNeedFormerOwners({ state, run, checkpoint }: JobRecord, epoch: Epoch): boolean {
  if (!isActiveState(state)) return false;
  return !(run === 1 && checkpoint?.pass === 1 && checkpoint.epoch === epoch);
}
