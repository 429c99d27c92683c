/** Many faults at once, by seed: right bytes or a classed error, and a bounded number of requests. */
import test from 'ava';

import { ERROR_TABLE, RingloadError } from '../../../src/base/errors.ts';
import { randomInt, SeededRandom } from '../../../src/base/random.ts';
import type { FaultAction } from '../../support/faulty-origin.ts';
import { UFS_DEFAULT_LIMITS, type UfsLimits } from '../../../src/ufs/mounts.ts';
import { S3Fixture } from '../../support/s3-fixture.ts';
import { fastClock } from '../../support/ufs-dependencies.ts';
import { RetryBudget } from '../../../src/ufs/retry.ts';

const SEED = Number(process.env['RINGLOAD_TEST_SEED'] ?? 20_262);
const READ_COUNT = 150;
const SIZE = 300_000;
/** Back-offs as they are by default, for a fast clock; deadlines that it never reaches. */
const UNHURRIED: UfsLimits = {
  ...UFS_DEFAULT_LIMITS,
  requestTimeoutMs: 3_600_000,
  readTimeoutMs: 3_600_000,
  throughputWindowMs: 3_600_000,
  connectionMaxCount: 10,
};

const actions: readonly FaultAction[] = [
  { kind: 'reset', at: -1 },
  { kind: 'reset', at: 0 },
  { kind: 'reset', at: 50_000 },
  { kind: 'fin', at: 1 },
  { kind: 'fin', at: 120_000 },
  { kind: 'resize', byBytes: -1 },
  { kind: 'resize', byBytes: 1 },
  { kind: 'no-length' },
  { kind: 'no-length', byBytes: 9 },
  { kind: 'no-length', cutAt: 70_000 },
  { kind: 'whole' },
  { kind: 'change', ignoreConditions: true },
  { kind: 'change', sizeBytes: SIZE + 1 },
  { kind: 'headers', set: { etag: null } },
  { kind: 'status', status: 200, code: 'InternalError' },
  { kind: 'status', status: 500, code: 'InternalError' },
  { kind: 'status', status: 502, body: '<html>' },
  { kind: 'status', status: 503, code: 'SlowDown' },
];

test.serial(`s3 storm: no fault gives a wrong byte (seed ${SEED})`, async (t) => {
  t.timeout(60_000);
  t.log(`replay with RINGLOAD_TEST_SEED=${SEED}`);
  const random = new SeededRandom(SEED);
  await using fixture = await S3Fixture.open({}, { limits: { connectionMaxCount: 8 } });
  const { origin } = fixture;
  const outcomes = new Map<string, number>();
  const readOne = async (number: number): Promise<void> => {
    const key = `k${number}`;
    origin.objects.put(key, SIZE);
    const object = await fixture.stat(key);
    const offset = randomInt(random, 2) === 0 ? 0 : randomInt(random, SIZE);
    const length = offset === 0 ? SIZE : 1 + randomInt(random, SIZE - offset);
    const expected = origin.expectedBytes(key, offset, length);
    let outcome = 'right bytes';
    try {
      const bytes = await fixture.read(object, offset, length);
      t.true(bytes.equals(expected), `${key} from ${offset}, ${length} bytes`);
    } catch (thrown) {
      if (!(thrown instanceof RingloadError)) throw thrown;
      outcome = thrown.code;
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };
  origin.script(
    ...actions.map((action) => ({ operation: 'get', probability: 0.04, action }) as const),
  );
  for (let done = 0; done < READ_COUNT; done += 10) {
    await Promise.all(Array.from({ length: 10 }, (_, i) => readOne(done + i)));
  }
  t.log(Object.fromEntries(outcomes));
  t.true((outcomes.get('right bytes') ?? 0) > READ_COUNT / 2);
  t.true([...outcomes.keys()].every((code) => code === 'right bytes' || code in ERROR_TABLE));
  // Nothing is left over: all sockets work.
  origin.script();
  await Promise.all(Array.from({ length: 10 }, (_, i) => readOne(READ_COUNT + i)));
});

/** Retries that the reads would want: fewer than the budget, more than it, and without end. */
const storms = [
  { percent: 5, readCount: 250, mayFail: false },
  { percent: 25, readCount: 500, mayFail: true },
  { percent: 100, readCount: 200, mayFail: true },
] as const;
for (const { percent, readCount, mayFail } of storms) {
  test.serial(
    `s3 storm: ${percent} % of 503 cost a tenth more requests at most (seed ${SEED})`,
    async (t) => {
      t.timeout(60_000);
      await using fixture = await S3Fixture.open(
        { k: 10 },
        { limits: UNHURRIED },
        { clock: fastClock(1_000) },
      );
      const { origin } = fixture;
      const object = await fixture.stat('k');
      const action: FaultAction = { kind: 'status', status: 503, code: 'SlowDown' };
      origin.script({ operation: 'get', probability: percent / 100, action });
      let throttledCount = 0;
      for (let done = 0; done < readCount; done += 10) {
        const outcomes = await Promise.allSettled(
          Array.from({ length: 10 }, () => fixture.read(object)),
        );
        for (const outcome of outcomes) {
          if (outcome.status === 'fulfilled') continue;
          t.is((outcome.reason as RingloadError).code, 'ufs_throttled');
          throttledCount++;
        }
      }
      const requestCount = origin.countOf('get');
      t.log(`${requestCount} requests for ${readCount} reads, ${throttledCount} of them given up`);
      const refilled = RetryBudget.REFILL * (readCount - throttledCount);
      t.true(requestCount <= readCount + RetryBudget.CAPACITY + refilled);
      t.is(throttledCount > 0, mayFail);
    },
  );
}
