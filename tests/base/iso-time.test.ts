import test from 'ava';
import fc from 'fast-check';
import { parseIsoTimeMs } from '../../src/base/iso-time.ts';

test('iso time: as the calendar of the platform says, for every day and zone', (t) => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
      fc.integer({ min: -1439, max: 1439 }),
      (date, zone) => {
        const sign = zone < 0 ? '-' : '+';
        const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
        const text = `${sign}${two(Math.abs(zone) / 60)}:${two(Math.abs(zone) % 60)}`;
        const iso = date.toISOString();
        t.is(parseIsoTimeMs(iso), date.getTime());
        const zoned = iso.replace('Z', text);
        t.is(parseIsoTimeMs(zoned), Date.parse(zoned), zoned);
        const day = iso.slice(0, 10);
        t.is(parseIsoTimeMs(day), Date.parse(day));
      },
    ),
    { numRuns: 2000 },
  );
});

test('iso time: what is no date, or has no zone, is none', (t) => {
  for (const text of [
    ...['', '2026', '2026-13-01', '2026-00-10', '2026-02-29', '2026-01-00', '2026-1-1'],
    ...['2026-01-01T10:00', '2026-01-01T24:00Z', '2026-01-01T10:60Z', '2026-01-01 10:00Z'],
    ...['2026-01-01T10:00+25:00', 'yesterday', '2026-01-01T10:00:00.1234Z', '1900-02-29'],
  ]) {
    t.is(parseIsoTimeMs(text), undefined, text);
  }
  t.is(parseIsoTimeMs('2024-02-29'), Date.UTC(2024, 1, 29));
});
