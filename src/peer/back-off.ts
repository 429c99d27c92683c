/** When to dial next. Pure; the delays are short because a restarted peer must be back at once. */
import type { Random } from '../base/random.ts';
import { jitter } from '../base/random.ts';
import type { PeerLimits } from './limits.ts';

export interface DialHistory {
  /** Failed dials, and links that ended young, since the last link that lasted. */
  readonly failuresCount: number;
  /** The last dial was refused for a reason that only a person can remove. */
  readonly lastingRefusal: boolean;
  /** The other side has the smaller id and is expected to dial. */
  readonly courtesy: boolean;
}

export function nextDialDelayMs(history: DialHistory, limits: PeerLimits, random: Random): number {
  const courtesyMs = history.courtesy ? limits.dialCourtesyMs : 0;
  if (history.failuresCount === 0) return courtesyMs;
  // Why: 30 doublings pass every legal maximum; beyond lies Infinity.
  const grownMs = limits.dialBackoffMinMs * 2 ** Math.min(30, history.failuresCount - 1);
  const delayMs = history.lastingRefusal ? limits.dialBackoffMaxMs : grownMs;
  return courtesyMs + jitter(random, Math.min(limits.dialBackoffMaxMs, delayMs));
}
