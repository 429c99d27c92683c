import { readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import test from 'ava';

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
