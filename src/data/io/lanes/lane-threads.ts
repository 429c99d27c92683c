/**
 * Lane threads as the main thread sees them: an order goes in, its one report comes out. Threads
 * start with their first order, so that an idle peer has none.
 */
import { Worker } from 'node:worker_threads';
import { areFailpointsArmed } from '../../../base/failpoint.ts';
import type { Logger } from '../../../base/logger.ts';
import { partReceived } from '../../fill-steps.ts';
import type { Urgency } from '../../urgency.ts';
import type {
  LaneMiddle,
  LaneOrder,
  LaneReport,
  LaneRequest,
  LaneThreadOptions,
  UnnumberedOrder,
} from './lane-orders.ts';

type Pending = Map<number, (report: LaneReport) => void>;

class LaneThread {
  readonly #worker: Worker;
  readonly #pending: Pending = new Map();
  #requests: LaneRequest[] = [];

  constructor(options: LaneThreadOptions, onLost: (error: Error) => void) {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const file = new URL(`./lane-worker.${extension}`, import.meta.url);
    this.#worker = new Worker(file, { workerData: options, name: 'lanes' });
    this.#worker.unref();
    this.#worker.on('message', (reports: readonly (LaneReport | LaneMiddle)[]) => {
      for (const report of reports) {
        if (report.kind === 'middle') partReceived();
        else this.#settle(report);
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

  run(order: LaneOrder, signal: AbortSignal, urgency?: Urgency): Promise<LaneReport> {
    return new Promise((resolve) => {
      const cancel = (): void => {
        this.#post({ kind: 'cancel', id: order.id });
      };
      const calm = urgency?.onRaised(() => {
        this.#post({ kind: 'hurry', id: order.id });
      });
      signal.addEventListener('abort', cancel, { once: true });
      this.#pending.set(order.id, (report) => {
        calm?.();
        signal.removeEventListener('abort', cancel);
        resolve(report);
      });
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

  #settle(report: LaneReport): void {
    const settle = this.#pending.get(report.id);
    this.#pending.delete(report.id);
    if (this.#pending.size === 0) this.#worker.unref();
    settle?.(report);
  }
}

export class LaneThreads {
  readonly #options: LaneThreadOptions & { readonly threadCount: number; readonly logger: Logger };
  readonly #threads: (LaneThread | undefined)[] = [];
  #nextId = 1;

  constructor(
    options: LaneThreadOptions & { readonly threadCount: number; readonly logger: Logger },
  ) {
    this.#options = options;
  }

  /** Never rejects: what goes wrong is in the report. */
  run(order: UnnumberedOrder, signal: AbortSignal, urgency?: Urgency): Promise<LaneReport> {
    const id = this.#nextId++;
    // Why not sent and taken back: a lane at hand would have asked by the time it hears of it.
    if (signal.aborted) return Promise.resolve({ kind: 'cancelled', id, receivedBytes: 0 });
    const told = areFailpointsArmed() ? { tellsMiddle: true } : {};
    const isPrefetch = urgency?.isUrgent === false;
    return this.#leastBusy().run({ ...order, ...told, isPrefetch, id }, signal, urgency);
  }

  /** Ends the threads; what was ordered ends as cancelled. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.flatMap((thread) => (thread ? [thread.close()] : [])));
  }

  #leastBusy(): LaneThread {
    let least: LaneThread | undefined;
    for (let index = 0; index < this.#options.threadCount; index++) {
      const thread = (this.#threads[index] ??= this.#start(index));
      if (!least || thread.pendingCount < least.pendingCount) least = thread;
      if (least.pendingCount === 0) break;
    }
    return least ?? this.#start(0);
  }

  #start(index: number): LaneThread {
    const { logger, threadCount: _, ...options } = this.#options;
    return new LaneThread(options, (error) => {
      // The next order starts another one.
      logger.error('a lane thread broke', { reason: error.message });
      this.#threads[index] = undefined;
    });
  }
}
