/**
 * Fills that others follow, as far as streams can: whoever asks for a segment that is being fetched
 * waits until that was judged good and stored, and gets it then, or nothing.
 */
import { sleep, type Clock } from '../../../src/base/clock.ts';
import type { DataPlane } from '../../../src/data/data-plane.ts';
import type { Following } from '../../../src/data/fill-trail.ts';

const LOOK_MS = 5;

/** Tells of every fill that it has begun. */
export function tellingOfFills(plane: DataPlane): DataPlane {
  return {
    fill: (command, signal) => {
      command.trail?.begin({ path: '', offset: 0 }, () => undefined);
      return plane.fill(command, signal);
    },
    close: () => plane.close(),
  };
}

/** @throws not_found when the fill that was followed comes to nothing. */
export async function whenStored(
  following: Following,
  isLoading: () => boolean,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  try {
    await Promise.race([following.judged, aborted(signal)]);
    while (isLoading()) await sleep(clock, LOOK_MS, signal);
  } finally {
    following.close();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
}
