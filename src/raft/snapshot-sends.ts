/**
 * Snapshots that were handed to the transport. The library sends a follower nothing more until it
 * hears how its snapshot fared, so each one is reported exactly once: by the transport, or as
 * failed when the transport stays silent too long.
 */
import type { RaftId } from '../base/ids.ts';

export interface SnapshotOutcome {
  readonly to: RaftId;
  readonly delivered: boolean;
}

export class SnapshotSends {
  readonly #timeoutTicks: number;
  readonly #report: (outcome: SnapshotOutcome) => void;
  readonly #underWay = new Set<{ readonly to: RaftId; ageTicks: number }>();

  constructor(timeoutTicks: number, report: (outcome: SnapshotOutcome) => void) {
    this.#timeoutTicks = timeoutTicks;
    this.#report = report;
  }

  /** What the transport has to call; calls after the first one do nothing. */
  start(to: RaftId): (delivered: boolean) => void {
    const send = { to, ageTicks: 0 };
    this.#underWay.add(send);
    return (delivered) => {
      if (this.#underWay.delete(send)) this.#report({ to, delivered });
    };
  }

  tick(): void {
    for (const send of this.#underWay) {
      if (++send.ageTicks < this.#timeoutTicks) continue;
      this.#underWay.delete(send);
      this.#report({ to: send.to, delivered: false });
    }
  }
}
