/** Sizes around 32 bits and up to what S3 allows: cut, placed and counted to the byte. */
import test from 'ava';
import { unitCountOf } from '../../src/job/unit.ts';
import { GIB, MIB } from '../../src/base/units.ts';
import { RunWorld } from './support/run-world.ts';

const TIB = 1024 * GIB;
const SEGMENT_BYTES = 8 * GIB;
const SIZES = [
  ...[0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 5 * GIB + 1, 5 * TIB, 50e12],
];

test('large sizes: a load of objects up to 50 TB is counted to the byte', async (t) => {
  const world = new RunWorld({
    spec: { segmentSizeBytes: SEGMENT_BYTES, replicaCount: 2 },
    limits: { windowBytes: 2 ** 50, windowTasks: 1_000, windowUnits: 4_000, batchSize: 500 },
  });
  const placement = world.placement.bind(world);
  world.placement = () => ({ ...placement(), capacityBytes: 2 ** 50 });
  for (const [index, sizeBytes] of SIZES.entries()) world.put(`f${index + 10}`, sizeBytes);
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  const total = SIZES.reduce((sum, sizeBytes) => sum + sizeBytes, 0);
  const counters = world.verdict?.checkpoint.counters;
  t.like(counters, {
    listedFiles: SIZES.length,
    loadedFiles: SIZES.length,
    listedBytes: total,
    loadedBytes: total,
    replicaBytes: 2 * total,
  });
  const expected = Object.values(world.verdict?.checkpoint.expected ?? {});
  t.is(
    expected.reduce((sum, { bytes }) => sum + bytes, 0),
    2 * total,
  );
  t.true([...world.fetches.values()].every((count) => count === 1));
});

test('large sizes: segments are counted without 32-bit arithmetic', (t) => {
  for (const [sizeBytes, segmentBytes, count] of [
    [50e12, 64 * 1024, 762_939_454],
    [50e12, 8 * MIB, 5_960_465],
    [5 * TIB, 8 * MIB, 655_360],
    [2 ** 32 - 1, MIB, 4_096],
    [2 ** 32, MIB, 4_096],
    [2 ** 32 + 1, MIB, 4_097],
    [5 * GIB + 1, 8 * MIB, 641],
    [Number.MAX_SAFE_INTEGER, 64 * 1024, 2 ** 37],
  ] as const) {
    t.is(unitCountOf(sizeBytes, segmentBytes, false), count, `${sizeBytes} / ${segmentBytes}`);
  }
});
