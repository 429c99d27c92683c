/** Real time, seeded chance and an empty environment for stores under test. */
import type { Clock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import type { UnderStoreDependencies } from '../../src/ufs/io/dependencies.ts';

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
};

/** Real time that passes `factor` times as fast: minutes of back-off and deadlines in seconds. */
export function fastClock(factor: number): Clock {
  return {
    nowMs: () => performance.now() * factor,
    wallMs: () => Date.now(),
    setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / factor, callback),
  };
}

export function ufsDependencies(
  env: Record<string, string> = {},
  clock: Clock = systemClock,
): UnderStoreDependencies {
  return { clock, random: new SeededRandom(1), logger: silentLogger, env };
}
