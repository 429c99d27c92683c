/**
 * Which ended jobs have been listed for long enough, by the monotonic clock of the peer that leads:
 * a wall clock that jumps by ten years must not forget what ended a minute ago. The next leader
 * counts anew; the number of ended jobs is bounded besides.
 */
import type { JobId } from '../base/ids.ts';
import { isActiveState, type JobRecord } from '../cluster/job-record.ts';

export class JobRetention {
  readonly #retentionMs: number;
  /** Since when this leader has known a run as ended; a resumed job's next run is another. */
  #sinceMs = new Map<string, number>();

  constructor(retentionMs: number) {
    this.#retentionMs = retentionMs;
  }

  /** For a new leadership: what happened in between is not known. */
  restart(): void {
    this.#sinceMs.clear();
  }

  /** Notes what has ended since the last call, and gives what has been so for long enough. */
  expired(jobs: Iterable<JobRecord>, nowMs: number): JobId[] {
    const known = this.#sinceMs;
    this.#sinceMs = new Map();
    const expired: JobId[] = [];
    for (const { id, run, state } of jobs) {
      if (isActiveState(state)) continue;
      const key = `${id} ${String(run)}`;
      const sinceMs = known.get(key) ?? nowMs;
      this.#sinceMs.set(key, sinceMs);
      if (nowMs - sinceMs >= this.#retentionMs) expired.push(id);
    }
    return expired;
  }
}
