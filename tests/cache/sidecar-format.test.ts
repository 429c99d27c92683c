import test from 'ava';

import { jobId } from '../../src/base/ids.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { scanSidecar } from '../../src/cache/io/sidecar-scan.ts';
import { hashSegmentKey } from '../../src/cache/key-hash.ts';
import {
  RECORD_MAX_BYTES,
  SIDECAR_HEADER_BYTES,
  claimedLength,
  decodeBody,
  decodeHeader,
  decodeRecord,
  encodeDropRecord,
  encodeHeader,
  encodeLeaseRecord,
  encodeSegmentRecord,
} from '../../src/cache/sidecar-format.ts';
import { bytesOf, keyOf } from './support/fixtures.ts';

const seal = { salt: 12_345, crc32c: nativeCrc32c };

const segment = {
  hash: hashSegmentKey(keyOf(3)),
  digest: 0xfedc_ba98_7654_3210n,
  key: { ...keyOf(3, 'päth\n'), segmentSizeBytes: 2 ** 40, index: 2 ** 50 },
  offset: 4096,
  lengthBytes: 65_537,
  crc32c: 0xffff_ffff,
  blockCrc32c: Uint32Array.of(1, 0xffff_fffe),
  loadedBy: jobId('some-job'),
};

test('sidecar: records come back as they were', (t) => {
  const bytes = encodeSegmentRecord(segment, seal);
  t.is(claimedLength(bytes, 0), bytes.length);
  const record = decodeRecord(bytes, seal);
  if (record?.kind !== 'segment') return t.fail('a segment record');
  const { bytes: _, ...fields } = record;
  const { key, blockCrc32c, ...expected } = segment;
  t.deepEqual(fields, { kind: 'segment', ...expected });
  t.deepEqual(decodeBody(record), { key, blockCrc32c });
  t.deepEqual(decodeRecord(encodeDropRecord(4_000_000_000, seal), seal), {
    kind: 'drop',
    recordOffset: 4_000_000_000,
  });
  t.deepEqual(decodeRecord(encodeLeaseRecord(jobId('j'), [64, 2 ** 31], seal), seal), {
    kind: 'lease',
    job: 'j',
    recordOffsets: Uint32Array.of(64, 2 ** 31),
  });
});

test('sidecar: every flipped bit of a record or header is noticed', (t) => {
  const header = { regionId: 3, regionSizeBytes: 2 ** 28, sequence: 2 ** 40, salt: 9 };
  const headerBytes = encodeHeader(header, nativeCrc32c);
  t.deepEqual(decodeHeader(headerBytes, nativeCrc32c), header);
  for (let bit = 0; bit < headerBytes.length * 8; bit++) {
    const damaged = Uint8Array.from(headerBytes);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (decodeHeader(damaged, nativeCrc32c)) t.fail(`header bit ${bit}`);
  }
  const bytes = encodeSegmentRecord(segment, seal);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Uint8Array.from(bytes);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (decodeRecord(damaged, seal)) t.fail(`record bit ${bit}`);
  }
});

test('sidecar: a record of another generation does not count', (t) => {
  const bytes = encodeSegmentRecord(segment, seal);
  t.is(decodeRecord(bytes, { ...seal, salt: seal.salt + 1 }), undefined);
});

async function scan(content: Uint8Array) {
  const offsets: number[] = [];
  let validEnd = SIDECAR_HEADER_BYTES;
  let damagedCount = 0;
  const source = {
    size: () => Promise.resolve(content.length),
    read: (target: Uint8Array, position: number) => {
      const part = content.subarray(position, position + target.length);
      target.set(part);
      return Promise.resolve(part.length);
    },
  };
  for await (const window of scanSidecar(source, seal)) {
    for (const { recordOffset } of window.records) offsets.push(recordOffset);
    ({ validEnd, damagedCount } = window);
  }
  return { offsets, validEnd, damagedCount };
}

test('sidecar: a scan over many windows finds every record, and steps over damage', async (t) => {
  const parts: Uint8Array[] = [new Uint8Array(SIDECAR_HEADER_BYTES)];
  const starts: number[] = [];
  let length = SIDECAR_HEADER_BYTES;
  for (let index = 0; index < 9000; index++) {
    const path = 'p'.repeat(1 + ((index * 7919) % 900));
    const bytes = encodeSegmentRecord({ ...segment, key: keyOf(index, path) }, seal);
    starts.push(length);
    parts.push(bytes);
    length += bytes.length;
  }
  const content = new Uint8Array(Buffer.concat(parts));
  t.true(content.length > 4 * 4 * RECORD_MAX_BYTES, 'more than a few windows');
  t.deepEqual(await scan(content), { offsets: starts, validEnd: length, damagedCount: 0 });

  const damagedAt = new Set([0, 500, 501, 4000, 8000]);
  for (const at of damagedAt) {
    const start = (starts[at] ?? 0) + 40;
    content[start] = (content[start] ?? 0) ^ 1;
  }
  const expected = starts.filter((_, at) => !damagedAt.has(at));
  t.deepEqual(await scan(content), { offsets: expected, validEnd: length, damagedCount: 4 });

  const garbage = Buffer.concat([content, Buffer.from(bytesOf(1, 3_000_000))]);
  t.deepEqual(await scan(new Uint8Array(garbage)), {
    offsets: expected,
    validEnd: length,
    damagedCount: 4,
  });
  const torn = content.subarray(0, length - 1);
  t.deepEqual((await scan(torn)).offsets, expected.slice(0, -1));
});

test('sidecar: a record hidden in a key does not come out when its host is damaged', async (t) => {
  // Whoever chooses the key does not know the salt.
  const inner = encodeSegmentRecord({ ...segment, offset: 0 }, { ...seal, salt: 0 });
  const path = Buffer.from(inner).toString('latin1');
  const host = encodeSegmentRecord({ ...segment, key: keyOf(1, path) }, seal);
  host[20] = (host[20] ?? 0) ^ 1;
  const content = new Uint8Array(SIDECAR_HEADER_BYTES + host.length);
  content.set(host, SIDECAR_HEADER_BYTES);
  t.deepEqual((await scan(content)).offsets, []);
});
