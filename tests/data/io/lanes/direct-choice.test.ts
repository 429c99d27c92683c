import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { silentLogger } from '../../../../src/base/logger.ts';
import { DirectChoice, probeDirectory } from '../../../../src/data/io/lanes/direct-choice.ts';
import { systemClock } from '../../../../src/node/system.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const RESULTS: Readonly<Record<string, { directMs: number; cachedMs: number }>> = {
  '/disk': { directMs: 1, cachedMs: 3 },
  '/level': { directMs: 3, cachedMs: 2 },
  '/network/': { directMs: 30, cachedMs: 2 },
  './memory': { directMs: Infinity, cachedMs: 1 },
};

test('direct choice: direct I/O, unless the page cache is clearly faster or it is refused', async (t) => {
  const choice = new DirectChoice({
    logger: silentLogger,
    probe: (directory) => {
      const result = RESULTS[directory];
      return result ? Promise.resolve(result) : Promise.reject(new Error('no space left'));
    },
  });
  t.true(choice.allows('/network/region-00000.dat'), 'before it was measured');
  await choice.measure(['/full', ...Object.keys(RESULTS)]);
  const allowed = ['/full', ...Object.keys(RESULTS)].filter((directory) =>
    choice.allows(join(directory, 'region-00000.dat')),
  );
  t.deepEqual(allowed, ['/full', '/disk', '/level']);
});

test('direct choice: one probe of a disk that is busy with other things does not decide', async (t) => {
  let probeCount = 0;
  const busyFor = async (busyCount: number): Promise<boolean> => {
    probeCount = 0;
    const choice = new DirectChoice({
      logger: silentLogger,
      probe: () => Promise.resolve({ directMs: ++probeCount > busyCount ? 1 : 9, cachedMs: 2 }),
    });
    await choice.measure(['/disk']);
    return choice.allows('/disk/region-00000.dat');
  };
  t.true(await busyFor(1));
  t.true(await busyFor(2));
  t.is(probeCount, 3);
  t.false(await busyFor(3));
});

test('direct choice: the probe measures a real directory and leaves it empty', async (t) => {
  await using folder = await tempFolder();
  const { directMs, cachedMs } = await probeDirectory(folder.path, systemClock);
  t.true(directMs > 0);
  t.true(cachedMs > 0 && Number.isFinite(cachedMs));
  t.deepEqual(await readdir(folder.path), []);
  await t.throwsAsync(probeDirectory(join(folder.path, 'missing'), systemClock), {
    code: 'ENOENT',
  });
});
