/** The real clock, for an app that is given none. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../base/clock.ts';

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return {
      cancel() {
        clearTimeout(timer);
      },
    };
  },
};
