import test from 'ava';

import { jobId, type JobId } from '../../src/base/ids.ts';
import { SeededRandom, randomInt } from '../../src/base/random.ts';
import { NO_TENURE, TenureTable } from '../../src/cache/tenure-table.ts';
import { testSeed } from './support/fixtures.ts';

const jobs = ['a', 'b', 'c', 'd'].map(jobId);

test('tenures: equal ones share a number, and end with their last segment', (t) => {
  const table = new TenureTable();
  const a = jobId('a');
  const number = table.of(a, new Set([a]));
  t.is(table.of(a, new Set([a])), number);
  t.not(table.of(undefined, new Set([a])), number);
  table.enter(number, 10);
  table.leave(number, 10);
  t.is(table.leasedBytes, 0);
  t.deepEqual([...table.holders()], [a], 'the unused one of nobody and a is still there');
  t.is(table.of(undefined, new Set()), NO_TENURE);
});

test('tenures: random leases and releases agree with sets per segment', (t) => {
  const seed = testSeed(5);
  const random = new SeededRandom(seed);
  const table = new TenureTable();
  const segments: {
    tenure: number;
    space: number;
    loadedBy: JobId | undefined;
    leases: Set<JobId>;
  }[] = [];
  const pick = (): JobId => jobs[randomInt(random, jobs.length)] ?? jobId('a');
  for (let step = 0; step < 20_000; step++) {
    const action = randomInt(random, 10);
    const at = randomInt(random, segments.length || 1);
    const segment = segments[at];
    if (action < 4 || !segment) {
      const loadedBy = randomInt(random, 2) === 0 ? undefined : pick();
      const leases = new Set(loadedBy === undefined ? [] : [loadedBy]);
      const space = 64 * randomInt(random, 9);
      const tenure = table.of(loadedBy, leases);
      table.enter(tenure, space);
      segments.push({ tenure, space, loadedBy, leases });
    } else if (action < 7) {
      const job = pick();
      const to = table.withLease(segment.tenure, job);
      if (to !== segment.tenure) {
        table.enter(to, segment.space);
        table.leave(segment.tenure, segment.space);
        segment.tenure = to;
      }
      segment.leases.add(job);
    } else if (action < 9) {
      table.leave(segment.tenure, segment.space);
      segments.splice(at, 1);
    } else if (randomInt(random, 20) === 0) {
      const job = pick();
      table.release(job);
      for (const each of segments) each.leases.delete(job);
    }
    if (step % 500 === 0) {
      let leasedBytes = 0;
      for (const each of segments) {
        if (each.leases.size > 0) leasedBytes += each.space;
        const known = [...table.leasesOf(each.tenure)].sort();
        if (known.join() !== [...each.leases].sort().join()) t.fail(`leases differ, SEED=${seed}`);
        if (table.loadedByOf(each.tenure) !== each.loadedBy) t.fail(`loader differs, SEED=${seed}`);
      }
      t.is(table.leasedBytes, leasedBytes, `SEED=${seed}`);
    }
  }
});
