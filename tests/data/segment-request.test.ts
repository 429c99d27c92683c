import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { formatSegmentRequest, parseSegmentRequest } from '../../src/data/segment-request.ts';
import { keyOf } from './support.ts';

test('segment request: what is written is read again, whatever the key holds', (t) => {
  const paths = ['s3://b/a', 's3://b/ä&=#?%2F\n', 's3://b/\u{1f600}/ +', 's3://b/\'"\\'];
  for (const path of paths) {
    const key = keyOf(path, 3, '"etag-1"');
    for (const request of [
      { key, offset: 0 },
      { key, offset: 5, length: 0 },
      { key, offset: 2 ** 40, length: 7, fill: { lengthBytes: 8, fileSizeBytes: 2 ** 41 } },
    ]) {
      t.deepEqual(parseSegmentRequest(formatSegmentRequest(request)), request);
    }
  }
});

test('segment request: anything else is refused', (t) => {
  const good = formatSegmentRequest({ key: keyOf(), offset: 0, length: 1 });
  const bad = ['', '/segment', '/segment?k=', '/segment?k=e30', `${good}0000000000000000`];
  bad.push(
    good.replace('l=1', 'l=-1'),
    good.replace('o=0', 'o=1e3'),
    `${good}&f=1`,
    `${good}&f=x.1`,
  );
  for (const url of bad) {
    const error = t.throws(() => parseSegmentRequest(url), { instanceOf: RingloadError }, url);
    t.is(error.code, 'invalid_argument');
  }
});
