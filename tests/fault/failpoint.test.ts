/**
 * A handful of the crash points that `npm run failpoints` plays all of: one of each kind of step.
 */
import test from 'ava';
import { type CrashRow, LEADER_ROWS, OWNER_ROWS, uncovered } from './failpoint-rows.ts';
import { CRASH_STAGE } from './failpoint-stage.ts';
import { play } from './failpoint-story.ts';
import { Stage } from './stage.ts';

let stage: Stage;
test.before(async () => {
  stage = await Stage.open(CRASH_STAGE);
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

test('failpoints: every one has its row', (t) => {
  t.deepEqual(uncovered(), []);
});

function rowOf(point: string): CrashRow {
  const row = [...LEADER_ROWS, ...OWNER_ROWS].find((each) => each.point === point);
  if (!row) throw new Error(`no row for ${point}`);
  return row;
}

for (const [point, nth, restart] of [
  ['job.submit.committed', 2, 'at once'],
  ['job.results.received', 3, 'after the jobs'],
  ['raft.snapshot.renamed', 1, 'at once'],
  ['cache.record.appended', 3, 'after the jobs'],
  ['catalog.batch.begin', 2, 'at once'],
] as const) {
  const row = rowOf(point);
  test.serial(`failpoints: the ${row.role} dies at ${point}, hit ${nth}`, async (t) => {
    const { died } = await play(t, stage, { row, nth, restart });
    t.true(died, 'the failpoint was not reached');
  });
}
