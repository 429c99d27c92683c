import test from 'ava';
import { COMBINABLE_SUMS, carrySum, formatSum } from '../../src/base/crc-combine.ts';
import { Crc64Nvme } from '../../src/base/crc64nvme.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import { ExtraSum } from '../../src/data/io/extra-sum.ts';

const CHECK = Buffer.from('123456789');

test('sums: the check values of their definitions', (t) => {
  const expected = { crc32c: 'e3069283', crc32: 'cbf43926', crc64nvme: 'ae8b14860a799888' };
  for (const algorithm of COMBINABLE_SUMS) {
    const sum = new ExtraSum(algorithm);
    sum.update(CHECK);
    t.is(sum.result(), expected[algorithm]);
  }
});

test('sums: a byte at a time gives the same as all at once, from any address', (t) => {
  const bytes = Buffer.from(Array.from({ length: 1003 }, (_unused, at) => (at * at + 3) & 255));
  for (const start of [0, 1, 3, 7]) {
    const whole = new Crc64Nvme();
    whole.update(bytes.subarray(start));
    const single = new Crc64Nvme();
    for (let at = start; at < bytes.length; at++) single.update(bytes.subarray(at, at + 1));
    t.is(single.value(), whole.value());
  }
});

test('sums: those of pieces, carried to their places, add up to that of the whole', (t) => {
  const seed = Number(process.env['SEED'] ?? 20261129);
  t.log(`SEED=${seed}`);
  const random = new SeededRandom(seed);
  for (let round = 0; round < 60; round++) {
    const bytes = Buffer.from(
      Array.from({ length: randomInt(random, 5000) }, () => randomInt(random, 256)),
    );
    const cuts = Array.from({ length: randomInt(random, 6) }, () =>
      randomInt(random, bytes.length + 1),
    ).sort((a, b) => a - b);
    for (const algorithm of COMBINABLE_SUMS) {
      const sumOf = (part: Buffer): string => {
        const sum = new ExtraSum(algorithm);
        sum.update(part);
        return sum.result();
      };
      let combined = 0n;
      let start = 0;
      for (const end of [...cuts, bytes.length]) {
        const part = BigInt(`0x${sumOf(bytes.subarray(start, end))}`);
        combined ^= carrySum(algorithm, part, bytes.length - end);
        start = end;
      }
      t.is(formatSum(algorithm, combined), sumOf(bytes), `${algorithm}, cut at ${cuts.join(' ')}`);
    }
  }
});
