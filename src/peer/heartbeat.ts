/**
 * One timer for all links of a peer, and none while there is no link: pings, and ends what is
 * silent or has outlived its purpose.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { PeerCounters } from './counters.ts';
import type { PeerLimits } from './limits.ts';
import type { LinkSession } from './session.ts';

export class Heartbeat {
  readonly #clock: Clock;
  readonly #limits: PeerLimits;
  readonly #counters: PeerCounters;
  readonly #sessions = new Set<LinkSession>();
  #timer: Timer | undefined;

  constructor(options: { clock: Clock; limits: PeerLimits; counters: PeerCounters }) {
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#counters = options.counters;
  }

  watch(session: LinkSession): void {
    this.#sessions.add(session);
    this.#plan();
  }

  unwatch(session: LinkSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  sessions(): readonly LinkSession[] {
    return [...this.#sessions];
  }

  #plan(): void {
    if (this.#timer || this.#sessions.size === 0) return;
    const { pingIntervalMs } = this.#limits;
    this.#timer = this.#clock.setTimer(pingIntervalMs, () => {
      this.#timer = undefined;
      this.#beat();
      this.#plan();
    });
  }

  #beat(): void {
    const nowMs = this.#clock.nowMs();
    for (const session of this.sessions()) {
      const overdue = session.overdueAs(nowMs);
      if (overdue === undefined) session.ping();
      else {
        if (overdue === 'silent') this.#counters.silentLinks++;
        session.close(overdue);
      }
    }
  }
}
