/** Ranges as a thread takes them: piece by piece, each with a word about how the last one ended. */
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import type { HeldReads, Piece, PieceFlow } from '../../src/data/pieces.ts';

import { settle } from '../data/support.ts';
import { bytesOf, PATH, ReadWorld, SEGMENT, segmentKey } from './support.ts';

const SIZE = 35;
const VIA = {} as HeldReads;
const BROKEN = new RingloadError('peer_unreachable', 'the peer broke');

async function nextOf(flow: PieceFlow, sentBytes?: number, failure?: RingloadError) {
  const report = sentBytes === undefined ? undefined : { sentBytes, ...(failure && { failure }) };
  const step = await flow.next(report);
  return step.done ? undefined : step.value;
}

/** Which peer holds it, and how long it is. */
function heldOf(world: ReadWorld, piece: Piece | undefined): string {
  const peer = piece?.held === undefined ? 'here' : [...world.peers.keys()][piece.held.id];
  return `${peer} ${piece?.length}`;
}

/** Makes what is resident here look like segments in files. */
function placeAll(world: ReadWorld, told: string[]): void {
  const { store } = world.peer('me');
  const open = store.open.bind(store);
  store.open = async (key) => {
    const reader = await open(key);
    if (!reader) return undefined;
    const close = (): void => {
      told.push(`closed ${key.index}`);
      reader.close();
    };
    const placed = {
      lengthBytes: reader.lengthBytes,
      crc32c: reader.crc32c,
      place: () => ({ path: `/region/${key.index}`, offset: 0, blockCrc32c: new Uint32Array(1) }),
      damaged: () => new RingloadError('segment_corrupt', 'dropped'),
      unread: () => new RingloadError('cache_io', 'cannot be read'),
      close,
    };
    const { lengthBytes, crc32c } = reader;
    return {
      ...{ key, lengthBytes, crc32c, placed, close },
      read: (offset: number, length: number) => reader.read(offset, length),
    };
  };
}

test('pieces: a place here, an answer held elsewhere, chunks of the under store', async (t) => {
  const world = new ReadWorld(['me', 'p2']);
  const told: string[] = [];
  placeAll(world, told);
  const bytes = bytesOf(SIZE);
  const record = await world.file(bytes, ['me']);
  await world.hold('me', record, 0, bytes);
  await world.hold('p2', record, 1, bytes);
  const { pieces } = await world.reader.read(PATH, { offset: 3, length: 22 }, VIA);
  const first = await nextOf(pieces);
  if (!first) return void t.fail();
  t.is(first.length, 7);
  t.is(first.placed?.from, 3);
  t.is(first.placed?.segment.place().path, '/region/0');
  t.deepEqual(told, [], 'it stays in its place until it was sent');
  const second = await nextOf(pieces, 7);
  t.deepEqual(told, ['closed 0']);
  t.is(heldOf(world, second), 'p2 10');
  const third = await nextOf(pieces, 10);
  if (!third) return void t.fail();
  t.is(third.length, 5, 'read through');
  t.is(third.placed?.from, 0);
  t.is(await nextOf(pieces, 5), undefined);
  t.deepEqual(world.served, ['local 7', 'peer 10', 'ufs 5']);
  t.is(world.openSources, 0);
});

test('pieces: what failed is continued by the next source at the byte that was reached', async (t) => {
  const world = new ReadWorld(['me', 'p2', 'p3']);
  placeAll(world, []);
  const bytes = bytesOf(SEGMENT);
  const record = await world.file(bytes, ['me']);
  for (const name of ['me', 'p2', 'p3']) await world.hold(name, record, 0, bytes);
  const { pieces } = await world.reader.read(PATH, undefined, VIA);
  const local = await nextOf(pieces);
  t.is(local?.placed?.from, 0);
  const damaged = local?.placed?.segment.damaged();
  t.is(heldOf(world, await nextOf(pieces, 4, damaged)), 'p2 6');
  t.is(heldOf(world, await nextOf(pieces, 1, BROKEN)), 'p3 5');
  // It ends early, and says nothing about it.
  const last = await nextOf(pieces, 2);
  t.is(last?.length, 3, 'read through once more');
  t.is(world.openSources, 0);
  t.is(await nextOf(pieces, 3), undefined);
});

test('pieces: when the last source fails the range ends with its error', async (t) => {
  const world = new ReadWorld(['me', 'p2']);
  const bytes = bytesOf(SEGMENT);
  const record = await world.file(bytes, ['p2']);
  await world.hold('p2', record, 0, bytes);
  const { pieces } = await world.reader.read(PATH, undefined, VIA);
  t.is(heldOf(world, await nextOf(pieces)), 'p2 10');
  world.under.put(PATH, bytesOf(SEGMENT, 9));
  await t.throwsAsync(nextOf(pieces, 4, BROKEN), { code: 'ufs_changed' });
  t.is(world.openSources, 0);
  const again = await world.reader.read(PATH, undefined, VIA);
  t.not(again.record.version, record.version, 'the next reader gets the version of the store');
  await again.pieces.return();
});

test('pieces: leaving closes what is given out and what was opened ahead', async (t) => {
  for (const steps of [0, 1]) {
    const world = new ReadWorld(['me', 'p2']);
    const bytes = bytesOf(SIZE);
    const record = await world.file(bytes, ['p2']);
    for (const index of [0, 1, 2, 3]) await world.hold('p2', record, index, bytes);
    const { pieces } = await world.reader.read(PATH, undefined, VIA);
    if (steps > 0) await nextOf(pieces);
    t.true(world.openSources > 0);
    await pieces.return();
    await settle();
    t.is(world.openSources, 0);
    t.is(await nextOf(pieces, 0), undefined);
  }
});

test('pieces: a reader of chunks meets damage in a place and goes on elsewhere', async (t) => {
  const world = new ReadWorld(['me', 'p2']);
  placeAll(world, []);
  const bytes = bytesOf(SEGMENT);
  const record = await world.file(bytes, ['me']);
  for (const name of ['me', 'p2']) await world.hold(name, record, 0, bytes);
  world.peer('me').store.corrupt(segmentKey(record, 0), 3);
  const received: number[] = [];
  for await (const chunk of (await world.reader.read(PATH)).body) received.push(...chunk);
  t.deepEqual(received, [...bytes]);
  t.is(world.under.readBytes, 0);
});
