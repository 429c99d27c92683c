/** What a member last showed of itself, and who wants to hear when that changes. */
import type { Logger } from '../base/logger.ts';
import type { LogIndex, RaftId } from '../base/ids.ts';
import type { RaftStatus } from './consensus.ts';

/** Progress of the others, by one that does not lead. */
export const NOT_LEADING: ReadonlyMap<RaftId, LogIndex> = new Map();

export class StatusBoard {
  readonly #logger: Logger;
  readonly #listeners = new Set<(status: RaftStatus) => void>();
  #shown: RaftStatus;

  constructor(first: RaftStatus, logger: Logger) {
    this.#shown = first;
    this.#logger = logger;
  }

  /** The same object until another one is shown. */
  get shown(): RaftStatus {
    return this.#shown;
  }

  get isLeader(): boolean {
    return this.#shown.role === 'leader';
  }

  onChange(listener: (status: RaftStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Listeners hear of another role, term, leader or configuration, not of mere progress. */
  show(status: RaftStatus): void {
    const before = this.#shown;
    this.#shown = status;
    const isSame =
      before.role === status.role &&
      before.term === status.term &&
      before.leaderId === status.leaderId &&
      before.voters === status.voters &&
      before.learners === status.learners;
    if (!isSame) this.#tell(status);
  }

  /** It takes part no more; nobody is told, since whoever ended it knows. */
  withdraw(): void {
    this.#shown = {
      ...this.#shown,
      role: 'follower',
      leaderId: undefined,
      matchIndex: NOT_LEADING,
    };
  }

  #tell(status: RaftStatus): void {
    for (const listener of this.#listeners) {
      try {
        listener(status);
      } catch (error) {
        this.#logger.error('a raft status listener failed', { error: String(error) });
      }
    }
  }
}
