/**
 * Whether placement is in order: every segment lies where the ring of now says, as far as repair
 * can tell.
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

export interface OrderWatchOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly state: () => ClusterState;
  readonly report: () => RepairReport;
}

export class OrderWatch {
  readonly #options: OrderWatchOptions;
  /** What the last round of answers was, if all were idle. */
  #quiet: string | undefined;
  /** The ring and the starts of its members for which placement was found to be in order. */
  #inOrder: string | undefined;

  constructor(options: OrderWatchOptions) {
    this.#options = options;
  }

  /**
   * It was, and neither the ring changed nor a member started since, which may have come back
   * without what it had. So it is, too, before any job has ended: nothing was left anywhere.
   */
  wasInOrder(): boolean {
    const state = this.#options.state();
    if (this.#inOrder === placeOf(state)) return true;
    return [...state.jobs.values()].every((job) => isActiveState(job.state));
  }

  /** Asks everybody: true when this round and the one before say so. */
  async look(): Promise<boolean> {
    const state = this.#options.state();
    const before = this.#quiet;
    this.#quiet = await this.#askAll(state);
    if (this.#quiet === undefined || this.#quiet !== before) return false;
    this.#inOrder = placeOf(state);
    return true;
  }

  /** The answers in short, if everybody is idle; undefined otherwise. */
  async #askAll(state: ClusterState): Promise<string | undefined> {
    const { members, epoch, jobs } = state;
    if ([...jobs.values()].some((job) => mayNeedFormerOwners(job, epoch))) return undefined;
    const asked = [...members.values()].filter(isAwaited);
    // Why: it owns keys, and may be what others wait for to hand them over.
    if (asked.some((member) => member.state === 'suspect')) return undefined;
    const { appliedIndex } = this.#options.report();
    try {
      const reports = await Promise.all(asked.map(({ id }) => this.#ask(id)));
      const isInOrder = reports.every(
        (report) => report.idle && report.epoch === epoch && report.appliedIndex >= appliedIndex,
      );
      if (!isInOrder) return undefined;
      const counts = reports.map(({ requestCount }) => requestCount);
      return `${placeOf(state)} ${counts.join(' ')}`;
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

function placeOf({ members, epoch }: ClusterState): string {
  const starts = [...members.values()]
    .filter(isAwaited)
    .map(({ id, generation }) => [id, generation]);
  return JSON.stringify([epoch, starts]);
}

function isAwaited({ state }: Member): boolean {
  return state === 'up' || state === 'suspect' || state === 'draining';
}

/** Repair leaves the files of running jobs alone; only one that began under this ring needs none. */
function mayNeedFormerOwners({ state, run, checkpoint }: JobRecord, epoch: Epoch): boolean {
  if (!isActiveState(state)) return false;
  return !(run === 1 && checkpoint?.pass === 1 && checkpoint.epoch === epoch);
}
