import { join } from 'node:path';
import { setImmediate as pause } from 'node:timers/promises';
import test from 'ava';
import { LevelFileCatalog } from '../../../src/cache/io/level-file-catalog.ts';
import { RecentRecords } from '../../../src/cache/io/recent-records.ts';
import { recordOf } from '../file-catalog-suite.ts';
import { temporaryFolder } from '../support/fixtures.ts';

test('recent records: nothing that was read before or during a change is remembered after it', async (t) => {
  const recent = new RecentRecords();
  const before = recent.moment;
  recent.remember(before, 'a', recordOf('a'));
  t.deepEqual(recent.get('a'), recordOf('a'));
  let end: () => void = () => undefined;
  const change = recent.changing(['a'], () => new Promise<void>((resolve) => (end = resolve)));
  t.is(recent.get('a'), undefined);
  const during = recent.moment;
  recent.remember(during, 'a', recordOf('a'));
  recent.remember(before, 'a', recordOf('a'));
  t.is(recent.get('a'), undefined);
  end();
  await change;
  for (const moment of [before, during]) recent.remember(moment, 'a', recordOf('a'));
  t.is(recent.get('a'), undefined);
  recent.remember(recent.moment, 'a', recordOf('a'));
  t.deepEqual(recent.get('a'), recordOf('a'));
  recent.clear();
  t.is(recent.get('a'), undefined);
});

test('recent records: their number is bounded', (t) => {
  const recent = new RecentRecords();
  for (let n = 0; n < 5000; n++) recent.remember(recent.moment, `f${n}`, recordOf(`f${n}`));
  t.is(recent.get('f0'), undefined);
  t.deepEqual(recent.get('f4999'), recordOf('f4999'));
});

test('recent records: a reader of the catalogue sees every change that was acknowledged', async (t) => {
  await using folder = await temporaryFolder();
  const catalog = await LevelFileCatalog.open(join(folder.path, 'files'));
  let isOver = false;
  const readers = Array.from({ length: 4 }, async () => {
    // Why the pause: what is remembered is answered at once, and nothing else would have its turn.
    while (!isOver) {
      await catalog.get('a');
      await pause();
    }
  });
  for (let version = 0; version < 200; version++) {
    const record = { ...recordOf('a'), version: `v${version}` };
    await catalog.putAll([record]);
    t.is((await catalog.get('a'))?.version, record.version);
    if (version % 10 === 9) {
      await catalog.delete('a');
      t.is(await catalog.get('a'), undefined);
    }
  }
  isOver = true;
  await Promise.all(readers);
  await catalog.close();
});
