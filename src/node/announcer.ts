/**
 * Tells the cluster where this peer is, once per start and again whenever what the cluster knows
 * is not what it was told: after a join, a restart on other ports, or a wrong verdict.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Announcement } from '../cluster/member.ts';
import type { Proposer } from './proposer.ts';
import type { ReplicatedState } from './replicated-state.ts';

const CHECK_MS = 250;
const COMMIT_DEADLINE_MS = 5000;

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
  #announcing = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimer(CHECK_MS, () => {
      void this.#check().finally(() => {
        this.start();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #check(): Promise<void> {
    const { announcement, proposer, state, clock, logger } = this.#options;
    const known = state.current.members.get(announcement.id);
    const isAnnounced =
      known === undefined ||
      known.state === 'left' ||
      (known.generation === announcement.generation &&
        known.address === announcement.address &&
        known.state !== 'joining');
    if (isAnnounced || this.#announcing) return;
    this.#announcing = true;
    try {
      const command = {
        kind: 'member.announce',
        member: announcement,
        atMs: clock.wallMs(),
      } as const;
      await proposer.commit(command, COMMIT_DEADLINE_MS);
      logger.info('announced', {
        address: announcement.address,
        generation: announcement.generation,
      });
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      logger.info('announcement not taken yet', { code, reason: message });
    } finally {
      this.#announcing = false;
    }
  }
}
