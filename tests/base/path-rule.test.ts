import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import {
  formatFreshness,
  parseFreshness,
  parsePriority,
  parseQuotaBytes,
  parseTtlMs,
} from '../../src/base/path-rule.ts';

test('path rules: freshness is read as it is written', (t) => {
  for (const text of ['immutable', 'skip', 'always', '30s', '1500ms', '3600s']) {
    t.is(formatFreshness(parseFreshness(text)), text);
  }
  t.deepEqual(parseFreshness('0'), { revalidateAfterMs: 0 });
  t.deepEqual(parseFreshness('1h'), { revalidateAfterMs: 3_600_000 });
});

test('path rules: what is none is refused by name', (t) => {
  const refused: readonly (readonly [(text: string) => unknown, string])[] = [
    [parseFreshness, 'never'],
    [parseFreshness, '-1s'],
    [parseFreshness, '400d'],
    [parsePriority, 'urgent'],
    [parseTtlMs, '999ms'],
    [parseTtlMs, 'soon'],
    [parseQuotaBytes, '0'],
    [parseQuotaBytes, 'lots'],
  ];
  for (const [parse, text] of refused) {
    const error = t.throws(() => parse(text), { instanceOf: RingloadError });
    t.is(error.code, 'invalid_argument');
    t.true(error.message.includes(text));
  }
  t.is(parsePriority('HIGH'), 'high');
  t.is(parseTtlMs('1s'), 1000);
  t.is(parseQuotaBytes('10GB'), 10 * 1024 ** 3);
});
