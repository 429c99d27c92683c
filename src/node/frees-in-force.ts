/** What the frees that this peer has heard of mean for it. */
import type { PeerId } from '../base/ids.ts';
import { FreeRoll, type Stamped } from '../cluster/free-roll.ts';
import type { ReplicatedState } from './replicated-state.ts';

export class FreesInForce {
  readonly #self: PeerId;
  readonly #state: ReplicatedState;
  #seen: unknown;
  #roll = new FreeRoll(0, []);

  constructor(self: PeerId, state: ReplicatedState) {
    this.#self = self;
    this.#state = state;
  }

  get lastFree(): number {
    return this.#state.current.lastFree;
  }

  /** The record is older than a free of it: as good as gone. */
  isFreed(record: Stamped): boolean {
    return this.#current().isFreed(record);
  }

  /** False: this peer has to let go of what lies at the path first. */
  mayStore(ordered: Stamped): boolean {
    return this.#current().mayStore(this.#self, ordered);
  }

  /** Resolves once this peer may store it. @throws the signal's reason */
  whenMayStore(ordered: Stamped, signal: AbortSignal): Promise<void> {
    if (this.mayStore(ordered)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (): void => {
        unfollow();
        signal.removeEventListener('abort', abort);
      };
      const abort = (): void => {
        end();
        reject(signal.reason as Error);
      };
      const unfollow = this.#state.onChange(() => {
        if (!this.mayStore(ordered)) return;
        end();
        resolve();
      });
      signal.addEventListener('abort', abort);
      if (signal.aborted) abort();
    });
  }

  /** Told of the path of each free that comes from now on. */
  onFree(listener: (path: string) => void): () => void {
    let seen = this.lastFree;
    return this.#state.onChange(({ lastFree, frees }) => {
      if (lastFree === seen) return;
      for (const { number, path } of frees) if (number > seen) listener(path);
      seen = lastFree;
    });
  }

  /** The same value until something about frees changes. */
  #current(): FreeRoll {
    const { lastFree, frees } = this.#state.current;
    if (frees !== this.#seen) {
      this.#seen = frees;
      this.#roll = new FreeRoll(lastFree, frees);
    }
    return this.#roll;
  }
}
