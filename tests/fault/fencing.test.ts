/**
 * Leaders that do not know that they are deposed: what they order is refused by the owners, what
 * they commit is refused by the log, and one outcome stands.
 */
import test from 'ava';
import type { Peer } from '../support/peer-process.ts';
import { type Asserts, expectLoaded, metricOf } from './expect.ts';
import type { Load } from './load.ts';
import { Stage } from './stage.ts';

/** Orders and checkpoints that are on their way when their leader falls asleep. */
const HELD_ORDERS = 'job.batch.assigned=pause:300; job.checkpoint.made=pause:300';
const BLOCK_MS = 5_000;

let stage: Stage;
test.before(async () => {
  stage = await Stage.open({
    failpoints: true,
    env: {
      // So long that the links outlive the sleep, and what was held back is delivered.
      RINGLOAD_LIVENESS_LINK_TIMEOUT_MS: 60_000,
      // So short that there is always another order to give.
      RINGLOAD_LOAD_WINDOW_TASKS: 8,
      RINGLOAD_LOAD_BATCH_SIZE: 4,
    },
  });
});
test.serial.beforeEach(async () => {
  for (const { failpoints } of stage.cluster.peers) failpoints.disarm();
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

/** Batches that these peers refused, since their leader was deposed. */
async function refusedBy(peers: readonly Peer[]): Promise<number> {
  const name = 'ringload_load_batches_refused_total';
  const counts = await Promise.all(peers.map((peer) => metricOf(peer, name)));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Whom each peer takes for the leader of which term, asked again and again. */
class LeaderWatch {
  readonly #leaders = new Map<number, Set<string>>();
  #watching = true;
  readonly #ended: Promise<void>;

  constructor() {
    this.#ended = this.#watch();
  }

  /** Term by term, everyone who was taken for its leader. */
  async end(): Promise<ReadonlyMap<number, ReadonlySet<string>>> {
    this.#watching = false;
    await this.#ended;
    return this.#leaders;
  }

  async #watch(): Promise<void> {
    while (this.#watching) {
      const peers = stage.cluster.runningPeers;
      await Promise.all(peers.map((peer) => this.#ask(peer).catch(() => undefined)));
    }
  }

  async #ask({ api }: Peer): Promise<void> {
    const { term, leaderId } = await api.cluster();
    if (leaderId === undefined) return;
    const known = this.#leaders.get(term) ?? new Set();
    this.#leaders.set(term, known.add(leaderId));
  }
}

function expectOneLeaderATerm(t: Asserts, leaders: ReadonlyMap<number, ReadonlySet<string>>): void {
  for (const [term, ids] of leaders) t.is(ids.size, 1, `term ${term}: ${[...ids].join(' and ')}`);
}

/** The same end everywhere, in a term after `before`, and all of it true. */
async function expectOneOutcome(t: Asserts, load: Load, before: number): Promise<void> {
  const ended = await load.succeeds();
  t.true(ended.term > before);
  await stage.restore();
  const views = await Promise.all(stage.cluster.peers.map(({ api }) => api.job(load.id)));
  const outcome = ({ state, digest, pass, counters }: (typeof views)[number]) => ({
    ...{ state, digest, pass },
    listed: counters.listedFiles,
    loaded: counters.loadedBytes,
  });
  t.deepEqual(
    views.map(outcome),
    views.map(() => outcome(ended)),
  );
  await expectLoaded(t, load);
}

/** Hands leadership on once more, so that the sleeper is two elections behind. */
async function electAgain(sleeper: Peer): Promise<void> {
  const second = await stage.cluster.waitForLeader({ other: sleeper });
  const third = stage.cluster.runningPeers.find((peer) => peer !== second && peer !== sleeper);
  const { id = '' } = (await third?.api.self()) ?? {};
  await stage.cluster.waitFor(async () => {
    await second.api.transferLeadership(id);
    return true;
  }, 'leadership to be handed on');
  await stage.cluster.waitFor(
    async () => (await stage.cluster.leader()) === third,
    'the third leader',
  );
}

test.serial('fencing: a leader that slept past two elections changes nothing', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(100);
  const load = await stage.load(data, { replicas: 2 });
  const sleeper = await stage.cluster.waitForLeader();
  const others = stage.cluster.peers.filter((peer) => peer !== sleeper);
  const before = await load.isUnderWay();
  const refusedBefore = await refusedBy(others);
  const watch = new LeaderWatch();
  sleeper.failpoints.arm(HELD_ORDERS);
  await stage.cluster.waitFor(
    () =>
      (sleeper.failpoints.hits().get('job.batch.assigned') ?? 0) > 0 &&
      (sleeper.failpoints.hits().get('job.checkpoint.made') ?? 0) > 0,
    'an order and a checkpoint to be held back',
  );
  sleeper.pause();
  await electAgain(sleeper);
  const middle = await load.status();
  t.true(middle.term >= before.term + 2);
  sleeper.resume();
  await stage.cluster.waitFor(
    async () => (await refusedBy(others)) > refusedBefore,
    'an order of the old leader to be refused',
  );
  t.log(`${(await refusedBy(others)) - refusedBefore} batches of the old leader were refused`);
  await expectOneOutcome(t, load, middle.term - 1);
  expectOneLeaderATerm(t, await watch.end());
});

test.serial('fencing: a leader whose event loop stands still for 5 s is replaced', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(100);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const others = stage.cluster.peers.filter((peer) => peer !== leader);
  const before = await load.isUnderWay();
  const refusedBefore = await refusedBy(others);
  leader.failpoints.arm(`job.batch.assigned=pause:300; job.results.received=block:${BLOCK_MS}@8`);
  await stage.cluster.waitFor(
    () => leader.failpoints.acted('job.results.received', 'block@8'),
    'the block to begin',
  );
  // No thread of its own answers for a loop that stands still.
  const probe = await leader.api.ready().catch((error: unknown) => (error as Error).name);
  t.is(probe, 'TimeoutError');
  const next = await stage.cluster.waitForLeader({ other: leader });
  t.not(next, leader);
  await stage.cluster.waitFor(() => leader.api.ready(), 'the old leader to be ready again');
  t.log(`${(await refusedBy(others)) - refusedBefore} batches of the old leader were refused`);
  await expectOneOutcome(t, load, before.term);
});
