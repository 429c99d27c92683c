/**
 * Runs ava for a list of configs and ends with the plain closing line.
 *
 *   node scripts/run-tests.mjs CONFIG… [-- FILES AND AVA OPTIONS]
 *
 * Result lines of the TAP stream are counted, ava's own sums are not trusted: they leave out files
 * that crash. A missing plan, results short of the plan, no test at all, and a non-zero exit
 * without a failed line count as one failure.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isMain } from './is-main.mjs';
import { addTally, close, emptyTally } from './steps.mjs';

/** Longest time for one config; ava's own timeout only sees that nothing happens. */
const SUITE_DEADLINE_MS = Number(process.env.TEST_SUITE_DEADLINE_MS ?? 30 * 60_000);
const REPAIR = new URL('repair-ava-tap.mjs', import.meta.url).href;
const AVA = 'node_modules/ava/entrypoints/cli.mjs';
const KEPT_STDERR_LINES = 200;

/** @returns {Promise<import('./steps.mjs').Tally>} */
export async function runSuite(config, avaArgs = []) {
  console.log(`\n${config}`);
  const startMs = performance.now();
  const args = ['--import', REPAIR, AVA, '--tap', '--config', config, ...avaArgs];
  const ava = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '0' },
  });
  let timedOut = false;
  const watchdog = setTimeout(() => {
    timedOut = true;
    ava.kill('SIGKILL');
  }, SUITE_DEADLINE_MS);
  let interruptedBy;
  const stop = (signal) => {
    interruptedBy = signal;
    ava.kill(signal);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);

  const stderr = [];
  createInterface({ input: ava.stderr }).on('line', (line) => {
    stderr.push(line);
    if (stderr.length > KEPT_STDERR_LINES) stderr.shift();
  });
  const tap = new TapReader(config);
  const lines = createInterface({ input: ava.stdout }).on('line', (line) => tap.line(line));
  const ended = Promise.all([
    new Promise((resolve) => lines.on('close', resolve)),
    new Promise((resolve) => ava.on('close', (code, signal) => resolve(code ?? signal))),
  ]);
  const [, exit] = await ended;
  clearTimeout(watchdog);
  process.off('SIGINT', stop);
  process.off('SIGTERM', stop);
  if (interruptedBy !== undefined) process.kill(process.pid, interruptedBy);

  const defect = timedOut ? `no end within ${SUITE_DEADLINE_MS} ms` : tap.defect(exit);
  if (defect !== undefined) {
    tap.fail(`${config}: ${defect}`);
    console.log(stderr.join('\n').replace(/^/gm, '  '));
  }
  tap.printFiles();
  console.log(`  ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  return tap.tally;
}

/** Counts the result lines of one TAP stream and prints each failure with all that belongs to it. */
class TapReader {
  tally = emptyTally();
  /** Results by file, in order of appearance. */
  #files = new Map();
  #plan = undefined;
  #results = 0;
  #printing = false;
  #config;

  constructor(config) {
    this.#config = config;
  }

  line(line) {
    const result = /^(not )?ok \d+ - (.*?)( # (?:SKIP|TODO).*)?$/.exec(line);
    if (result) {
      this.#results++;
      this.#result({ ok: !result[1], title: result[2], directive: result[3] });
      return;
    }
    const plan = /^1\.\.(\d+)$/.exec(line);
    if (plan) this.#plan = Number(plan[1]);
    if (plan || /^(TAP version|# (tests|pass|fail|skip) )/.test(line)) this.#printing = false;
    else if (this.#printing && line !== '') console.log(`  ${line}`);
  }

  fail(title) {
    this.tally.failed++;
    this.tally.failures.push(title);
    console.log(`  ✘ ${title}`);
  }

  /** Why the stream as a whole cannot be trusted; undefined when it can. */
  defect(exit) {
    if (this.#plan === undefined) {
      return `ava ended early, after ${this.#results} results`;
    }
    if (this.#plan === 0) return 'no test was run';
    // Crashes of whole files have a line but are no part of the plan.
    if (this.#plan > this.#results) {
      return `${this.#plan} results were announced, ${this.#results} came`;
    }
    if (exit !== 0 && this.tally.failed === 0) return `no test failed, but ava ended with ${exit}`;
    return undefined;
  }

  printFiles() {
    for (const [file, { passed, failed, skipped }] of this.#files) {
      const parts = [`${passed} passed`];
      if (failed > 0) parts.push(`${failed} failed`);
      if (skipped > 0) parts.push(`${skipped} skipped`);
      console.log(`  ${failed > 0 ? '✘' : '✔'} ${file}: ${parts.join(', ')}`);
    }
  }

  #result({ ok, title, directive }) {
    const kind = directive !== undefined ? 'skipped' : ok ? 'passed' : 'failed';
    const cut = title.lastIndexOf(' › ');
    const file = cut === -1 ? this.#config : title.slice(0, cut).replaceAll(' › ', '/');
    const counts = this.#files.get(file) ?? { passed: 0, failed: 0, skipped: 0 };
    this.#files.set(file, counts);
    counts[kind]++;
    this.#printing = kind === 'failed';
    if (kind === 'failed') return this.fail(title);
    this.tally[kind]++;
    if (kind === 'skipped') this.tally.skips.push(title);
  }
}

if (isMain(import.meta.url)) {
  const args = process.argv.slice(2);
  const cut = args.includes('--') ? args.indexOf('--') : args.length;
  const tally = emptyTally();
  for (const config of args.slice(0, cut)) {
    addTally(tally, await runSuite(config, args.slice(cut + 1)));
  }
  close(tally);
}
