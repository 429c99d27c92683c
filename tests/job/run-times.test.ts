/** Time of runs by monotonic clocks: through checkpoints, from leader to leader, past jumps of dates. */
import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { jobId } from '../../src/base/ids.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { RunTimes } from '../../src/job/run-times.ts';
import { World } from '../cluster/support.ts';

const ID = jobId('a');
const DAY_MS = 86_400_000;

/** Peers that follow one replicated state, each by a clock of its own. */
class Followers {
  readonly world = new World().found('p1', 'p2');
  readonly clock = new ManualClock();
  readonly peers: RunTimes[] = [];

  join(): RunTimes {
    // Monotonic clocks begin anywhere.
    const originMs = 12_345.6 * (this.peers.length + 1);
    const times = new RunTimes({ nowMs: () => originMs + this.clock.nowMs() });
    times.follow(this.world.state);
    this.peers.push(times);
    return times;
  }

  give(command: Command): void {
    this.world.atMs = (this.world.atMs + 3_650 * DAY_MS) % (7_000 * DAY_MS);
    this.world.value(command);
    for (const times of this.peers) times.follow(this.world.state);
  }

  elapsed(): number[] {
    const record = this.world.state.jobs.get(ID);
    if (!record) throw new Error('no job');
    return this.peers.map((times) => times.elapsedOf(record));
  }
}

test('run times: what passes is counted, and dates are not', (t) => {
  const all = new Followers();
  const [leader] = [all.join(), all.join()];
  all.give(all.world.submit('a', 's3://b/x'));
  t.deepEqual(all.elapsed(), [0, 0]);
  all.clock.advance(1_500);
  t.deepEqual(all.elapsed(), [1_500, 1_500]);
  const checkpoint = leader.timed(all.world.checkpoint('a', 1, 1));
  t.like(checkpoint, { elapsedMs: 1_500 });
  // Until it is committed, time goes on.
  all.clock.advance(200);
  all.give(checkpoint);
  t.deepEqual(all.elapsed(), [1_700, 1_700]);
  all.clock.advance(300);
  all.give(leader.timed(all.world.finish('a', 1, 1, 'SUCCEEDED')));
  all.clock.advance(DAY_MS);
  t.deepEqual(all.elapsed(), [2_000, 2_000]);
});

test('run times: the next leader goes on where the last one was, without a leader too', (t) => {
  const all = new Followers();
  const [first, next] = [all.join(), all.join()];
  all.give(all.world.submit('a', 's3://b/x'));
  all.clock.advance(2_000);
  all.give(first.timed(all.world.checkpoint('a', 1, 1)));
  all.clock.advance(5_000);
  all.give(next.timed(all.world.checkpoint('a', 1, 2)));
  t.is(all.world.state.jobs.get(ID)?.runElapsedMs, 7_000);
});

test('run times: who starts later goes on from the last checkpoint', (t) => {
  const all = new Followers();
  const first = all.join();
  all.give(all.world.submit('a', 's3://b/x'));
  all.clock.advance(2_000);
  all.give(first.timed(all.world.checkpoint('a', 1, 1)));
  all.clock.advance(60_000);
  all.peers.length = 0;
  all.join();
  t.deepEqual(all.elapsed(), [2_000]);
  all.clock.advance(100);
  t.deepEqual(all.elapsed(), [2_100]);
});

test('run times: pauses between runs are left out', (t) => {
  const all = new Followers();
  const times = all.join();
  all.give(all.world.submit('a', 's3://b/x'));
  all.clock.advance(1_000);
  all.give(times.timed(all.world.stop('a')));
  all.clock.advance(DAY_MS);
  t.deepEqual(all.elapsed(), [1_000]);
  all.give(all.world.submit('b', 's3://b/x'));
  all.clock.advance(500);
  t.deepEqual(all.elapsed(), [1_500]);
  all.give(times.timed(all.world.stop('a')));
  all.give({ kind: 'job.prune', jobIds: [ID] });
  t.is(all.world.state.jobs.size, 0);
});
