/**
 * Virtual time: a queue of events, fired in order of time and then of creation. Between two events
 * all promise callbacks run, so a run depends on its seed alone.
 */
import type { Timer } from '../../../src/base/clock.ts';

interface Event {
  readonly atMs: number;
  readonly sequence: number;
  action: (() => void) | undefined;
}

export class VirtualTime {
  #nowMs = 0;
  #sequence = 0;
  readonly #heap: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const event: Event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      action,
    };
    this.#push(event);
    return {
      cancel: () => {
        event.action = undefined;
      },
    };
  }

  /** Fires the next event and lets its consequences settle; false when none is due by then. */
  async step(untilMs: number): Promise<boolean> {
    const event = this.#heap[0];
    if (!event || event.atMs > untilMs) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#pop();
    this.#nowMs = event.atMs;
    if (!event.action) return true;
    event.action();
    await settle();
    return true;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (!above || isBefore(above, event)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const moved = heap.pop();
    if (!moved || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const first = heap[left];
      const second = heap[left + 1];
      if (!first) break;
      const useSecond = second !== undefined && isBefore(second, first);
      const child = useSecond ? second : first;
      if (isBefore(moved, child)) break;
      heap[at] = child;
      at = useSecond ? left + 1 : left;
    }
    heap[at] = moved;
  }
}

/** Resolves when no promise callback is left to run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
