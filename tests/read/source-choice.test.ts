import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { peerId, type PeerId } from '../../src/base/ids.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { SourceChoice, type Asking } from '../../src/read/source-choice.ts';

const PEERS = ['a', 'b', 'c', 'd'].map(peerId);
const [A = peerId('a')] = PEERS;

function newChoice(seed = 1): { choice: SourceChoice; clock: ManualClock } {
  const clock = new ManualClock();
  return { clock, choice: new SourceChoice({ clock, random: new SeededRandom(seed) }) };
}

/** One request that is answered after `ms`. */
function ask({ choice, clock }: ReturnType<typeof newChoice>, peer: PeerId, ms: number): Asking {
  const asking = choice.begin(peer);
  clock.advance(ms);
  asking.firstByte();
  return asking;
}

test('source choice: all peers, the better of two first', (t) => {
  const { choice } = newChoice();
  t.deepEqual(choice.order([]), []);
  t.deepEqual(choice.order([A]), [A]);
  for (let round = 0; round < 50; round++) {
    t.deepEqual([...choice.order(PEERS)].sort(), PEERS);
  }
  const busy = PEERS.slice(0, 2);
  choice.begin(A);
  for (let round = 0; round < 50; round++) t.is(choice.order(busy)[0], busy[1]);
});

test('source choice: a slow peer gets what it can carry, the others the rest', (t) => {
  const seed = Number(process.env['READ_SEED'] ?? 7);
  const { choice, clock } = newChoice(seed);
  const counts = new Map<PeerId, number>();
  let busiest = 0;
  const underWay = new Map<PeerId, number>();
  // One request a millisecond; the first peer needs 40 ms for each, the others 4.
  for (let request = 0; request < 4000; request++) {
    const [peer] = choice.order(PEERS);
    if (peer === undefined) return t.fail();
    const asking = choice.begin(peer);
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
    underWay.set(peer, (underWay.get(peer) ?? 0) + 1);
    busiest = Math.max(busiest, underWay.get(peer) ?? 0);
    clock.setTimer(peer === A ? 40 : 4, () => {
      asking.firstByte();
      asking.ended();
      underWay.set(peer, (underWay.get(peer) ?? 0) - 1);
    });
    clock.advance(1);
  }
  t.log(`seed ${seed}: ${[...counts.values()].join(', ')} requests, ${busiest} at once at most`);
  t.true((counts.get(A) ?? 0) < 400, 'a quarter of them would be 1,000');
  t.true(busiest < 12, 'a quarter of them would be ten at once at the slow one, in the mean');
});

test('source choice: a second peer is asked after the time in which nineteen of twenty answer', (t) => {
  const world = newChoice();
  t.is(world.choice.hedgeAfterMs, 100);
  for (let count = 1; count <= 200; count++) ask(world, A, count % 10 === 0 ? 80 : 15).ended();
  t.is(world.choice.hedgeAfterMs, 80);
  for (let count = 0; count < 300; count++) ask(world, A, 1).ended();
  t.is(world.choice.hedgeAfterMs, 10, 'and never at once');
});

test('source choice: second requests are a twentieth of all, and a few', (t) => {
  const world = newChoice();
  let hedgeCount = 0;
  for (let count = 0; count < 1000; count++) {
    ask(world, A, 1).ended();
    while (world.choice.takeHedge()) hedgeCount++;
  }
  t.true(hedgeCount >= 50 && hedgeCount <= 61, `${hedgeCount}`);
});

test('source choice: who said nothing is passed over, but for one asker now and then', (t) => {
  const { choice, clock } = newChoice();
  t.false(choice.isPassedOver(A));
  choice.isSilent(A);
  t.true(choice.isPassedOver(A));
  clock.advance(4999);
  t.true(choice.isPassedOver(A));
  clock.advance(1);
  t.false(choice.isPassedOver(A), 'one finds out');
  t.true(choice.isPassedOver(A), 'the others go on without');
  choice.isAlive(A);
  t.false(choice.isPassedOver(A));
  choice.isSilent(A);
  choice.begin(A).firstByte();
  t.false(choice.isPassedOver(A));
});

test('source choice: patience follows from what is usual, within bounds', (t) => {
  const world = newChoice();
  t.is(world.choice.headPatienceMs, 2000);
  for (let count = 0; count < 100; count++) ask(world, A, 500).ended();
  t.is(world.choice.headPatienceMs, 4000);
  for (let count = 0; count < 300; count++) ask(world, A, 5000).ended();
  t.is(world.choice.headPatienceMs, 10_000);
  t.is(world.choice.bodyPatienceMs(A), 2000);
  const asking = world.choice.begin(A);
  for (let count = 0; count < 50; count++) asking.received(1000, 10);
  t.is(Math.round(world.choice.bodyPatienceMs(A)), 10_000, '100 KB/s');
  for (let count = 0; count < 50; count++) asking.received(1_000_000, 10);
  t.is(world.choice.bodyPatienceMs(A), 2000);
});

test('source choice: who answers others is slow, and not mute', (t) => {
  const { choice, clock } = newChoice();
  const late = choice.begin(A);
  const sinceMs = clock.nowMs();
  clock.advance(2000);
  t.true(choice.isMute(A, sinceMs));
  choice.begin(A).firstByte();
  t.false(choice.isMute(A, sinceMs));
  clock.advance(10);
  t.true(choice.isMute(A, clock.nowMs()));
  late.received(10, 1);
  t.false(choice.isMute(A, clock.nowMs()));
});
