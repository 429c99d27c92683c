/** Runs many seeds and adds up what happened in them. */
import type { RunResult } from './run-seed.ts';
import { runSeed } from './run-seed.ts';

export interface SeedRange {
  readonly first: number;
  readonly last: number;
}

export interface RangeResult {
  readonly failures: readonly RunResult[];
  readonly counts: Readonly<Record<string, number>>;
}

/** `A..B`, both included. */
export function parseSeeds(text: string): SeedRange {
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  const range = { first: Number(match?.[1]), last: Number(match?.[2]) };
  if (!match || range.first > range.last) throw new Error(`seeds are given as A..B, not ${text}`);
  return range;
}

/** The seeds of one of `parts` test files: those that the variable asks for, or the default. */
export function seedsOfPart(part: number, parts: number, defaults: SeedRange): SeedRange {
  const asked = process.env['RAFT_SIM_SEEDS'];
  const { first, last } = asked === undefined ? defaults : parseSeeds(asked);
  const size = Math.ceil((last - first + 1) / parts);
  return { first: first + part * size, last: Math.min(last, first + (part + 1) * size - 1) };
}

export function splitRange({ first, last }: SeedRange, size: number): SeedRange[] {
  const ranges: SeedRange[] = [];
  for (let start = first; start <= last; start += size) {
    ranges.push({ first: start, last: Math.min(last, start + size - 1) });
  }
  return ranges;
}

/** Stops at the first failure unless `goOn`. */
export async function runRange(range: SeedRange, goOn = false): Promise<RangeResult> {
  const failures: RunResult[] = [];
  const counts: Record<string, number> = {};
  const add = (what: string, count: number): void => {
    counts[what] = (counts[what] ?? 0) + count;
  };
  for (let seed = range.first; seed <= range.last; seed++) {
    const result = await runSeed(seed);
    add('seeds', 1);
    add('events', result.events);
    add('virtualSeconds', Math.round(result.virtualMs / 1_000));
    add('committedEntries', result.committed);
    counts['slowestHealingMs'] = Math.max(counts['slowestHealingMs'] ?? 0, result.healedAfterMs);
    for (const [what, count] of Object.entries(result.counts)) add(what, count);
    if (!result.violation) continue;
    failures.push(result);
    if (!goOn) break;
  }
  return { failures, counts };
}

export function describeFailure({ seed, violation, virtualMs }: RunResult): string {
  return (
    `seed ${seed} at ${Math.round(virtualMs)} ms: ${violation?.stack ?? 'no violation'}\n` +
    `replay: node build/tests/sim/raft/main.js --seeds ${seed}..${seed}`
  );
}
