/**
 * `npm run failpoints`: every crash point at its first, a middle and its last hit, in real
 * processes. Prints a table with all hits of each point, and fails when a promise was broken or a
 * point was never reached.
 *
 *   npm run failpoints -- --only job.batch    rows whose point begins so
 *   npm run failpoints -- --hits first        first hits only
 *   npm run failpoints -- --lanes 2           clusters that play beside each other; default 3
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import type { Asserts } from './expect.ts';
import { type CrashRow, LEADER_ROWS, OWNER_ROWS, uncovered } from './failpoint-rows.ts';
import { CRASH_STAGE, fillCaches, FULL_STAGE } from './failpoint-stage.ts';
import { type Played, play } from './failpoint-story.ts';
import { Stage } from './stage.ts';

/** Hits differ from run to run: the last one of one run may not come in the next. */
const ATTEMPT_MAX_COUNT = 6;

const WHICH = ['first', 'middle', 'last'] as const;
type Which = (typeof WHICH)[number];

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

/** Plays rows one after the other, each with the cluster that the row before left behind. */
class Lane {
  readonly #open: () => Promise<Stage>;
  readonly #hits: readonly Which[];
  #stage: Stage | undefined;
  /** Hits of all points in a story in which nobody dies, by role and story. */
  readonly #counts = new Map<string, ReadonlyMap<string, number>>();
  /** Alternates, so that each point is met with both ways of coming back. */
  #cellCount = 0;
  failedCount = 0;
  passedCount = 0;

  constructor(open: () => Promise<Stage>, hits: readonly Which[]) {
    this.#open = open;
    this.#hits = hits;
  }

  async run(rows: Iterable<CrashRow>): Promise<void> {
    for (const row of rows) await this.#play(row);
    await this.close();
  }

  async #play(row: CrashRow): Promise<void> {
    const startMs = performance.now();
    let hitCount = 0;
    const cells: Cell[] = [];
    for (const which of this.#hits) {
      cells.push(
        await this.#cell(row, which, ({ hits }) => {
          hitCount += hits.get(row.point) ?? 0;
        }),
      );
    }
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
    console.log(
      [
        row.role.padEnd(6),
        row.point.padEnd(22),
        ...cells.map(({ text }) => text.padEnd(13)),
        `${hitCount} hits`.padEnd(10),
        `${seconds} s`,
      ].join(' '),
    );
  }

  async close(): Promise<void> {
    await this.#stage?.[Symbol.asyncDispose]();
    this.#stage = undefined;
  }

  async #cell(row: CrashRow, which: Which, note: (played: Played) => void): Promise<Cell> {
    let cell: Cell;
    try {
      cell = await this.#crashAt(row, which, note);
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

  async #crashAt(row: CrashRow, which: Which, note: (played: Played) => void): Promise<Cell> {
    const stage = (this.#stage ??= await this.#open());
    let count = await this.#countOf(stage, row);
    for (let attempt = 1; attempt <= ATTEMPT_MAX_COUNT && count > 0; attempt += 1) {
      const nth = which === 'first' ? 1 : which === 'middle' ? Math.ceil(count / 2) : count;
      const restart = this.#cellCount++ % 2 === 0 ? 'at once' : 'after the jobs';
      const played = await play(asserts, stage, { row, nth, restart });
      note(played);
      if (played.died) return { text: `${nth} of ${count}`, passed: true };
      // Who lost its lead before the story began hits nothing; else there are fewer hits this time.
      count = played.hits.get(row.point) ?? count;
    }
    return { text: count === 0 ? 'NEVER HIT' : 'MISSED', passed: false };
  }

  /**
   * Hits of the point in a story in which nobody dies, one such story for all points. Another one
   * when it was not hit there: the leader may have lost its lead.
   */
  async #countOf(stage: Stage, row: CrashRow): Promise<number> {
    const name = `${row.role} ${row.story}`;
    for (let attempt = 1; attempt <= ATTEMPT_MAX_COUNT; attempt += 1) {
      const count = this.#counts.get(name)?.get(row.point) ?? 0;
      if (count > 0) return count;
      const { hits } = await play(asserts, stage, { row, nth: undefined, restart: 'at once' });
      this.#counts.set(name, hits);
    }
    return this.#counts.get(name)?.get(row.point) ?? 0;
  }
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    hits: { type: 'string', default: WHICH.join() },
    lanes: { type: 'string', default: '3' },
  },
});
const hits = WHICH.filter((which) => values.hits.split(',').includes(which));
assert.ok(hits.length > 0, `--hits takes ${WHICH.join()}`);
const isWanted = ({ point }: CrashRow): boolean => point.startsWith(values.only);
const needsFullCaches = ({ story }: CrashRow): boolean => story === 'evict';
const rows = [...LEADER_ROWS, ...OWNER_ROWS].filter(isWanted);
const onFull = new Lane(async () => {
  const stage = await Stage.open(FULL_STAGE);
  await fillCaches(asserts, stage);
  return stage;
}, hits);
const lanes = Array.from(
  { length: Math.max(1, Number(values.lanes) - 1) },
  () => new Lane(() => Stage.open(CRASH_STAGE), hits),
);
// One iterator for all of them: whichever is free takes the next row.
const waiting = rows.filter((row) => !needsFullCaches(row)).values();

const startMs = performance.now();
console.log(['peer  ', 'point'.padEnd(22), ...hits.map((which) => which.padEnd(13))].join(' '));
try {
  await Promise.all([
    onFull.run(rows.filter(needsFullCaches)),
    ...lanes.map((lane) => lane.run(waiting)),
  ]);
} finally {
  await Promise.all([onFull, ...lanes].map((lane) => lane.close()));
}
const missing = uncovered();
for (const name of missing) console.log(`no row for ${name}`);
console.log(`\n${((performance.now() - startMs) / 1_000).toFixed(0)} s`);
const all = [onFull, ...lanes];
const sumOf = (count: (lane: Lane) => number): number =>
  all.reduce((total, lane) => total + count(lane), 0);
const failedCount = sumOf((lane) => lane.failedCount) + missing.length;
console.log(`${sumOf((lane) => lane.passedCount)} passed, ${failedCount} failed`);
if (failedCount > 0) process.exitCode = 1;
