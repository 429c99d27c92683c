/** Waiting for what a child process does, on a machine that may be busy with much else. */
import { waitFor as waitForIt, type WaitOptions } from '../../support/wait-for.ts';

export const waitFor: typeof waitForIt = (probe, options: WaitOptions) =>
  waitForIt(probe, { deadlineMs: 30_000, ...options });
