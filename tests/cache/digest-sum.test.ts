import test from 'ava';
import { SeededRandom } from '../../src/base/random.ts';
import { addDigests, formatDigest, parseDigest } from '../../src/cache/digest.ts';
import { DigestSum } from '../../src/cache/digest-sum.ts';

test('digest sum: is that of big integers, carries and overflows included', (t) => {
  const seed = Number(process.env['DIGEST_SUM_SEED'] ?? Date.now() % 1e6);
  const random = new SeededRandom(seed);
  const edges = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n];
  const draw = (): bigint => {
    const edge = edges[Math.floor(random.next() * edges.length * 2)];
    if (edge !== undefined) return edge;
    const half = (): bigint => BigInt(Math.floor(random.next() * 2 ** 32));
    return (half() << 32n) | half();
  };
  let expected = 0n;
  let sum = new DigestSum();
  for (let count = 0; count < 10_000; count++) {
    const digest = draw();
    const text = formatDigest(digest);
    expected = addDigests(expected, digest);
    if (count % 3 === 0) sum.addAll(new DigestSum(text));
    else sum.add(text);
    if (count % 100 === 0) sum = new DigestSum(sum.toString());
    if (sum.toString() === formatDigest(expected)) continue;
    t.fail(`DIGEST_SUM_SEED=${seed}: ${count} digests add up to ${sum.toString()}`);
    return;
  }
  t.is(parseDigest(sum.toString()), expected);
  sum.clear();
  t.is(sum.toString(), formatDigest(0n));
});
