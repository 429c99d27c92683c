/**
 * `npm run failpoints`: every crash point at its first, a middle and its last hit, in real
 * processes. Prints a table, and fails when a promise was broken or a point was never reached.
 *
 *   npm run failpoints -- --only job.batch    rows whose point begins so
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import type { Asserts } from './expect.ts';
import { type CrashRow, LEADER_ROWS, OWNER_ROWS, type Story, uncovered } from './failpoint-rows.ts';
import { CRASH_STAGE, fillCaches, play } from './failpoint-story.ts';
import { Stage } from './stage.ts';

/** Hits differ a little from run to run: the last one of one run may not come in the next. */
const ATTEMPT_MAX_COUNT = 4;

const asserts: Asserts = {
  is: (actual, expected, message) => assert.equal(actual, expected, message),
  deepEqual: (actual, expected, message) => assert.deepEqual(actual, expected, message),
  true: (actual, message) => assert.equal(actual, true, message),
  truthy: (actual, message) => assert.ok(actual, message),
  log: () => undefined,
};

interface Cell {
  readonly text: string;
  readonly passed: boolean;
}

class Matrix {
  readonly #open: () => Promise<Stage>;
  #stage: Stage | undefined;
  readonly #counts = new Map<Story, ReadonlyMap<string, number>>();
  /** Alternates, so that each point is met with both ways of coming back. */
  #cellCount = 0;
  failedCount = 0;
  passedCount = 0;

  constructor(open: () => Promise<Stage>) {
    this.#open = open;
  }

  async run(rows: readonly CrashRow[]): Promise<void> {
    for (const row of rows) {
      const startMs = performance.now();
      const cells: Cell[] = [];
      for (const which of ['first', 'middle', 'last'] as const) {
        cells.push(await this.#cell(row, which));
      }
      const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
      const name = `${row.role.padEnd(6)} ${row.point.padEnd(22)}`;
      console.log(`${name} ${cells.map(({ text }) => text.padEnd(13)).join(' ')} ${seconds} s`);
    }
  }

  async close(): Promise<void> {
    await this.#stage?.[Symbol.asyncDispose]();
    this.#stage = undefined;
  }

  async #cell(row: CrashRow, which: 'first' | 'middle' | 'last'): Promise<Cell> {
    let cell: Cell;
    try {
      cell = await this.#crashAt(row, which);
    } catch (error) {
      console.error(
        `\n${row.point}, ${which} hit: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
      cell = { text: 'FAILED', passed: false };
    }
    if (cell.passed) this.passedCount += 1;
    else this.failedCount += 1;
    // What a broken promise leaves behind must not be blamed on the next row.
    if (!cell.passed) await this.close();
    return cell;
  }

  async #crashAt(row: CrashRow, which: 'first' | 'middle' | 'last'): Promise<Cell> {
    this.#stage ??= await this.#open();
    let count = await this.#countOf(this.#stage, row);
    for (let attempt = 1; attempt <= ATTEMPT_MAX_COUNT && count > 0; attempt += 1) {
      const nth = which === 'first' ? 1 : which === 'middle' ? Math.ceil(count / 2) : count;
      const restart = this.#cellCount++ % 2 === 0 ? 'at once' : 'after the jobs';
      const { died, hits } = await play(asserts, this.#stage, { row, nth, restart });
      if (died) return { text: `${nth} of ${count}`, passed: true };
      count = Math.min(count - 1, hits.get(row.point) ?? 0);
    }
    return { text: count === 0 ? 'NEVER HIT' : 'MISSED', passed: false };
  }

  /** Hits of the point in a run of the story without a crash, one run for all points. */
  async #countOf(stage: Stage, row: CrashRow): Promise<number> {
    let counts = this.#counts.get(row.story);
    if (!counts) {
      counts = (await play(asserts, stage, { row, nth: undefined, restart: 'at once' })).hits;
      this.#counts.set(row.story, counts);
    }
    return counts.get(row.point) ?? 0;
  }
}

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const isWanted = ({ point }: CrashRow): boolean => point.startsWith(values.only);
const onLeader = new Matrix(() => Stage.open(CRASH_STAGE));
const onOwner = new Matrix(async () => {
  const stage = await Stage.open(CRASH_STAGE);
  await fillCaches(asserts, stage);
  return stage;
});
const startMs = performance.now();
console.log('peer   point                  first         middle        last');
try {
  await Promise.all([
    onLeader.run(LEADER_ROWS.filter(isWanted)),
    onOwner.run(OWNER_ROWS.filter(isWanted)),
  ]);
} finally {
  await Promise.all([onLeader.close(), onOwner.close()]);
}
const missing = uncovered();
for (const name of missing) console.log(`no row for ${name}`);
console.log(`\n${((performance.now() - startMs) / 1_000).toFixed(0)} s`);
const failedCount = onLeader.failedCount + onOwner.failedCount + missing.length;
console.log(`${onLeader.passedCount + onOwner.passedCount} passed, ${failedCount} failed`);
if (failedCount > 0) process.exitCode = 1;
