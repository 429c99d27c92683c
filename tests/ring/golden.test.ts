/**
 * Placement is a format: a cluster that is upgraded must find its data where it put it. These
 * tables may only change together with a migration; `REWRITE=1` writes them anew.
 */
import { readFile, writeFile } from 'node:fs/promises';
import test from 'ava';
import { pointOf } from '../../src/ring/hash-points.ts';
import { placementKey } from '../../src/ring/keys.ts';
import type { RingMember } from '../../src/ring/ring.ts';
import { membersOf, ringOf } from './fixtures.ts';

const FILE = new URL('../../../tests/ring/golden/placement.json', import.meta.url);

const CLUSTERS: Readonly<Record<string, readonly RingMember[]>> = {
  'one peer': membersOf(1),
  'three equal peers': membersOf(3),
  'ten equal peers': membersOf(10),
  'weights 0.5 to 4': membersOf(6, (number) => [0.5, 1, 1.25, 2, 3, 4][number] ?? 1),
};

/** Names that break naive code, and ordinary ones. */
const PATHS = [
  's3://bucket/data/train/part-00000000.parquet',
  's3://bucket/data/train/part-00000001.parquet',
  's3://bucket/a',
  's3://bucket/a/b',
  's3://bucket/a/../b',
  's3://bucket//leading/./dot/',
  's3://bucket/caf\u00e9',
  's3://bucket/cafe\u0301',
  's3://bucket/\u{1f600} emoji',
  's3://bucket/\u05e9\u05dc\u05d5\u05dd',
  's3://bucket/%41%2F+ %',
  's3://bucket/line\nbreak\ttab\u0001',
  's3://bucket/__proto__',
  's3://bucket/constructor',
  `s3://bucket/${'k'.repeat(1024)}`,
  'file:///mnt/data/model.safetensors',
];

function placements(members: readonly RingMember[]) {
  const ring = ringOf(members);
  return PATHS.flatMap((path) =>
    [0, 1, 7, 1_000_000].map((index) => {
      const key = placementKey({ path, index, segmented: true });
      const numbers = ring
        .ownersOf(key, 3)
        .map((id) => members.findIndex((member) => member.id === id));
      return { path, index, point: pointOf(key), owners: numbers.join(' ') };
    }),
  );
}

/** One line per key, so that a difference reads well. */
function print(): string {
  const clusters = Object.entries(CLUSTERS).map(([name, members]) => {
    const described = members.map(({ id, weight }) => JSON.stringify({ id, weight })).join(',\n');
    const lines = placements(members).map((line) => JSON.stringify(line));
    return `${JSON.stringify(name)}: {"members": [\n${described}\n],\n"owners": [\n${lines.join(',\n')}\n]}`;
  });
  return `{\n${clusters.join(',\n')}\n}\n`;
}

test('golden: owners of the pinned keys are where they always were', async (t) => {
  if (process.env['REWRITE'] === '1') await writeFile(FILE, print());
  const pinned: unknown = JSON.parse(await readFile(FILE, 'utf8'));
  t.deepEqual(JSON.parse(print()), pinned);
});
