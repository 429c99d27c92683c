/**
 * Tells the cluster where this peer is, once per start and again whenever what the cluster knows
 * is not what it was told: after a join, a restart on other ports, or a wrong verdict.
 *
 * When the cluster knows a later start of this peer id, another process has a copy of the data
 * directory: this one must end.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Announcement } from '../cluster/member.ts';
import type { Proposer } from './proposer.ts';
import type { ReplicatedState } from './replicated-state.ts';

const CHECK_MS = 250;
const COMMIT_DEADLINE_MS = 5000;
/** After a refusal or a deadline: every attempt is an entry of the log. */
const RETRY_DELAY_MS = 2000;

export interface AnnouncerOptions {
  readonly announcement: Announcement;
  readonly proposer: Proposer;
  readonly state: ReplicatedState;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  #timer: Timer | undefined;
  #closed = false;
  #overtake: (error: RingloadError) => void = () => undefined;

  /** Resolves when a later start of this peer id is known: this process must end. */
  readonly overtaken = new Promise<RingloadError>((resolve) => {
    this.#overtake = resolve;
  });

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#checkIn(CHECK_MS);
  }

  #checkIn(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      void this.#check().then((nextMs) => {
        this.#checkIn(nextMs);
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Resolves with the time until the next check. */
  async #check(): Promise<number> {
    const { announcement, proposer, state, clock, logger } = this.#options;
    const known = state.current.members.get(announcement.id);
    if (known === undefined || known.state === 'left') return CHECK_MS;
    if (known.generation > announcement.generation) {
      this.#overtake(overtaken(announcement, known.generation));
      return RETRY_DELAY_MS;
    }
    const isAnnounced =
      known.generation === announcement.generation &&
      known.address === announcement.address &&
      known.state !== 'joining';
    if (isAnnounced) return CHECK_MS;
    try {
      const command = {
        kind: 'member.announce',
        member: announcement,
        atMs: clock.wallMs(),
      } as const;
      await proposer.commit(command, COMMIT_DEADLINE_MS);
      const { address, generation } = announcement;
      logger.info('announced', { address, generation });
      return CHECK_MS;
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      logger.info('announcement not taken yet', { code, reason: message });
      return code === 'no_leader' ? CHECK_MS : RETRY_DELAY_MS;
    }
  }
}

function overtaken({ id, generation }: Announcement, later: number): RingloadError {
  const message = `peer ${id} was started ${String(later)} times, here only ${String(generation)}: this data directory is an old copy`;
  return new RingloadError('data_dir_foreign', message);
}
