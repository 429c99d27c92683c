/** Which records are made durable together, and which of them wait for a reader's. */
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { ManualClock } from '../../../src/base/clock.ts';
import { GroupCommit, type CommitTarget } from '../../../src/cache/io/group-commit.ts';
import { Region } from '../../../src/cache/region.ts';

const REGION_BYTES = 64 * 1024;

/** A directory whose syncs end by hand; the groups are told in order. */
function stageOf() {
  const clock = new ManualClock();
  const demands = { value: 0 };
  const region = new Region({ slot: 0, directoryIndex: 0, id: 0, sizeBytes: REGION_BYTES });
  region.state = 'open';
  const groups: string[][] = [];
  const syncs: (() => void)[] = [];
  const directory: CommitTarget = {
    files: {
      syncData: () => new Promise((resolve) => syncs.push(resolve)),
      writeRecords: (_region, bytes) => {
        groups.push(Buffer.from(bytes).toString().split(';').slice(0, -1));
        return Promise.resolve();
      },
      keepRecords: () => Promise.resolve(),
    },
    checkServing: () => undefined,
    attempt: (_action, work) => work(),
    abandon: () => undefined,
    unpin: () => undefined,
  };
  const commits = new GroupCommit(directory, { clock, demands });
  const commit = (name: string, isUrgent: boolean): Promise<void> =>
    commits.commit({
      ...{ region, isAboutNewData: true, urgency: { isUrgent } },
      encode: () => Buffer.from(`${name};`),
    });
  /** Until nothing happens any more but what time or a sync brings. */
  const settle = async (): Promise<void> => {
    for (let count = 0; count < 10; count++) await turn();
  };
  const sync = async (): Promise<void> => {
    syncs.shift()?.();
    await settle();
  };
  return { clock, demands, groups, syncs, commit, commits, settle, sync, region };
}

test('group commit: a reader finds no sync of what was loaded ahead before it', async (t) => {
  const { clock, demands, groups, syncs, commit, settle, sync } = stageOf();
  demands.value = 1;
  const ahead = Array.from({ length: 20 }, (_, number) => commit(`ahead ${number}`, false));
  await settle();
  clock.advance(40);
  await settle();
  t.is(syncs.length, 0, 'it is synced while a reader waits for another segment');
  const awaited = commit('awaited', true);
  await settle();
  t.is(syncs.length, 1, 'the reader waits for the clock');
  await sync();
  await awaited;
  // One group: they cost the reader nothing, and have waited for it only.
  t.is(groups.length, 1);
  await Promise.all(ahead);
});

test('group commit: what was loaded ahead is not put off for long, however many readers come', async (t) => {
  const { clock, demands, groups, syncs, commit, settle, sync } = stageOf();
  demands.value = 3;
  const ahead = commit('ahead', false);
  for (let count = 0; count < 100 && syncs.length === 0; count++) {
    await settle();
    clock.advance(4);
  }
  t.true(clock.nowMs() <= 200, `it rested for ${clock.nowMs()} ms`);
  await settle();
  await sync();
  await ahead;
  t.deepEqual(groups, [['ahead']]);
});

test('group commit: nothing rests when no reader waits, nor what waits for nobody in particular', async (t) => {
  const { demands, groups, commit, commits, settle, sync, region } = stageOf();
  const first = commit('ahead', false);
  await settle();
  await sync();
  await first;
  demands.value = 1;
  // A record without urgency: it may make room for the reader.
  const moved = commits.commit({
    ...{ region, isAboutNewData: false },
    encode: () => Buffer.from('moved;'),
  });
  await moved;
  t.deepEqual(groups, [['ahead'], ['moved']]);
});

test('group commit: many records are told of in several turns, in order', async (t) => {
  const { commit, settle, syncs } = stageOf();
  const told: number[] = [];
  const all = Array.from({ length: 100 }, async (_, number) => {
    await commit(`${number}`, true);
    told.push(number);
  });
  await settle();
  syncs.shift()?.();
  while (told.length < 100) {
    const before = told.length;
    await turn();
    t.true(told.length - before <= 32, `${told.length - before} in one turn`);
  }
  await Promise.all(all);
  t.deepEqual(
    told,
    Array.from({ length: 100 }, (_, number) => number),
  );
});
