/**
 * The whole-cluster simulator from the command line:
 *
 * `npm run sim -- --seeds A..B [--mode safety|liveness] [--workers N] [--only 0,3]
 * [--crash leader|0|1|…] [--verbose]`
 *
 * `--crash leader` (or the number of a peer) has, in place of the planned faults, that process end
 * at each of its operations in turn: one run for each; `--crash leader@17` at that one.
 *
 * `--only` keeps the faults of those positions, `none` keeps none. A run that fails is run again
 * with fewer faults until each is needed; what is printed then shows it again.
 */
import { fork } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseSeeds, splitRange } from '../raft/seed-range.ts';
import { parseCrash } from './crash-steps.ts';
import type { Mode } from './plan.ts';
import {
  addSummary,
  emptySummary,
  runRange,
  type RangeOptions,
  type Summary,
} from './seed-runs.ts';

const SEEDS_PER_SHARE = 20;
const CHECK_PREFIX = 'check.';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..100' },
    mode: { type: 'string' },
    only: { type: 'string' },
    crash: { type: 'string' },
    workers: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});

if (process.send && process.env['SIM_WORKER'] === '1') serve(process.send.bind(process));
else await main();

/** As a worker: one share after the other, for as long as there are some. */
function serve(send: (summary: Summary) => void): void {
  process.on('message', (range: RangeOptions) => {
    void runRange(range).then(send);
  });
}

async function main(): Promise<void> {
  const startMs = performance.now();
  const range = parseSeeds(values.seeds);
  const options = {
    mode: modeFrom(values.mode),
    only: onlyFrom(values.only),
    crash: values.crash === undefined ? undefined : parseCrash(values.crash),
    shrinks: !values.verbose,
  };
  const workers = Number(values.workers);
  const summary =
    workers > 1
      ? await runShares(
          splitRange(range, values.crash === undefined ? SEEDS_PER_SHARE : 1).map((share) => ({
            ...share,
            ...options,
          })),
          workers,
        )
      : await runRange({ ...range, ...options, ...(values.verbose && { log: console.log }) });
  if (workers <= 1) tellFailures(summary);
  print(summary, (performance.now() - startMs) / 1000);
  process.exitCode = summary.failures.length > 0 ? 1 : 0;
}

async function runShares(shares: RangeOptions[], workers: number): Promise<Summary> {
  const sum = emptySummary();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      const child = fork(fileURLToPath(import.meta.url), [], {
        env: { ...process.env, SIM_WORKER: '1' },
      });
      const ended = new Promise<never>((_resolve, reject) => {
        child.once('exit', () => {
          reject(new Error('a worker ended'));
        });
      });
      ended.catch(() => undefined);
      try {
        for (let share = shares.shift(); share; share = shares.shift()) {
          const done = new Promise<Summary>((resolve) => {
            child.once('message', (summary) => {
              resolve(summary as Summary);
            });
          });
          child.send(share);
          const part = await Promise.race([ended, done]);
          // Why now: the rest may take long.
          tellFailures(part);
          addSummary(sum, part);
        }
      } finally {
        child.removeAllListeners();
        child.kill();
      }
    }),
  );
  return sum;
}

function tellFailures({ failures }: Summary): void {
  for (const failure of failures) console.log(`${failure}\n`);
}

function print(summary: Summary, seconds: number): void {
  const { runs, virtualMs, events, checks, trace, counts, failures } = summary;
  console.log('faults and what came of them:');
  const names = Object.keys(counts).sort();
  const isCheck = (name: string): boolean => name.startsWith(CHECK_PREFIX);
  for (const what of names.filter((name) => !isCheck(name))) {
    console.log(`  ${what.padEnd(26)} ${String(counts[what])}`);
  }
  const perPromise = names
    .filter(isCheck)
    .map((name) => `${name.slice(CHECK_PREFIX.length)} ${String(counts[name])}`);
  console.log(`checks by promise: ${perPromise.join(', ')}`);
  console.log(`seeds ${runs}, virtual hours ${(virtualMs / 3_600_000).toFixed(2)}`);
  console.log(`checks evaluated ${checks}, events ${events}, trace ${trace.toString(16)}`);
  console.log(`${(runs / seconds).toFixed(1)} seeds/s`);
  console.log(`${runs - failures.length} passed, ${failures.length} failed`);
}

function modeFrom(text: string | undefined): Mode | undefined {
  if (text === undefined || text === 'safety' || text === 'liveness') return text;
  throw new Error(`--mode is safety or liveness, not ${text}`);
}

function onlyFrom(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  return text === 'none' ? [] : text.split(',').map(Number);
}
