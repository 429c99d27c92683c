/** Waiting for a condition with a deadline: tests never sleep and hope. */
import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** What is waited for, as it should read in the failure: "peer 2 to be ready". */
  readonly what: string;
  /** Default 10,000. */
  readonly deadlineMs?: number;
  /** Default 50. */
  readonly intervalMs?: number;
  /** More about the situation, asked for only when the deadline has passed. */
  readonly context?: () => string;
}

/**
 * Calls `probe` until it answers something else than undefined or false, and resolves with that.
 * What the probe throws counts as "not yet" and is told when the deadline passes.
 */
export async function waitFor<T>(
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { what, deadlineMs = 10_000, intervalMs = 50, context }: WaitOptions,
): Promise<T> {
  const untilMs = performance.now() + deadlineMs;
  let lastError: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= untilMs) {
      const because = lastError === undefined ? '' : ` (last error: ${describe(lastError)})`;
      const situation = context === undefined ? '' : `\n${context()}`;
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}${because}${situation}`);
    }
    await delay(intervalMs);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.message}${cause}`;
}
