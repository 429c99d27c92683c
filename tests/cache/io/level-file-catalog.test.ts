import { readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import test from 'ava';
import { ClassicLevel } from 'classic-level';

import { jobId } from '../../../src/base/ids.ts';
import { LevelFileCatalog } from '../../../src/cache/io/level-file-catalog.ts';
import { fileCatalogSuite, recordOf } from '../file-catalog-suite.ts';
import { temporaryFolder } from '../support/fixtures.ts';

fileCatalogSuite(test, 'level catalog', async () => {
  const folder = await temporaryFolder();
  const catalog = await LevelFileCatalog.open(join(folder.path, 'files'));
  return {
    catalog,
    [Symbol.asyncDispose]: async () => {
      await catalog.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});

test('level catalog: records and count survive a restart', async (t) => {
  await using folder = await temporaryFolder();
  const first = await LevelFileCatalog.open(folder.path);
  await first.putAll([recordOf('a'), recordOf('b'), recordOf('c')]);
  await first.delete('b');
  await first.close();
  const second = await LevelFileCatalog.open(folder.path);
  t.is(await second.count(), 2);
  t.deepEqual(await second.get('c'), recordOf('c'));
  t.is(await second.get('b'), undefined);
  await second.close();
});

test('level catalog: holders survive a restart', async (t) => {
  await using folder = await temporaryFolder();
  const holder = jobId('a/1.1');
  const first = await LevelFileCatalog.open(folder.path);
  await first.putAll([recordOf('a'), recordOf('b')]);
  await first.hold([{ record: recordOf('a'), holder, isNew: false }]);
  await first.close();
  const second = await LevelFileCatalog.open(folder.path);
  t.is((await second.heldInventory(holder, '')).recordCount, 1);
  t.is(await second.count(), 2);
  await second.close();
});

test('level catalog: a page is full although a damaged entry lies in it', async (t) => {
  await using folder = await temporaryFolder();
  const first = await LevelFileCatalog.open(folder.path);
  await first.putAll(['r/a', 'r/b', 'r/c', 'r/d'].map((path) => recordOf(path)));
  await first.close();
  const raw = new ClassicLevel(folder.path);
  await raw.put('fr/b', (await raw.get('fr/b'))?.replace('v1', 'v2') ?? '');
  await raw.close();
  const second = await LevelFileCatalog.open(folder.path);
  const pageAfter = async (after?: string): Promise<string[]> => {
    const request = { root: 'r', limit: 2, ...(after !== undefined && { after }) };
    return (await second.scan(request)).map(({ path }) => path);
  };
  t.deepEqual(await pageAfter(), ['r/a', 'r/c']);
  t.deepEqual(await pageAfter('r/a'), ['r/c', 'r/d']);
  t.deepEqual(await pageAfter('r/c'), ['r/d']);
  t.is(await second.get('r/b'), undefined);
  await second.close();
});

test('level catalog: a second process is refused', async (t) => {
  await using folder = await temporaryFolder();
  const first = await LevelFileCatalog.open(folder.path);
  const error = await t.throwsAsync(LevelFileCatalog.open(folder.path));
  t.is((error as { code?: unknown } | undefined)?.code, 'data_dir_locked');
  await first.close();
});

test('level catalog: damage is repaired or named, never served', async (t) => {
  await using folder = await temporaryFolder();
  const first = await LevelFileCatalog.open(folder.path);
  await first.putAll([recordOf('a'), recordOf('b')]);
  await first.close();
  const names = await readdir(folder.path);
  const manifest = names.find((name) => name.startsWith('MANIFEST')) ?? '';
  await truncate(join(folder.path, manifest), 10);
  const second = await LevelFileCatalog.open(folder.path);
  t.deepEqual(await second.get('a'), recordOf('a'), 'the log still has it');
  t.is(await second.count(), 2);
  await second.close();
  await writeFile(join(folder.path, 'CURRENT'), 'nonsense');
  const third = await LevelFileCatalog.open(folder.path);
  t.is(await third.count(), 2);
  await third.close();
});
