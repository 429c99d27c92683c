/** Runs many seeds, adds up what happened in them, and describes what failed. */
import { crashAt, type CrashOptions } from './crash-steps.ts';
import type { Mode } from './plan.ts';
import { runSeed, type RunOptions, type RunResult } from './run-seed.ts';
import { shrink } from './shrink.ts';

/** Values only: it travels between processes. */
export interface Summary {
  runs: number;
  virtualMs: number;
  events: number;
  checks: number;
  /** Of all runs: equal when all of them were equal. */
  trace: number;
  readonly counts: Record<string, number>;
  /** In words, with the command that shows each again. */
  readonly failures: string[];
}

export interface RangeOptions {
  readonly first: number;
  readonly last: number;
  /** Default: liveness for even seeds, safety for odd ones. */
  readonly mode?: Mode | undefined;
  readonly only?: readonly number[] | undefined;
  readonly log?: RunOptions['log'];
  /** One process ends at one operation, each in turn, in place of the planned faults. */
  readonly crash?: CrashOptions | undefined;
  /** Look for the fewest faults that do it. */
  readonly shrinks: boolean;
}

export function emptySummary(): Summary {
  return { runs: 0, virtualMs: 0, events: 0, checks: 0, trace: 0, counts: {}, failures: [] };
}

export function modeOf(seed: number): Mode {
  return seed % 2 === 0 ? 'liveness' : 'safety';
}

export async function runRange(options: RangeOptions): Promise<Summary> {
  const summary = emptySummary();
  for (let seed = options.first; seed <= options.last; seed++) {
    const { only, log, shrinks, crash } = options;
    const mode = options.mode ?? modeOf(seed);
    if (crash) {
      await crashEverywhere(seed, mode, crash, summary, log);
      continue;
    }
    const result = await runSeed(seed, { mode, ...(only && { only }), ...(log && { log }) });
    addRun(summary, result);
    if (!result.violation) continue;
    summary.failures.push(await describe(result, only, shrinks));
  }
  return summary;
}

/** Until the process that is meant does not reach an operation that late. */
async function crashEverywhere(
  seed: number,
  mode: Mode,
  crash: CrashOptions,
  summary: Summary,
  log: RunOptions['log'],
): Promise<void> {
  for (let operation = crash.at ?? 1; ; operation++) {
    const faults = [crashAt(crash.victim, operation)];
    const result = await runSeed(seed, { mode, faults, ...(log && { log }) });
    const { violation, counts, virtualMs } = result;
    const crashes = (counts.get('proc.kill') ?? 0) + (counts.get('proc.powerCut') ?? 0);
    addRun(summary, result);
    if (violation) {
      const at = `seed ${seed}, ${mode}, at ${Math.round(virtualMs)} ms: ${violation.message}`;
      const where = `${crash.victim}@${operation}`;
      summary.failures.push(`${at}\nreplay: ${replayOf(seed, mode)} --crash ${where}`);
    }
    if (crashes === 0 || crash.at !== undefined) return;
  }
}

export function addSummary(sum: Summary, other: Summary): void {
  sum.runs += other.runs;
  sum.virtualMs += other.virtualMs;
  sum.events += other.events;
  sum.checks += other.checks;
  sum.trace = (sum.trace + other.trace) % 2 ** 32;
  for (const [what, count] of Object.entries(other.counts)) {
    sum.counts[what] = (sum.counts[what] ?? 0) + count;
  }
  sum.failures.push(...other.failures);
}

/** The command that shows a run again. */
export function replayOf(seed: number, mode: Mode, only?: readonly number[]): string {
  const cut = only ? ` --only ${only.length > 0 ? only.join(',') : 'none'}` : '';
  return `npm run sim -- --seeds ${seed}..${seed} --mode ${mode}${cut} --verbose`;
}

function addRun(summary: Summary, result: RunResult): void {
  const { virtualMs, events, checks, trace } = result;
  const counts = Object.fromEntries(result.counts);
  addSummary(summary, { runs: 1, virtualMs, events, checks, trace, counts, failures: [] });
}

async function describe(
  { seed, mode, violation, virtualMs, plan }: RunResult,
  only: readonly number[] | undefined,
  shrinks: boolean,
): Promise<string> {
  const at = `seed ${seed}, ${mode}, at ${Math.round(virtualMs)} ms: ${violation?.message ?? ''}`;
  const all = only ?? plan.faults.map((_fault, index) => index);
  const kept = shrinks ? await shrink({ seed, mode, violation, faults: all }) : all;
  const lines = kept.map((index) => `  ${index}: ${JSON.stringify(plan.faults[index])}`);
  return [
    at,
    `${plan.peerCount} peers, ${kept.length} of ${all.length} faults do it:`,
    ...lines,
    `replay: ${replayOf(seed, mode, kept.length < plan.faults.length ? kept : undefined)}`,
  ].join('\n');
}
