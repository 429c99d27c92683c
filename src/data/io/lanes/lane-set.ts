/**
 * The lanes to one endpoint: which connection carries which order, how many there are, and orders
 * that wait for one.
 */
import { isOutOfDescriptors } from '../../../base/descriptors.ts';
import type { DirectEndpoint } from '../../../ufs/under-store.ts';
import { Exchange, type ExchangeParts } from './exchange.ts';
import { Lane } from './lane.ts';
import type { LaneLimit } from './lane-limit.ts';
import type { LaneOrder, LaneReport } from './lane-orders.ts';
import type { LaneHolder, LaneRoom } from './lane-room.ts';

/** Object stores close idle connections after 10 to 60 s. */
const IDLE_MAX_MS = 8000;
/** An order for which no socket can be had is tried again for so long. */
const PATIENCE_MS = 30_000;

interface Waiting {
  readonly order: LaneOrder;
  readonly report: (report: LaneReport) => void;
  readonly sinceMs: number;
}

interface IdleLane {
  readonly lane: Lane;
  readonly sinceMs: number;
}

export class LaneSet implements LaneHolder {
  readonly #endpoint: DirectEndpoint;
  readonly #limit: LaneLimit;
  readonly #parts: ExchangeParts & { readonly room: LaneRoom };
  readonly #waiting: Waiting[] = [];
  readonly #busy = new Set<Lane>();
  /** The one that was used last is last. */
  #idle: IdleLane[] = [];

  constructor(
    endpoint: DirectEndpoint,
    limit: LaneLimit,
    parts: ExchangeParts & { readonly room: LaneRoom },
  ) {
    this.#endpoint = endpoint;
    this.#limit = limit;
    this.#parts = parts;
  }

  get isUnused(): boolean {
    return this.#busy.size === 0 && this.#idle.length === 0 && this.#waiting.length === 0;
  }

  run(order: LaneOrder, report: (report: LaneReport) => void): void {
    this.#waiting.push({ order, report, sinceMs: this.#parts.nowMs() });
    this.startWaiting();
  }

  /** Whether that order was here. */
  cancel(id: number): boolean {
    const waiting = this.#take(id);
    if (!waiting) return [...this.#busy].some((lane) => lane.cancel(id));
    waiting.report({ kind: 'cancelled', id, receivedBytes: 0 });
    return true;
  }

  /** Forgets an order that waits for a lane. @returns whether there was one */
  recall(id: number): boolean {
    return this.#take(id) !== undefined;
  }

  /** A reader waits for that order now, which has a lane. @returns whether it was here */
  hurry(id: number): boolean {
    return [...this.#busy].some((lane) => lane.hurry(id));
  }

  /** Others follow that order now. @returns whether it is under way here */
  follow(id: number, trail: SharedArrayBuffer): boolean {
    return [...this.#busy].some((lane) => lane.follow(id, trail));
  }

  /** Called a few times a second. */
  check(nowMs: number): void {
    for (const lane of [...this.#busy]) lane.check(nowMs);
    const old = this.#idle.filter(({ sinceMs }) => nowMs - sinceMs >= IDLE_MAX_MS);
    this.#idle = this.#idle.filter(({ sinceMs }) => nowMs - sinceMs < IDLE_MAX_MS);
    for (const { lane } of old) lane.close('ECONNRESET');
    this.#limit.round(nowMs, this.#waiting.length > 0);
    this.startWaiting();
  }

  startWaiting(): void {
    while (this.#waiting.length > 0 && this.#busy.size < this.#limit.value) {
      const lane = this.#idle.pop()?.lane ?? this.#open();
      const next = lane && this.#waiting.shift();
      if (!next) return;
      this.#start(next, lane);
    }
  }

  closeIdle(): boolean {
    const idle = this.#idle.shift();
    idle?.lane.close('ECONNRESET');
    return idle !== undefined;
  }

  #take(id: number): Waiting | undefined {
    const at = this.#waiting.findIndex(({ order }) => order.id === id);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }

  /** Undefined while there may be no more of them. */
  #open(): Lane | undefined {
    if (!this.#parts.room.take()) return undefined;
    return new Lane(this.#endpoint, {
      onFree: (lane) => {
        this.#freed(lane);
      },
    });
  }

  #start(waiting: Waiting, lane: Lane): void {
    const { order, report } = waiting;
    const exchange = new Exchange(order, lane.scratch, this.#parts);
    const isReused = lane.carriedCount > 0;
    this.#busy.add(lane);
    lane.carry(exchange, this.#parts.nowMs());
    void exchange.report.then((outcome) => {
      // Why: a kept-alive connection may be closed by the other side just when it is used again.
      if (outcome.kind === 'broken' && isReused && exchange.isUntouched) {
        this.#retry(waiting);
        return;
      }
      const nowMs = this.#parts.nowMs();
      if (isWithoutSocket(outcome) && nowMs - waiting.sinceMs < PATIENCE_MS) {
        // The next look starts it: at once it would meet the same.
        this.#limit.throttled(nowMs);
        this.#waiting.unshift(waiting);
        return;
      }
      this.#limit.received(outcome.receivedBytes);
      if (isThrottled(outcome)) this.#limit.throttled(nowMs);
      report(outcome);
    });
  }

  #retry(waiting: Waiting): void {
    const lane = this.#open();
    if (lane) this.#start(waiting, lane);
    else this.#waiting.unshift(waiting);
  }

  #freed(lane: Lane): void {
    this.#busy.delete(lane);
    if (lane.isClosed) {
      this.#idle = this.#idle.filter((idle) => idle.lane !== lane);
      this.#parts.room.giveBack();
    } else this.#idle.push({ lane, sinceMs: this.#parts.nowMs() });
    this.startWaiting();
  }
}

function isWithoutSocket(report: LaneReport): boolean {
  return report.kind === 'broken' && isOutOfDescriptors(report.systemCode);
}

function isThrottled(report: LaneReport): boolean {
  return report.kind === 'answered' && (report.head.status === 503 || report.head.status === 429);
}
