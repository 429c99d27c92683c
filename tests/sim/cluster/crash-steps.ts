/** A crash at one operation of one process, and how the command line names it. */
import { START_MS } from './client-step.ts';
import type { Fault, Victim } from './plan.ts';

export interface CrashOptions {
  readonly victim: Victim;
  /** Only this operation; default: each in turn. */
  readonly at?: number;
}

/** The load begins in this time, and in most runs ends. */
const CRASH_SPAN_MS = 3000;

/** Whoever is the victim when the first load begins ends at its n-th operation from there. */
export function crashAt(victim: Victim, operations: number): Fault {
  return { kind: 'fuse', victim, operations, forMs: CRASH_SPAN_MS, atMs: START_MS };
}

/** `leader`, `2`, `leader@17`: every operation, or one. */
export function parseCrash(text: string): CrashOptions {
  const [, who, at] = /^(leader|\d+)(?:@(\d+))?$/.exec(text) ?? [];
  if (who === undefined) throw new Error(`--crash is leader, a number, or one of them @ a number`);
  const victim = who === 'leader' ? who : Number(who);
  return at === undefined ? { victim } : { victim, at: Number(at) };
}
