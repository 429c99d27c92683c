/**
 * What the ring does: how many look-ups a second, how evenly keys are spread over peers, and which
 * share of them moves when a peer joins or leaves.
 */
import { parseArgs } from 'node:util';
import type { Ring } from '../src/ring/ring.ts';
import { keysOf, memberOf, membersOf, ringOf } from '../tests/ring/fixtures.ts';
import { median } from './support/pairs.ts';
import { hostLine, printTable } from './support/report.ts';

export const question = 'How fast, how even and how steady is the ring?';

interface RingFigures {
  readonly peerCount: number;
  /** By replicas. */
  readonly lookupsPerSecond: Readonly<Record<number, number>>;
  /** The largest share of the ring over the mean, exactly; and the keys of the fullest peer. */
  readonly imbalance: number;
  readonly keyImbalance: number;
  /** Keys with another first owner, in shares of one peer's mean. */
  readonly movedOnJoin: number;
  readonly movedOnLeave: number;
  readonly buildMs: number;
  readonly joinMs: number;
}

const REPLICA_COUNTS = [1, 3];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: 'string', default: '200000' },
      peers: { type: 'string', default: '3,10,100,1000' },
      runs: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
    },
  });
  const keys = keysOf(Number(values.keys));
  const figures = values.peers
    .split(',')
    .map((peers) => measure(Number(peers), keys, Number(values.runs)));
  const worst = Math.max(...figures.map(({ imbalance }) => imbalance));
  const slowest = Math.min(...figures.map(({ lookupsPerSecond }) => lookupsPerSecond[1] ?? 0));
  const closing = `ring ratio=none cpu_ratio=none limit=none lookups_per_second=${slowest.toFixed(0)} imbalance=${worst.toFixed(3)}`;
  if (values.json) {
    console.log(JSON.stringify({ name: 'ring', host: hostLine(), figures }, undefined, 2));
    console.log(closing);
    return;
  }
  printTable([
    [
      'peers',
      ...REPLICA_COUNTS.map((count) => `look-ups/s, R = ${count}`),
      ...['max / mean', 'of the keys', 'moved on join', 'moved on leave', 'build ms', 'join ms'],
    ],
    ...figures.map((ring) => [
      String(ring.peerCount),
      ...REPLICA_COUNTS.map((count) => (ring.lookupsPerSecond[count] ?? 0).toFixed(0)),
      ring.imbalance.toFixed(3),
      ring.keyImbalance.toFixed(3),
      `${ring.movedOnJoin.toFixed(3)}/(N+1)`,
      `${ring.movedOnLeave.toFixed(3)}/N`,
      ring.buildMs.toFixed(1),
      ring.joinMs.toFixed(1),
    ]),
  ]);
  console.log(`\n${hostLine()}`);
  console.log(
    `${values.keys} keys, medians of ${values.runs} runs on one core; moved: first owners, 1.000 is what has to move`,
  );
  console.log(closing);
}

function measure(peerCount: number, keys: readonly string[], runCount: number): RingFigures {
  const members = membersOf(peerCount);
  const [ring, buildMs] = timed(() => ringOf(members));
  const [grown, joinMs] = timed(() => ringOf([...members, memberOf(peerCount)], ring));
  const shrunk = ringOf(members.slice(1), ring);
  const lookupsPerSecond: Record<number, number> = {};
  for (const replicaCount of REPLICA_COUNTS) {
    const lookAll = (): number =>
      keys.reduce((sum, key) => sum + ring.ownersOf(key, replicaCount).length, 0);
    lookAll();
    const rates = Array.from({ length: runCount }, () => (1e3 * keys.length) / timed(lookAll)[1]);
    lookupsPerSecond[replicaCount] = median(rates);
  }
  return {
    ...{ peerCount, lookupsPerSecond, buildMs, joinMs },
    imbalance: Math.max(...ring.shares().values()) * peerCount,
    keyImbalance: fullestOf(ring, keys) / (keys.length / peerCount),
    movedOnJoin: movedShare(ring, grown, keys) * (peerCount + 1),
    movedOnLeave: movedShare(ring, shrunk, keys) * peerCount,
  };
}

function fullestOf(ring: Ring, keys: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const key of keys) {
    const [owner = ''] = ring.ownersOf(key, 1);
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  return Math.max(...counts.values());
}

function movedShare(before: Ring, after: Ring, keys: readonly string[]): number {
  const moved = keys.filter((key) => before.ownersOf(key, 1)[0] !== after.ownersOf(key, 1)[0]);
  return moved.length / keys.length;
}

function timed<T>(work: () => T): [T, number] {
  const startedMs = performance.now();
  const result = work();
  return [result, performance.now() - startedMs];
}
