import test from 'ava';
import {
  formatCount,
  formatDuration,
  formatPercent,
  formatSize,
  formatTime,
  plural,
  printable,
  tableLines,
} from '../../src/cli/format.ts';

test('formatSize: three digits, IEC units, up to the largest', (t) => {
  const table: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [10_229, '9.99 KiB'],
    [10_239, '10.0 KiB'],
    [102_350, '100 KiB'],
    [1024 * 1024 - 1, '1.00 MiB'],
    [1024 * 1023.4, '1023 KiB'],
    [50e12, '45.5 TiB'],
    [Number.MAX_SAFE_INTEGER, '8.00 PiB'],
    [Number.NaN, '-'],
    [Number.POSITIVE_INFINITY, '-'],
  ];
  for (const [bytes, text] of table) t.is(formatSize(bytes), text, String(bytes));
});

test('formatDuration: the two largest units', (t) => {
  const table: readonly (readonly [number, string])[] = [
    [0, '0ms'],
    [999, '999ms'],
    [1000, '1s'],
    [59_499, '59s'],
    [59_500, '1m00s'],
    [3_599_499, '59m59s'],
    [3_599_500, '1h00m'],
    [86_399_000, '23h59m'],
    [86_400_000, '1d00h'],
    [10 * 86_400_000 + 3_600_000, '10d01h'],
    [-1, '-'],
    [Number.NaN, '-'],
  ];
  for (const [ms, text] of table) t.is(formatDuration(ms), text, String(ms));
});

test('formatCount, formatPercent, formatTime, plural: odd values have a text', (t) => {
  t.is(formatCount(1_234_567), '1,234,567');
  t.is(formatCount(999), '999');
  t.is(formatCount(Number.NaN), '-');
  t.is(formatPercent(999, 1000), '99%');
  t.is(formatPercent(1, 0), '-');
  t.is(formatTime(0), '-');
  t.is(formatTime(9e15), '-');
  t.is(formatTime(1), '1970-01-01T00:00:00.001Z');
  t.is(plural(1, 'copy', 'copies'), '1 copy');
  t.is(plural(1000, 'file'), '1,000 files');
});

test('printable: nothing that steers a screen gets through', (t) => {
  t.is(
    printable('a\u001b]0;title\u0007\r\nb\u009b2J\u202e'),
    'a\\x1b]0;title\\x07\\x0d\\x0ab\\x9b2J\\u202e',
  );
  t.is(printable('grün 目 🚀'), 'grün 目 🚀');
});

test('tableLines: columns line up, no blanks at line ends', (t) => {
  t.deepEqual(
    tableLines(
      [{ title: 'A' }, { title: 'NUMBER', align: 'right' }, { title: 'Z' }],
      [
        ['long one', '7', ''],
        ['x', '1,000,000', 'end'],
      ],
    ),
    ['A            NUMBER  Z', 'long one          7', 'x         1,000,000  end'],
  );
});
