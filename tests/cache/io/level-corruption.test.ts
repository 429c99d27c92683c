/**
 * Every corruption of the file catalogue: a record is served as it was written or not at all. What
 * is lost counts as not loaded.
 */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import test from 'ava';

import { type RingloadError } from '../../../src/base/errors.ts';
import { LevelFileCatalog } from '../../../src/cache/io/level-file-catalog.ts';
import { damageOfTable } from '../../../src/cache/io/level-table-check.ts';
import { DamageTally, everyDamage, type Outcome } from '../../support/damages.ts';
import { recordOf } from '../file-catalog-suite.ts';
import { temporaryFolder } from '../support/fixtures.ts';

const RECORDS = Array.from({ length: 12 }, (_, number) =>
  recordOf(`s3://bucket/dir/file-${number}`, `"etag-${number * 7919}"`),
);
const EXPECTED = new Map(RECORDS.map((record) => [record.path, JSON.stringify(record)]));

/** A catalogue with records in a table and in the log. */
async function fill(path: string): Promise<void> {
  for (const half of [RECORDS.slice(0, 8), RECORDS.slice(8)]) {
    const catalog = await LevelFileCatalog.open(path);
    await catalog.putAll(half);
    await catalog.close();
  }
}

async function outcomeOf(path: string, damagedFile: string): Promise<Outcome> {
  let catalog: LevelFileCatalog;
  try {
    catalog = await LevelFileCatalog.open(path);
  } catch (error) {
    const { code, message } = error as RingloadError;
    const isNamed = code === 'data_corrupt' || code === 'data_dir_foreign';
    return isNamed && message.includes(path) ? 'detected' : 'wrong';
  }
  try {
    let rightCount = 0;
    for (const [key, expected] of EXPECTED) {
      const found = await catalog.get(key);
      if (found && JSON.stringify(found) !== expected) return 'wrong';
      if (found) rightCount++;
    }
    const listed = await catalog.scan({ root: 's3://bucket', limit: 1000 });
    for (const found of listed) {
      if (JSON.stringify(found) !== EXPECTED.get(found.path)) return 'wrong';
    }
    if (listed.length !== rightCount) return 'wrong';
    await catalog.putAll([recordOf('s3://bucket/new')]);
    if (!(await catalog.get('s3://bucket/new'))) return 'wrong';
    const isDropped = rightCount < EXPECTED.size && damagedFile !== '';
    return isDropped ? 'detected' : 'harmless';
  } finally {
    await catalog.close();
  }
}

test('level catalog: no corruption of its files makes it serve a wrong record', async (t) => {
  t.timeout(240_000);
  await using folder = await temporaryFolder();
  const sound = join(folder.path, 'sound');
  const damaged = join(folder.path, 'damaged');
  await fill(sound);
  const tally = new DamageTally();
  const names = (await readdir(sound)).filter((name) =>
    /^(CURRENT|MANIFEST-.*|.*\.(ldb|log))$/.test(name),
  );
  for (const name of names) {
    const content = await readFile(join(sound, name));
    // Why not every one: opening a database costs milliseconds.
    for (const damage of everyDamage(content, {
      pageBytes: 256,
      step: name === 'CURRENT' ? 4 : 23,
    })) {
      await rm(damaged, { recursive: true, force: true });
      await cp(sound, damaged, { recursive: true });
      await writeFile(join(damaged, name), damage.bytes);
      const outcome = await outcomeOf(damaged, name);
      tally.add({ what: `${name}: ${damage.what}` }, outcome);
    }
  }
  tally.close(t, `the catalogue's ${names.length} files`);
});

test('level catalog: tables that LevelDB removes when it opens are checked before that', async (t) => {
  await using folder = await temporaryFolder();
  await fill(folder.path);
  const name = (await readdir(folder.path)).find((each) => each.endsWith('.ldb')) ?? '';
  // As a crash leaves them behind a compaction: whole, and no part of the database any more.
  for (let number = 900_000; number < 900_300; number++) {
    await cp(join(folder.path, name), join(folder.path, `${number}.ldb`));
  }
  const catalog = await LevelFileCatalog.open(folder.path);
  t.true((await catalog.count()) > 0);
  await catalog.close();
});

test('level catalog: every corruption of a table is found before it is opened', async (t) => {
  t.timeout(120_000);
  await using folder = await temporaryFolder();
  await fill(folder.path);
  const name = (await readdir(folder.path)).find((each) => each.endsWith('.ldb')) ?? '';
  const path = join(folder.path, name);
  const content = await readFile(path);
  t.is(await damageOfTable(path), undefined);
  const tally = new DamageTally();
  for (const damage of everyDamage(content, { pageBytes: 256 })) {
    await writeFile(path, damage.bytes);
    tally.add(damage, (await damageOfTable(path)) === undefined ? 'harmless' : 'detected');
  }
  tally.close(t, `a table of ${content.length} bytes`);
  // The footer is padded: bytes that nobody reads.
  t.true(tally.count('harmless') <= 40, `${tally.count('harmless')} were not found`);
});
