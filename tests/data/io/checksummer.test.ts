import { crc32c } from '@node-rs/crc32';
import test from 'ava';
import { SeededRandom } from '../../../src/base/random.ts';
import { CHECKSUM_BLOCK_BYTES } from '../../../src/cache/segment-store.ts';
import { Checksummer } from '../../../src/data/io/checksummer.ts';
import { combineCrc32c } from '../../../src/data/io/crc32c-combine.ts';
import { bytesOf } from '../../../src/sample/object-set.ts';

const bytesOfLength = (sizeBytes: number): Buffer =>
  bytesOf({ key: 'checksum', version: 1, sizeBytes, mtimeMs: 0 });

test('combineCrc32c: the checksum of joined pieces follows from theirs, at any cut', (t) => {
  const bytes = bytesOfLength(70_001);
  const whole = crc32c(bytes);
  for (const cut of [0, 1, 2, 3, 255, 256, 4_095, 4_096, 65_535, 65_536, 70_000, 70_001]) {
    const [first, second] = [bytes.subarray(0, cut), bytes.subarray(cut)];
    t.is(combineCrc32c(crc32c(first), crc32c(second), second.length), whole, `cut at ${cut}`);
  }
});

test('checksummer: whole and blocks are right, however the bytes come', (t) => {
  const seed = Number(process.env['SEED'] ?? 20);
  t.log(`SEED=${seed}`);
  const random = new SeededRandom(seed);
  const block = CHECKSUM_BLOCK_BYTES;
  for (const size of [0, 1, block - 1, block, block + 1, 2 * block, 5 * block + 17]) {
    const bytes = bytesOfLength(size);
    const checksummer = new Checksummer(size);
    for (let at = 0; at < size;) {
      const length = Math.min(size - at, 1 + Math.floor(random.next() * 1.5 * block));
      checksummer.update(bytes.subarray(at, at + length));
      at += length;
    }
    const { crc32c: whole, blockCrc32c } = checksummer.result();
    t.is(whole, crc32c(bytes), `${size} bytes`);
    const blocks = Array.from({ length: Math.ceil(size / block) }, (_, index) =>
      crc32c(bytes.subarray(index * block, (index + 1) * block)),
    );
    t.deepEqual([...blockCrc32c], blocks);
  }
});
