import { createHash } from 'node:crypto';
import test from 'ava';
import { COMBINABLE_SUMS } from '../../../src/base/crc-combine.ts';
import { ExtraSum } from '../../../src/data/io/extra-sum.ts';
import { objectChecksumOf, verifierOf } from '../../../src/ufs/io/s3-checksum.ts';
import { S3Fixture } from '../../support/s3-fixture.ts';

const BYTES = Buffer.from('the bytes of an object');
const MD5 = createHash('md5').update(BYTES).digest('hex');

function headerOf(algorithm: (typeof COMBINABLE_SUMS)[number]): Record<string, string> {
  const sum = new ExtraSum(algorithm);
  sum.update(BYTES);
  const value = Buffer.from(sum.result(), 'hex').toString('base64');
  return { [`Checksum${algorithm.toUpperCase()}`]: value };
}

function accepts(verifier: ReturnType<typeof verifierOf>, bytes: Uint8Array): boolean | undefined {
  verifier?.update(bytes.subarray(0, 5));
  verifier?.update(bytes.subarray(5));
  return verifier?.matches();
}

for (const algorithm of COMBINABLE_SUMS) {
  test(`s3 checksum: ${algorithm} of the right bytes and of wrong ones`, (t) => {
    const answer = headerOf(algorithm);
    t.true(accepts(verifierOf(answer), BYTES));
    t.false(accepts(verifierOf(answer), BYTES.subarray(1)));
    t.is(verifierOf({ ...answer, ChecksumType: 'COMPOSITE' }), undefined);
    t.is(objectChecksumOf({ ...answer, ChecksumType: 'COMPOSITE' }), undefined);
    t.is(objectChecksumOf(answer)?.algorithm, algorithm);
  });
}

test('s3 checksum: the ETag of a single part is an MD5, where that is asked for', (t) => {
  const answer = { ETag: `"${MD5}"` };
  t.is(verifierOf(answer), undefined);
  t.true(accepts(verifierOf(answer, { md5: true }), BYTES));
  t.false(accepts(verifierOf(answer, { md5: true }), BYTES.subarray(1)));
  t.is(verifierOf({ ETag: `"${MD5}-2"` }, { md5: true }), undefined, 'of several parts it is none');
  t.is(verifierOf({ ETag: `W/"${MD5}"` }, { md5: true }), undefined);
  t.is(verifierOf({ ...answer, ...headerOf('crc32c') }, { md5: true })?.algorithm, 'crc32c');
});

test('s3 checksum: what is no checksum of its kind is none', (t) => {
  t.is(objectChecksumOf({}), undefined);
  t.is(objectChecksumOf({ ChecksumCRC32: 'AAAA' }), undefined);
  t.is(objectChecksumOf({ ChecksumCRC32: 'AAAAAA==-3' }), undefined);
  t.is(objectChecksumOf({ ChecksumSHA256: 'AAAA' }), undefined);
});

test.serial('s3 checksum: the listing says of which objects, a HEAD tells it', async (t) => {
  await using fixture = await S3Fixture.open({ plain: 100, other: 200 });
  const list = async (): Promise<(boolean | undefined)[]> => {
    const page = await fixture.store.list({ root: 's3://origin', limit: 9 }, fixture.signal);
    return page.objects.map(({ mayHaveChecksum }) => mayHaveChecksum);
  };
  t.deepEqual(await list(), [undefined, undefined]);
  const object = await fixture.stat('plain');
  t.is(await fixture.store.checksum(object, fixture.signal), undefined);
  fixture.origin.checksums = { algorithm: 'crc64nvme' };
  t.deepEqual(await list(), [true, true]);
  const sum = new ExtraSum('crc64nvme');
  sum.update(fixture.origin.expectedBytes('plain'));
  t.deepEqual(await fixture.store.checksum(object, fixture.signal), {
    algorithm: 'crc64nvme',
    value: sum.result(),
  });
  fixture.origin.checksums = { algorithm: 'crc32', type: 'COMPOSITE' };
  t.deepEqual(await list(), [undefined, undefined]);
  t.is(await fixture.store.checksum(object, fixture.signal), undefined);
  fixture.origin.objects.put('plain', 100);
  const error = await t.throwsAsync(fixture.store.checksum(object, fixture.signal));
  t.is((error as { code?: unknown } | undefined)?.code, 'ufs_changed');
});
