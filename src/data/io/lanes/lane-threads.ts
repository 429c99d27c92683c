/**
 * Lane threads as the main thread sees them: an order goes in, its one report comes out. Threads
 * start with their first order, so that an idle peer has none.
 *
 * What readers wait for has threads of its own, a crew that goes before the one that loads ahead
 * wherever the system shares out the processor. An order that a reader begins to wait for changes
 * its crew, unless it is under way already.
 */
import { Worker } from 'node:worker_threads';
import { areFailpointsArmed } from '../../../base/failpoint.ts';
import type { Logger } from '../../../base/logger.ts';
import { partReceived } from '../../fill-steps.ts';
import type { FillTrail } from '../../fill-trail.ts';
import type { Urgency } from '../../urgency.ts';
import { AHEAD_WRITE_MAX_COUNT } from '../../write-turns.ts';
import type {
  FromLanes,
  LaneCrew,
  LaneNews,
  LaneOrder,
  LaneReport,
  LaneRequest,
  LaneThreadOptions,
  UnnumberedOrder,
} from './lane-orders.ts';

type Outcome = Exclude<FromLanes, LaneNews>;

interface Pending {
  readonly begun: () => void;
  readonly settle: (outcome: Outcome) => void;
}

/** Who has to do with an order besides those who wait for its report. */
export interface OrderWatchers {
  readonly urgency?: Urgency | undefined;
  /** Others may follow what it brings. */
  readonly trail?: FillTrail | undefined;
}

class LaneThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #requests: LaneRequest[] = [];

  constructor(
    options: LaneThreadOptions & { readonly crew: LaneCrew },
    onLost: (error: Error) => void,
  ) {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const file = new URL(`./lane-worker.${extension}`, import.meta.url);
    this.#worker = new Worker(file, { workerData: options, name: `lanes of ${options.crew}` });
    this.#worker.unref();
    this.#worker.on('message', (news: readonly FromLanes[]) => {
      for (const each of news) {
        if (each.kind === 'middle') partReceived();
        else if (each.kind === 'begun') this.#pending.get(each.id)?.begun();
        else this.#settle(each);
      }
    });
    this.#worker.once('error', onLost);
    this.#worker.once('exit', () => {
      // Every write of a thread has ended when it has.
      for (const id of [...this.#pending.keys()]) {
        this.#settle({ kind: 'cancelled', id, receivedBytes: 0 });
      }
    });
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  run(order: LaneOrder, signal: AbortSignal, { urgency, trail }: OrderWatchers): Promise<Outcome> {
    return new Promise((resolve) => {
      const cancel = (): void => {
        this.#post({ kind: 'cancel', id: order.id });
      };
      const calm = urgency?.onRaised(() => {
        this.#post({ kind: 'hurry', id: order.id });
      });
      signal.addEventListener('abort', cancel, { once: true });
      const begun = (): void => {
        trail?.begin(order.target, (memory) => {
          this.#post({ kind: 'follow', id: order.id, trail: memory });
        });
      };
      const settle = (outcome: Outcome): void => {
        calm?.();
        trail?.rest();
        signal.removeEventListener('abort', cancel);
        resolve(outcome);
      };
      this.#pending.set(order.id, { begun, settle });
      this.#worker.ref();
      this.#post({ kind: 'order', order });
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #post(request: LaneRequest): void {
    if (this.#requests.length === 0) {
      queueMicrotask(() => {
        this.#worker.postMessage(this.#requests);
        this.#requests = [];
      });
    }
    this.#requests.push(request);
  }

  #settle(outcome: Outcome): void {
    const pending = this.#pending.get(outcome.id);
    this.#pending.delete(outcome.id);
    if (this.#pending.size === 0) this.#worker.unref();
    pending?.settle(outcome);
  }
}

export interface LaneThreadsOptions extends Omit<
  LaneThreadOptions,
  'socketMaxCount' | 'writeMaxCount'
> {
  /** Of each crew. */
  readonly threadCount: number;
  /** Most connections of one thread of that crew. */
  readonly socketMaxCount: Readonly<Record<LaneCrew, number>>;
  readonly logger: Logger;
}

export class LaneThreads {
  readonly #options: LaneThreadsOptions;
  readonly #crews: Record<LaneCrew, (LaneThread | undefined)[]> = { readers: [], loads: [] };
  #nextId = 1;

  constructor(options: LaneThreadsOptions) {
    this.#options = options;
  }

  /** Never rejects: what goes wrong is in the report. */
  async run(
    order: UnnumberedOrder,
    signal: AbortSignal,
    watchers: OrderWatchers = {},
  ): Promise<LaneReport> {
    const { urgency, trail } = watchers;
    for (;;) {
      const id = this.#nextId++;
      // Why not sent and taken back: a lane at hand would have asked by the time it hears of it.
      if (signal.aborted) return { kind: 'cancelled', id, receivedBytes: 0 };
      const told = areFailpointsArmed() ? { tellsMiddle: true } : {};
      const isPrefetch = urgency?.isUrgent === false;
      const memory = trail?.memory;
      const numbered = {
        ...{ ...order, ...told, isPrefetch, id },
        ...(trail && { tellsBegin: true }),
        ...(memory && { trail: memory }),
      };
      const thread = this.#leastBusy(isPrefetch ? 'loads' : 'readers');
      const outcome = await thread.run(numbered, signal, watchers);
      if (outcome.kind !== 'recalled') return outcome;
    }
  }

  /** Ends the threads; what was ordered ends as cancelled. */
  async close(): Promise<void> {
    const threads = Object.values(this.#crews).flat();
    await Promise.all(threads.flatMap((thread) => (thread ? [thread.close()] : [])));
  }

  #leastBusy(crew: LaneCrew): LaneThread {
    const threads = this.#crews[crew];
    // Why: the first reader would wait for a thread to start while a load has the processor.
    this.#crews.readers[0] ??= this.#start('readers', 0);
    let least: LaneThread | undefined;
    for (let index = 0; index < this.#options.threadCount; index++) {
      const thread = (threads[index] ??= this.#start(crew, index));
      if (!least || thread.pendingCount < least.pendingCount) least = thread;
      if (least.pendingCount === 0) break;
    }
    return least ?? this.#start(crew, 0);
  }

  #start(crew: LaneCrew, index: number): LaneThread {
    const { logger, threadCount, ...options } = this.#options;
    const socketMaxCount = options.socketMaxCount[crew];
    const writeMaxCount = Math.max(1, Math.floor(AHEAD_WRITE_MAX_COUNT / threadCount));
    return new LaneThread({ ...options, socketMaxCount, writeMaxCount, crew }, (error) => {
      // The next order starts another one.
      logger.error('a lane thread broke', { reason: error.message });
      this.#crews[crew][index] = undefined;
    });
  }
}
