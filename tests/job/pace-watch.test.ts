/** Who keeps pace with the others, and who does not. */
import test from 'ava';
import { type PeerId, peerId } from '../../src/base/ids.ts';
import { type OwnerLoad, PaceWatch } from '../../src/job/pace-watch.ts';

const A = peerId('a');
const B = peerId('b');

/** One more task of 100 bytes. */
function answer(
  watch: PaceWatch,
  owner: PeerId,
  { nowMs, isIdle = false, isFull = true }: { nowMs: number; isIdle?: boolean; isFull?: boolean },
): void {
  watch.answered(owner, { storedBytes: 100, isIdle, isFull }, nowMs);
}

/** `b` answers a task of 100 bytes every 10 ms, `a` has work and answers nothing. */
function watchWithPeer(answers = 10): PaceWatch {
  const watch = new PaceWatch({ slowAfterMs: 1_000 });
  watch.begin(A, 0);
  watch.begin(B, 0);
  for (let n = 1; n <= answers; n += 1) answer(watch, B, { nowMs: 10 * n, isIdle: n === answers });
  return watch;
}

const LATE = { oldestSentMs: 0, bytes: 1_000, count: 10 };

function judge(watch: PaceWatch, load: OwnerLoad, nowMs: number): void {
  watch.judge(new Map([[A, load]]), nowMs);
}

test('pace: old work makes an owner slow when it is found old twice in a row', (t) => {
  const watch = watchWithPeer();
  judge(watch, LATE, 1_000);
  judge(watch, LATE, 1_001);
  t.false(watch.isSlow(A));
  judge(watch, LATE, 1_100);
  t.is(watch.levelOf(A), 'crawling');
});

test('pace: a stall of the leader makes nobody slow', (t) => {
  const watch = watchWithPeer();
  judge(watch, LATE, 60_000);
  judge(watch, { ...LATE, oldestSentMs: 60_000 }, 60_100);
  judge(watch, { ...LATE, oldestSentMs: 60_000 }, 60_200);
  t.false(watch.isSlow(A));
});

test('pace: what the others would need as long for is not late', (t) => {
  const watch = watchWithPeer();
  const much = { oldestSentMs: 0, bytes: 1_000_000, count: 10 };
  watch.begin(B, 100);
  for (let nowMs = 1_000; nowMs < 300_000; nowMs += 1_000) {
    watch.judge(
      new Map([
        [A, much],
        [B, much],
      ]),
      nowMs,
    );
  }
  t.false(watch.isSlow(A));
});

test('pace: work that piles up is no excuse', (t) => {
  const watch = watchWithPeer();
  const pile = { oldestSentMs: 0, bytes: 100_000, count: 1_000 };
  judge(watch, pile, 1_001);
  judge(watch, pile, 1_100);
  t.true(watch.isSlow(A));
});

/** `a` answers one task of 100 bytes every `everyMs`, with `count` more out; `b` is idle or not. */
function watchAtWork(everyMs: number, count: number, busyCount: number): PaceWatch {
  const watch = watchWithPeer();
  watch.begin(B, 100);
  const loadOf = (tasks: number, nowMs: number): OwnerLoad => {
    return { oldestSentMs: nowMs - 2_000, bytes: tasks * 100, count: tasks };
  };
  for (let nowMs = 110; nowMs < 20_000; nowMs += 10) {
    if (busyCount > 0) answer(watch, B, { nowMs });
    if (nowMs % everyMs !== 0) continue;
    answer(watch, A, { nowMs });
    const loads = new Map([[A, loadOf(count, nowMs)]]);
    if (busyCount > 0) loads.set(B, loadOf(busyCount, nowMs));
    watch.judge(loads, nowMs);
  }
  return watch;
}

test('pace: half the speed of others that are at work is fast enough, a twentieth is not', (t) => {
  t.is(watchAtWork(20, 100, 100).levelOf(A), 'steady');
  t.is(watchAtWork(200, 100, 100).levelOf(A), 'crawling');
});

test('pace: with idle others, an owner with much work is behind; with little, it is not', (t) => {
  t.is(watchAtWork(50, 500, 0).levelOf(A), 'behind');
  t.is(watchAtWork(50, 500, 400).levelOf(A), 'steady');
  t.is(watchAtWork(50, 20, 0).levelOf(A), 'steady');
});

test('pace: answers that come many at a time say as much as one by one', (t) => {
  const watch = watchWithPeer();
  for (let nowMs = 1_000; nowMs <= 20_000; nowMs += 1_000) {
    for (let n = 0; n < 100; n += 1) answer(watch, B, { nowMs, isIdle: n === 99 });
    for (let n = 0; n < 50; n += 1) answer(watch, A, { nowMs });
    watch.begin(B, nowMs);
    const load = { oldestSentMs: nowMs - 2_000, bytes: 1_000, count: 10 };
    watch.judge(
      new Map([
        [A, load],
        [B, load],
      ]),
      nowMs + 900,
    );
  }
  t.deepEqual([watch.levelOf(A), watch.levelOf(B)], ['steady', 'steady']);
});

test('pace: with nobody to compare, or too few answers, nobody is slow', (t) => {
  for (const watch of [new PaceWatch({ slowAfterMs: 1_000 }), watchWithPeer(3)]) {
    for (let nowMs = 0; nowMs < 300_000; nowMs += 1_000) judge(watch, LATE, nowMs);
    t.false(watch.isSlow(A));
  }
});

test('pace: a slow owner gets another chance, each time later', (t) => {
  const watch = watchWithPeer();
  const changes: number[] = [];
  let slow = false;
  for (let nowMs = 0; nowMs <= 200_000; nowMs += 500) {
    // It has work for some time, and then is done with it, which nobody finds slow.
    judge(watch, { ...LATE, oldestSentMs: slow ? nowMs : 0 }, nowMs);
    if (watch.isSlow(A) !== slow) changes.push(nowMs);
    slow = watch.isSlow(A);
  }
  const rests = changes.flatMap((atMs, n) => (n % 2 === 1 ? [atMs - (changes[n - 1] ?? 0)] : []));
  t.deepEqual(rests.slice(0, 2), [30_000, 60_000]);
});

test('pace: what others do with little left to do is not what they can do', (t) => {
  const watch = watchWithPeer();
  watch.begin(B, 1_000);
  for (let nowMs = 2_000; nowMs <= 20_000; nowMs += 1_000) {
    answer(watch, B, { nowMs, isFull: false });
    judge(watch, LATE, nowMs);
  }
  t.is(watch.levelOf(A), 'crawling');
});

test('pace: who was taken for slow and ends what it has as quickly as others gets work again', (t) => {
  const watch = watchWithPeer();
  judge(watch, LATE, 1_100);
  judge(watch, LATE, 1_200);
  t.true(watch.isSlow(A));
  for (let nowMs = 1_210; nowMs <= 1_300; nowMs += 10) answer(watch, A, { nowMs });
  judge(watch, { ...LATE, oldestSentMs: 1_290 }, 1_310);
  t.true(watch.isSlow(A), 'its slow time counts, too');
  for (let nowMs = 1_310; nowMs <= 1_800; nowMs += 10) answer(watch, A, { nowMs });
  judge(watch, { ...LATE, oldestSentMs: 1_790 }, 1_810);
  t.false(watch.isSlow(A));
});

test('pace: who goes on as slowly stays slow', (t) => {
  const watch = watchWithPeer();
  judge(watch, LATE, 1_100);
  judge(watch, LATE, 1_200);
  for (let nowMs = 1_400; nowMs < 30_000; nowMs += 200) {
    answer(watch, A, { nowMs });
    judge(watch, { ...LATE, oldestSentMs: nowMs }, nowMs);
    t.true(watch.isSlow(A), `at ${nowMs} ms`);
  }
});

test('pace: no more are slow than keep pace', (t) => {
  const watch = new PaceWatch({ slowAfterMs: 1_000 });
  const peers = ['a', 'b', 'c', 'd', 'e'].map((name) => peerId(name));
  for (const peer of peers) {
    watch.begin(peer, 0);
    for (let n = 1; n <= 10; n += 1) answer(watch, peer, { nowMs: 10 * n });
  }
  const loads = new Map(peers.map((peer) => [peer, { ...LATE, oldestSentMs: 100 }]));
  for (let nowMs = 2_000; nowMs <= 20_000; nowMs += 1_000) watch.judge(loads, nowMs);
  t.is(peers.filter((peer) => watch.isSlow(peer)).length, 2);
});
