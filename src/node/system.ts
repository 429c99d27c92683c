/** The real clock and real randomness: the only place that names them for the layers inside. */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Clock } from '../base/clock.ts';
import { SeededRandom, type Random } from '../base/random.ts';

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
};

/** 32 bits. */
export function randomWord(): number {
  return randomBytes(4).readInt32LE();
}

export function systemRandom(): Random {
  return new SeededRandom(randomBytes(4).readUInt32LE());
}
