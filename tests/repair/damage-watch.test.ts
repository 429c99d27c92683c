import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { epoch, type PeerId, peerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import { DamageWatch } from '../../src/repair/damage-watch.ts';

const [first, second] = [peerId('first'), peerId('second')];
const keyAt = (path: string): SegmentKey => ({ path, version: 'v', segmentSizeBytes: 4, index: 0 });

function open(options: { reachable: readonly PeerId[]; fails?: boolean }) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const here = new Set<string>();
  const { reachable, fails = false } = options;
  const watch = new DamageWatch({
    placement: () => ({
      epoch: epoch(1),
      members: [first, second],
      ownersOf: () => [first, second],
      ownersBefore: () => undefined,
      formerOwnersOf: () => [],
      isReachable: (peer) => reachable.includes(peer),
    }),
    lookAt: async (home, paths) => {
      asked.push(`${home}: ${paths.join(' ')}`);
      if (fails) throw new Error('gone');
    },
    isHere: async ({ path }) => here.has(path),
    clock,
    logger: silentLogger,
  });
  const pass = async (ms: number): Promise<void> => {
    for (let step = 0; step < 3_000; step++) await Promise.resolve();
    clock.advance(ms);
    for (let step = 0; step < 3_000; step++) await Promise.resolve();
  };
  return { watch, asked, here, pass };
}

test('damage: the first home that can be reached is asked at once, and until the copy is back', async (t) => {
  const { watch, asked, here, pass } = open({ reachable: [second] });
  watch.dropped(keyAt('/a'));
  watch.dropped(keyAt('/b'));
  t.deepEqual(asked, ['second: /a']);
  await pass(500);
  t.deepEqual(asked.slice(1), ['second: /a /b']);
  here.add('/a');
  await pass(1_000);
  t.deepEqual(asked.slice(2), ['second: /b']);
  here.add('/b');
  await pass(2_000);
  await pass(60_000);
  t.is(asked.length, 3, 'nobody is asked for what is back');
  here.clear();
  watch.dropped(keyAt('/a'));
  t.is(asked[3], 'second: /a');
});

test('damage: homes that fail are asked a few times, and not for ever', async (t) => {
  const { watch, asked, pass } = open({ reachable: [first], fails: true });
  watch.dropped(keyAt('/a'));
  for (let round = 0; round < 50; round++) await pass(20_000);
  t.is(asked.length, 6);
});

test('damage: a thousand segments are looked after at a time', async (t) => {
  const { watch, asked, pass } = open({ reachable: [first] });
  for (let number = 0; number < 2_000; number++) watch.dropped(keyAt(`/${String(number)}`));
  await pass(500);
  t.is(asked[1]?.split(' ').length, 1 + 1_000);
  watch.close();
  await pass(60_000);
  t.is(asked.length, 2);
});
