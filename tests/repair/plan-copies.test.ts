import test from 'ava';
import fc from 'fast-check';
import { epoch, peerId, type PeerId } from '../../src/base/ids.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import { planCopies, segmentCountOf, type CopyPlan } from '../../src/repair/plan-copies.ts';
import type { RepairPlacement } from '../../src/repair/repair-network.ts';
import { recordOf, SEGMENT_BYTES } from './support/world.ts';

interface Scene {
  /** Ring order of each segment's peers: owners first, then neighbours. */
  readonly order: readonly (readonly string[])[];
  readonly former?: readonly (readonly string[])[];
  readonly away?: readonly string[];
  /** Reachable, but the question fails. */
  readonly mute?: readonly string[];
  /** Indexes that each peer holds. */
  readonly held: Readonly<Record<string, readonly number[]>>;
  readonly replicaCount?: number;
}

async function plan(scene: Scene): Promise<CopyPlan & { asked: string[] }> {
  const asked: string[] = [];
  const placement: RepairPlacement = {
    epoch: epoch(2),
    members: [],
    ownersOf: ({ index }, count) => (scene.order[index] ?? []).slice(0, count).map(peerId),
    ownersBefore: () => undefined,
    formerOwnersOf: ({ index }, count) => (scene.former?.[index] ?? []).slice(0, count).map(peerId),
    isReachable: (peer) => !scene.away?.includes(peer),
  };
  const network = {
    holds: (peer: PeerId, keys: readonly SegmentKey[]) => {
      asked.push(peer);
      if (scene.mute?.includes(peer)) return Promise.reject(new Error('mute'));
      return Promise.resolve(keys.map(({ index }) => scene.held[peer]?.includes(index) ?? false));
    },
    copy: () => Promise.reject(new Error('not asked to')),
    handOver: () => Promise.reject(new Error('not asked to')),
  };
  const { replicaCount = 2 } = scene;
  const record = recordOf('/f', { sizeBytes: scene.order.length * SEGMENT_BYTES, replicaCount });
  const indexes = scene.order.map((_peers, index) => index);
  return { ...(await planCopies(record, indexes, placement, network)), asked: asked.sort() };
}

const short = ({ orders }: CopyPlan) =>
  orders.map(({ to, sources, indexes }) => `${to} < ${sources.join(',')}: ${indexes.join(' ')}`);

test('plan: nothing is ordered where every owner has its segments', async (t) => {
  const done = await plan({
    order: [
      ['a', 'b', 'c'],
      ['b', 'c', 'a'],
    ],
    held: { a: [0], b: [0, 1], c: [1] },
  });
  t.deepEqual([short(done), done.missingCount, done.isWaiting], [[], 0, false]);
});

test('plan: an owner that lacks a segment copies from those who hold it, owners first', async (t) => {
  const done = await plan({ order: [['a', 'b', 'c', 'd']], held: { b: [0], d: [0] } });
  t.deepEqual(short(done), ['a < b,d: 0']);
});

test('plan: segments with the same holders travel in one order, of eight at most', async (t) => {
  const order = Array.from({ length: 10 }, () => ['a', 'b']);
  const done = await plan({ order, held: { b: order.map((_peers, index) => index) } });
  t.deepEqual(short(done), ['a < b: 0 1 2 3 4 5 6 7', 'a < b: 8 9']);
});

test('plan: each peer is asked once, about all of its segments', async (t) => {
  const { asked } = await plan({
    order: [
      ['a', 'b'],
      ['b', 'a'],
    ],
    held: { a: [0, 1] },
  });
  t.deepEqual(asked, ['a', 'b']);
});

test('plan: neighbours and former owners are sources, not targets', async (t) => {
  const done = await plan({
    order: [
      ['a', 'b', 'c', 'd', 'e'],
      ['a', 'b', 'c', 'd', 'e'],
    ],
    former: [[], ['x', 'y']],
    held: { d: [0], x: [1], e: [0] },
  });
  t.deepEqual(short(done), ['a < d: 0', 'b < d: 0', 'a < x: 1', 'b < x: 1']);
});

test('plan: a segment that nobody holds is missing, and no reason to look again', async (t) => {
  const done = await plan({ order: [['a', 'b', 'c']], held: {} });
  t.deepEqual([short(done), done.missingCount, done.isWaiting], [[], 1, false]);
});

test('plan: an owner that is away is not ordered, and the file is looked at again', async (t) => {
  const done = await plan({ order: [['a', 'b', 'c']], away: ['b'], held: { a: [0] } });
  t.deepEqual([short(done), done.missingCount, done.isWaiting], [[], 0, true]);
});

test('plan: who is away may hold what nobody else does', async (t) => {
  const order = [['a', 'b', 'c', 'd']];
  t.true((await plan({ order, away: ['d'], held: {} })).isWaiting);
  t.true((await plan({ order, former: [['x']], away: ['x'], held: {} })).isWaiting);
  t.false((await plan({ order, away: ['d'], held: { a: [0], b: [0] } })).isWaiting);
});

test('plan: a peer whose answer fails does not hold up the others', async (t) => {
  const done = await plan({ order: [['a', 'b', 'c']], mute: ['b'], held: { c: [0] } });
  t.deepEqual([short(done), done.isWaiting], [['a < c: 0'], true]);
});

test('plan: segments of a file are counted up to the last byte', (t) => {
  const counts = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1].map((sizeBytes) =>
    segmentCountOf(recordOf('/f', { sizeBytes })),
  );
  t.deepEqual(counts, [0, 1, 1, 1, 2]);
});

test('plan: executed, it leaves every segment that anybody holds on all reachable owners', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const orders = fc.shuffledSubarray(names, { minLength: 5, maxLength: 5 });
  const spots = fc.array(
    fc.record({ order: orders, former: fc.subarray(names), holders: fc.subarray(names) }),
    { minLength: 1, maxLength: 20 },
  );
  const seed = Number(process.env['FC_SEED'] ?? 20_262);
  await fc.assert(
    fc.asyncProperty(
      spots,
      fc.integer({ min: 1, max: 3 }),
      fc.subarray(names, { maxLength: 2 }),
      async (drawn, replicaCount, away) => {
        const held = Object.fromEntries(
          names.map((name) => [
            name,
            drawn.flatMap(({ holders }, index) => (holders.includes(name) ? [index] : [])),
          ]),
        );
        const done = await plan({
          order: drawn.map(({ order }) => order),
          former: drawn.map(({ former }) => former),
          held,
          away,
          replicaCount,
        });
        const after = new Map(names.map((name) => [name, new Set(held[name])]));
        for (const { to, sources, indexes } of done.orders) {
          t.false(away.includes(to), 'no order to a peer that is away');
          t.true(indexes.length <= 8);
          for (const index of indexes) {
            t.true(sources.every((source) => held[source]?.includes(index)));
            t.false(after.get(to)?.has(index), 'what is there, or ordered, is not ordered');
            after.get(to)?.add(index);
          }
        }
        let missing = 0;
        drawn.forEach(({ order, former, holders }, index) => {
          const owners = order.slice(0, replicaCount);
          const near = [...order.slice(0, replicaCount + 2), ...former.slice(0, replicaCount)];
          const reachable = holders.filter((peer) => near.includes(peer) && !away.includes(peer));
          if (reachable.length === 0) missing += 1;
          const isWhole = owners
            .filter((owner) => !away.includes(owner))
            .every((owner) => after.get(owner)?.has(index));
          t.true(isWhole || reachable.length === 0);
          if (owners.some((owner) => away.includes(owner))) t.true(done.isWaiting);
        });
        t.is(done.missingCount, missing);
        if (away.length === 0) t.false(done.isWaiting);
      },
    ),
    { seed, numRuns: 200 },
  );
});
