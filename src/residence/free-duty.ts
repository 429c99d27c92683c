/**
 * Has this peer let go of what the cluster has agreed to free, whenever it hears of it: at once, or
 * when it is back. That it has is replicated state, too, so a restart neither forgets a free nor
 * repeats one over what was loaded since.
 *
 * Invariant: nothing is let go of before this start of the peer is known to the cluster. Until then
 * its own log may end before the entry that says that it has let go already.
 */
import { sleep, withTimeout, type Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { FreeRecord } from '../cluster/free-record.ts';
import { freeHere, type FreeingParts } from './free-here.ts';
import type { FreedAmounts } from './report.ts';

export interface FreeDutyOptions {
  readonly self: PeerId;
  /** Start generation of this process. */
  readonly generation: number;
  readonly state: () => Pick<ClusterState, 'members' | 'frees' | 'lastFree'>;
  readonly parts: FreeingParts;
  /** Has the cluster agree that this peer has let go. @throws no_leader, … */
  readonly tell: (number: number) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const RETRY_DELAY_MS = 1000;
/** From the leader's word until this peer has heard of it, too. */
const HEAR_MAX_MS = 5000;
/** Frees whose amounts are remembered for those who ask. */
const AMOUNTS_MAX_COUNT = 1000;
const NOTHING = { segments: 0, bytes: 0 };
const NONE: FreedAmounts = { records: 0, freed: NOTHING, leased: NOTHING, pinned: NOTHING };

export class FreeDuty {
  readonly #options: FreeDutyOptions;
  readonly #stop = new AbortController();
  readonly #amounts = new Map<number, FreedAmounts>();
  readonly #waiting = new Set<() => void>();
  #running = false;

  constructor(options: FreeDutyOptions) {
    this.#options = options;
  }

  /** After every change of replicated state. */
  look(): void {
    for (const answer of [...this.#waiting]) answer();
    if (this.#running || this.#stop.signal.aborted || this.#due().length === 0) return;
    this.#running = true;
    void this.#run();
  }

  /** What this peer let go of for that free, once it has. */
  freed(number: number, signal: AbortSignal): Promise<FreedAmounts> {
    return new Promise((resolve, reject) => {
      const ends = AbortSignal.any([signal, this.#stop.signal]);
      const answer = (): void => {
        if (!ends.aborted && !this.#isDone(number)) return;
        this.#waiting.delete(answer);
        ends.removeEventListener('abort', answer);
        if (ends.aborted) reject(ends.reason as Error);
        else resolve(this.#amounts.get(number) ?? NONE);
      };
      this.#waiting.add(answer);
      ends.addEventListener('abort', answer);
      answer();
    });
  }

  close(): void {
    this.#stop.abort(new Error('this peer is shutting down'));
  }

  #isDone(number: number): boolean {
    const { frees, lastFree } = this.#options.state();
    return (
      lastFree >= number && !frees.some((free) => free.number === number && this.#isMine(free))
    );
  }

  #isMine({ waitsFor }: FreeRecord): boolean {
    return waitsFor.includes(this.#options.self);
  }

  #due(): readonly FreeRecord[] {
    const { self, generation, state } = this.#options;
    const { members, frees } = state();
    if (members.get(self)?.generation !== generation) return [];
    return frees.filter((free) => this.#isMine(free));
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    for (let due = this.#due(); due.length > 0 && !signal.aborted; due = this.#due()) {
      // Why wait for what was told: this peer hears of it a moment later.
      const isDone = await this.#letGo(due).catch((thrown: unknown) => {
        this.#warn(thrown);
        return false;
      });
      if (!isDone) await sleep(clock, RETRY_DELAY_MS, signal).catch(() => undefined);
    }
    this.#running = false;
  }

  async #letGo(due: readonly FreeRecord[]): Promise<boolean> {
    const { parts, tell, clock } = this.#options;
    const amounts = await freeHere(parts, due, this.#stop.signal);
    for (const [position, { number }] of due.entries())
      this.#remember(number, amounts[position] ?? NONE);
    const last = due.at(-1)?.number ?? 0;
    await tell(last);
    await withTimeout(clock, HEAR_MAX_MS, (signal) => this.freed(last, signal));
    return true;
  }

  #warn(thrown: unknown): void {
    if (this.#stop.signal.aborted) return;
    const { code, message } = toRingloadError(thrown);
    this.#options.logger.warn('what was freed has not gone yet', { code, reason: message });
  }

  /** What a second attempt finds comes on top of the first. */
  #remember(number: number, amounts: FreedAmounts): void {
    const known = this.#amounts.get(number);
    const { freed } = known ?? NONE;
    this.#amounts.set(number, {
      ...amounts,
      records: (known?.records ?? 0) + amounts.records,
      freed: {
        segments: freed.segments + amounts.freed.segments,
        bytes: freed.bytes + amounts.freed.bytes,
      },
    });
    const oldest = this.#amounts.keys().next().value;
    if (this.#amounts.size > AMOUNTS_MAX_COUNT && oldest !== undefined)
      this.#amounts.delete(oldest);
  }
}
