import test from 'ava';
import fc from 'fast-check';
import { jobId } from '../../src/base/ids.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { mergeRecords } from '../../src/repair/record-order.ts';
import { loadedBy, recordOf } from './support/world.ts';

const JOBS = ['first', 'second', 'third'];
const orderOf = (job: string): number | undefined => {
  const position = JOBS.indexOf(job);
  return position < 0 ? undefined : position;
};
const old = recordOf('/f', { version: 'v1', mtimeMs: 500, ...loadedBy('first') });

test('records: the one of the later job is in force, whatever its modification time', (t) => {
  for (const mtimeMs of [400, 500, 600]) {
    const newer = recordOf('/f', { version: 'v2', mtimeMs, ...loadedBy('second') });
    t.is(mergeRecords(old, newer, orderOf), newer);
    t.is(mergeRecords(newer, old, orderOf), newer);
  }
});

test('records: another cut of the same version is another content', (t) => {
  const cut = { ...old, segmentSizeBytes: 50, ...loadedBy('second') };
  t.is(mergeRecords(old, cut, orderOf), cut);
  t.is(mergeRecords(cut, old, orderOf), cut);
});

test('records: a job that is remembered is later than one that is forgotten or none', (t) => {
  const forgotten = recordOf('/f', { version: 'v9', mtimeMs: 9_000, ...loadedBy('forgotten') });
  const readThrough = recordOf('/f', { version: 'v8', mtimeMs: 9_999 });
  t.is(mergeRecords(forgotten, old, orderOf), old);
  t.is(mergeRecords(old, readThrough, orderOf), old);
  t.is(mergeRecords(readThrough, forgotten, orderOf), forgotten);
});

test('records: between forgotten jobs the modification time decides, then the version', (t) => {
  const a = recordOf('/f', { version: 'va', mtimeMs: 5, ...loadedBy('x') });
  const b = recordOf('/f', { version: 'vb', mtimeMs: 6, ...loadedBy('y') });
  t.is(mergeRecords(a, b, orderOf), b);
  t.is(mergeRecords(b, a, orderOf), b);
  const sameTime = { ...b, mtimeMs: 5 };
  t.is(mergeRecords(a, sameTime, orderOf), sameTime);
  t.is(mergeRecords(sameTime, a, orderOf), sameTime);
});

test('records: of the same content the one with more copies stays', (t) => {
  const more = { ...old, replicaCount: 3, ...loadedBy('second') };
  t.is(mergeRecords(old, more, orderOf), more);
  t.is(mergeRecords(more, old, orderOf), more);
  t.is(mergeRecords(old, { ...old }, orderOf), old);
});

test('records: of the same content what is known besides is kept from both', (t) => {
  const attributes = [['content-type', 'image/png']] as const;
  const told = { ...old, attributes };
  const more = { ...old, replicaCount: 3, ...loadedBy('second') };
  t.is(mergeRecords(told, { ...old }, orderOf), told);
  t.deepEqual(mergeRecords(old, told, orderOf), told);
  t.deepEqual(mergeRecords(told, more, orderOf), { ...more, attributes });
  t.is(
    mergeRecords(told, { ...old, version: 'v2', ...loadedBy('second') }, orderOf).attributes,
    undefined,
  );
});

test('records: in whatever order they are offered, the same content comes out', (t) => {
  const record = fc.record({
    version: fc.constantFrom('v1', 'v2', 'v3'),
    mtimeMs: fc.integer({ min: 0, max: 3 }),
    sizeBytes: fc.integer({ min: 1, max: 2 }),
    segmentSizeBytes: fc.constantFrom(10, 20),
    segmented: fc.boolean(),
    replicaCount: fc.integer({ min: 1, max: 3 }),
    job: fc.constantFrom('first', 'second', 'third', 'gone', undefined),
  });
  const seed = Number(process.env['FC_SEED'] ?? 20_261);
  fc.assert(
    fc.property(fc.array(record, { minLength: 2, maxLength: 5 }), fc.nat(), (drawn, turn) => {
      // A version of a file has one size and time, and the job of its first load.
      const known = new Map<string, (typeof drawn)[number]>();
      const records = drawn.map(({ job, ...rest }): FileRecord => {
        const first = known.get(rest.version) ?? { ...rest, job };
        known.set(rest.version, first);
        const fixed = { mtimeMs: first.mtimeMs, sizeBytes: first.sizeBytes };
        const by = first.job === undefined ? {} : { loadedBy: jobId(first.job) };
        return recordOf('/f', { ...rest, ...fixed, ...by });
      });
      const at = turn % records.length;
      const rotated = [...records.slice(at), ...records.slice(0, at)];
      const contents = [records, rotated, [...rotated].reverse()].map((order) => {
        const { loadedBy: _, ...content } = order.reduce((a, b) => mergeRecords(a, b, orderOf));
        return content;
      });
      const [one, ...others] = contents.map(({ replicaCount: _, ...content }) => content);
      for (const other of others) t.deepEqual(other, one);
    }),
    { seed, numRuns: 300 },
  );
});
