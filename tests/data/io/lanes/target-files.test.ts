import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { PageBuffers, PAGE_BYTES } from '../../../../src/data/io/lanes/page-buffers.ts';
import { TargetFiles } from '../../../../src/data/io/lanes/target-files.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

for (const directIo of ['auto', 'off'] as const) {
  test(`target files: neighbours written at once are all there, direct I/O ${directIo}`, async (t) => {
    await using folder = await tempFolder();
    const path = join(folder.path, 'region');
    const pieceBytes = 16 * PAGE_BYTES;
    const count = 40;
    await writeFile(path, Buffer.alloc(count * pieceBytes));
    const files = new TargetFiles(directIo, 4);
    const buffers = new PageBuffers();
    const pieces = Array.from({ length: count }, () => {
      const buffer = buffers.take(pieceBytes).subarray(0, pieceBytes);
      buffer.set(randomBytes(pieceBytes));
      return buffer;
    });
    const isDirect = files.canGoDirect(0, true);
    t.is(isDirect, directIo === 'auto');
    await Promise.all(
      pieces.map((piece, number) =>
        files.write(path, piece, number * pieceBytes, { direct: isDirect, isAhead: () => true }),
      ),
    );
    t.true((await readFile(path)).equals(Buffer.concat(pieces)));
  });
}

test('page buffers: the smallest that is enough begins on a page, and is used again', (t) => {
  const buffers = new PageBuffers();
  const sizes = [1, 64 * 1024, 64 * 1024 + 1, 256 * 1024 + 1, 8 * 1024 * 1024];
  const taken = sizes.map((size) => buffers.take(size));
  t.deepEqual(
    taken.map(({ length }) => length / 1024),
    [64, 64, 256, 1024, 1024],
  );
  for (const buffer of taken) buffers.giveBack(buffer);
  t.true(taken.includes(buffers.take(200 * 1024)));
});
