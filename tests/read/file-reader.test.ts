import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { jobId, peerId } from '../../src/base/ids.ts';
import { settle } from '../data/support.ts';
import { bytesOf, collect, PATH, ReadWorld, SEGMENT, segmentKey } from './support.ts';

const SIZE = 35;

async function spread(): Promise<ReadWorld> {
  const world = new ReadWorld();
  const bytes = bytesOf(SIZE);
  const record = await world.file(bytes, ['me', 'p2']);
  // Segment 0 here, 1 at p2, 2 nowhere, 3 at p3, who is no owner.
  await world.hold('me', record, 0, bytes);
  await world.hold('p2', record, 1, bytes);
  await world.hold('p3', record, 3, bytes);
  return world;
}

test('file reader: every range is stitched from wherever its segments are', async (t) => {
  const bytes = bytesOf(SIZE);
  for (let offset = 0; offset < SIZE; offset += 1) {
    for (const length of [1, 9, 10, 11, 20, 21, SIZE - offset, SIZE]) {
      const world = await spread();
      const range = await world.reader.read(PATH, { offset, length });
      const expected = bytes.subarray(offset, offset + length);
      t.is(range.length, expected.length);
      t.deepEqual(await collect(range.body), new Uint8Array(expected), `${offset}+${length}`);
    }
  }
});

test('file reader: without a range the whole file, sources in their order', async (t) => {
  const world = await spread();
  const range = await world.reader.read(PATH);
  t.deepEqual(await collect(range.body), bytesOf(SIZE));
  t.deepEqual(world.served, ['local 10', 'peer 10', 'ufs 10', 'peer 5']);
  t.is(world.under.readBytes, 10, 'what was missing was read through, once');
  t.deepEqual(await collect((await world.reader.read(PATH)).body), bytesOf(SIZE));
  t.is(world.under.readBytes, 10, 'and stored on the way');
});

test('file reader: ranges outside the file are refused, an empty file has no bytes', async (t) => {
  const world = await spread();
  for (const range of [
    { offset: SIZE },
    { offset: SIZE + 1, length: 1 },
    { offset: 0, length: 0 },
  ]) {
    const error = await t.throwsAsync(world.reader.read(PATH, range), {
      instanceOf: RingloadError,
    });
    t.is(error.code, 'range_not_satisfiable');
  }
  const empty = new ReadWorld();
  await empty.file(new Uint8Array(0), ['me']);
  const opened = await empty.reader.read(PATH);
  t.is(opened.length, 0);
  t.is((await collect(opened.body)).length, 0);
});

test('file reader: a damaged copy here is replaced by that of a peer at the byte it was found', async (t) => {
  const world = new ReadWorld();
  const bytes = bytesOf(SIZE);
  const record = await world.file(bytes, ['me']);
  for (let index = 0; index < 4; index += 1) {
    await world.hold('me', record, index, bytes);
    await world.hold('p2', record, index, bytes);
  }
  world.peer('me').store.corrupt(segmentKey(record, 1), 3);
  t.deepEqual(await collect((await world.reader.read(PATH)).body), bytes);
  t.is(world.under.readBytes, 0);
  t.is(await world.peer('me').store.lookup(segmentKey(record, 1)), undefined);
});

test('file reader: a peer that breaks half way is continued by the next at that byte', async (t) => {
  const world = new ReadWorld();
  const bytes = bytesOf(8);
  const record = await world.file(bytes, ['p2']);
  await world.hold('p2', record, 0, bytes);
  await world.hold('p3', record, 0, bytes);
  const asked: string[] = [];
  world.onPeerChunk = (peer, chunk) => {
    asked.push(`${peer} ${chunk.length}`);
    // The first peer ends too early without a word.
    return peer === peerId('p2') ? chunk.subarray(0, 3) : chunk;
  };
  t.deepEqual(await collect((await world.reader.read(PATH)).body), bytes);
  t.deepEqual(asked, ['p2 8', 'p3 5']);
});

test('file reader: a source that sends too much is cut off before a wrong byte is given out', async (t) => {
  const world = new ReadWorld(['me', 'p2']);
  const bytes = bytesOf(20);
  const record = await world.file(bytes, ['p2']);
  for (const index of [0, 1]) await world.hold('p2', record, index, bytes);
  world.onPeerChunk = (_peer, chunk) => new Uint8Array([...chunk, 99]);
  t.deepEqual(await collect((await world.reader.read(PATH)).body), bytes);
  t.is(world.under.readBytes, 20);
});

test('file reader: an object that changes while it is read is an error, never a mixture', async (t) => {
  const world = new ReadWorld(['me']);
  const before = bytesOf(SIZE);
  await world.file(before, ['me']);
  const range = await world.reader.read(PATH);
  world.under.put(PATH, bytesOf(SIZE, 100));
  const got: number[] = [];
  const error = await t.throwsAsync(
    async () => {
      for await (const chunk of range.body) got.push(...chunk);
    },
    { instanceOf: RingloadError },
  );
  t.is(error.code, 'ufs_changed');
  t.true(got.length < SIZE);
  t.deepEqual(got, [...before.subarray(0, got.length)]);
});

test('file reader: what was loaded is served as it was loaded, after the object changed', async (t) => {
  const world = new ReadWorld(['me']);
  const bytes = bytesOf(SIZE);
  const record = await world.file(bytes, ['me']);
  for (let index = 0; index < 4; index += 1) await world.hold('me', record, index, bytes);
  world.under.put(PATH, bytesOf(50, 3));
  const range = await world.reader.read(PATH);
  t.is(range.record.version, record.version);
  t.deepEqual(await collect(range.body), bytes);
});

test('file reader: a version that is gone everywhere gives way to the one of the under store', async (t) => {
  const world = new ReadWorld(['me']);
  await world.file(bytesOf(SIZE), ['me']);
  const now = bytesOf(50, 3);
  const { version } = world.under.put(PATH, now);
  const range = await world.reader.read(PATH, { offset: 20 });
  t.is(range.record.version, version);
  t.deepEqual(await collect(range.body), now.subarray(20));
});

test('file reader: a range that was cut because the object changed is whole when it is read again', async (t) => {
  const world = new ReadWorld(['me']);
  const before = bytesOf(SIZE);
  const record = await world.file(before, ['me']);
  await world.hold('me', record, 0, before);
  const now = bytesOf(50, 3);
  const { version } = world.under.put(PATH, now);
  const cut = await world.reader.read(PATH);
  const error = await t.throwsAsync(collect(cut.body), { instanceOf: RingloadError });
  t.is(error.code, 'ufs_changed');
  const again = await world.reader.read(PATH);
  t.is(again.record.version, version);
  t.deepEqual(await collect(again.body), now);
  t.is((await world.reader.stat(PATH)).source, 'ufs');
});

test('file reader: the record of a home counts more than one that was left here', async (t) => {
  const world = new ReadWorld(['me', 'p2', 'p3']);
  const old = bytesOf(SIZE);
  const record = await world.file(old, ['me']);
  for (let index = 0; index < 4; index += 1) await world.hold('me', record, index, old);
  world.ring = ['p2', 'p3', 'me'].map(peerId);
  const now = bytesOf(SIZE, 9);
  await world.file(now, ['p2', 'p3']);
  t.deepEqual(await collect((await world.reader.read(PATH)).body), now);
  for (const name of ['p2', 'p3']) world.peer(name).away = true;
  t.deepEqual(await collect((await world.reader.read(PATH)).body), old, 'better than nothing');
});

test('file reader: leaving early closes every source, also before the first step', async (t) => {
  for (const steps of [0, 1]) {
    const world = new ReadWorld();
    const bytes = bytesOf(SIZE);
    const record = await world.file(bytes, ['p2']);
    for (let index = 0; index < 4; index += 1) await world.hold('p2', record, index, bytes);
    const { body } = await world.reader.read(PATH);
    const iterator = body[Symbol.asyncIterator]();
    for (let step = 0; step < steps; step += 1) await iterator.next();
    t.true(world.openSources > 0);
    await iterator.return?.();
    await settle();
    t.is(world.openSources, 0, `after ${steps} steps`);
    t.true((await iterator.next()).done);
  }
});

test('file reader: leaving ends a wait for a source that hangs', async (t) => {
  const world = new ReadWorld(['me']);
  await world.file(bytesOf(SIZE), []);
  const { body } = await world.reader.read(PATH, { offset: 0, length: SEGMENT });
  await collect(body);
  // The next segment is not cached, and the under store does not answer.
  let aborted = false;
  world.under.readRange = async function* (_request, signal) {
    await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(signal.reason as Error);
      });
    });
    yield new Uint8Array(0);
  };
  const hanging = (await world.reader.read(PATH, { offset: 0, length: 2 * SEGMENT })).body;
  const iterator = hanging[Symbol.asyncIterator]();
  await iterator.next();
  const waiting = iterator.next();
  waiting.catch(() => undefined);
  await settle();
  await iterator.return?.();
  t.true(aborted);
  await waiting.catch(() => undefined);
});

test('file reader: a listing of the cluster misses and repeats nothing, page by page', async (t) => {
  const world = new ReadWorld();
  const paths: string[] = [];
  for (let n = 0; n < 57; n += 1) {
    const path = `s3://b/${String(n).padStart(3, '0')}`;
    paths.push(path);
    const record = {
      path,
      sizeBytes: 1,
      version: 'v',
      mtimeMs: 0,
      segmentSizeBytes: SEGMENT,
      segmented: true,
      replicaCount: 2,
    };
    for (const name of [
      ['me', 'p2'],
      ['p2', 'p3'],
      ['p3', 'me'],
    ][n % 3] ?? []) {
      await world.peer(name).catalog.putAll([record]);
    }
  }
  for (const limit of [1, 7, 56, 57, 58, 5000]) {
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await world.reader.list({
        root: 's3://b',
        limit,
        ...(after !== undefined && { after }),
      });
      seen.push(...page.files.map(({ path }) => path));
      after = page.next;
    } while (after !== undefined);
    t.deepEqual(seen, paths, `pages of ${limit}`);
  }
});

test('file reader: a page of a listing says who could not be asked', async (t) => {
  const world = new ReadWorld();
  await world.file(bytesOf(SIZE), ['p3']);
  t.is((await world.reader.list({ root: 's3://b', limit: 10 })).unanswered, undefined);
  world.peer('p3').away = true;
  const page = await world.reader.list({ root: 's3://b', limit: 10 });
  t.deepEqual(page, { files: [], unanswered: [peerId('p3')] });
});

test('file reader: says where each segment should be and where it is', async (t) => {
  const world = await spread();
  const { segments } = await world.reader.placement(PATH);
  t.deepEqual(
    segments.map(({ index, lengthBytes, residentOn }) => [index, lengthBytes, ...residentOn]),
    [
      [0, 10, 'me'],
      [1, 10, 'p2'],
      [2, 10],
      [3, 5, 'p3'],
    ],
  );
  t.deepEqual(segments[0]?.owners, ['me', 'p2'].map(peerId));
});

test('file reader: says of whom it does not know what they hold', async (t) => {
  const world = await spread();
  t.deepEqual((await world.reader.placement(PATH)).unanswered, []);
  world.peer('p2').away = true;
  const { segments, unanswered } = await world.reader.placement(PATH);
  t.deepEqual(unanswered, [peerId('p2')]);
  t.deepEqual(segments[1]?.residentOn, []);
});

test('file reader: what a load brought in is found at any member before the under store is read', async (t) => {
  const world = new ReadWorld(['me', 'p2', 'p3', 'p4', 'p5', 'p6']);
  const bytes = bytesOf(SIZE);
  const record = { ...(await world.file(bytes, ['me'])), loadedBy: jobId('j'), replicaCount: 1 };
  await world.peer('me').catalog.putAll([record]);
  for (const index of [0, 1, 2, 3]) await world.hold('p6', record, index, bytes);
  t.deepEqual(await collect((await world.reader.read(PATH)).body), bytes);
  t.is(world.under.readBytes, 0);

  world.peer('p6').away = true;
  t.deepEqual(await collect((await world.reader.read(PATH)).body), bytes);
  t.is(world.under.readBytes, SIZE, 'read through where nobody has it');
});

test('file reader: a source that fails after its last byte has failed', async (t) => {
  const world = new ReadWorld();
  await world.file(bytesOf(SEGMENT), ['p2']);
  world.peer('p2').away = true;
  world.peer('p3').away = true;
  world.loader.load = () => Promise.reject(new RingloadError('cache_full', 'no room'));
  const readRange = world.under.readRange.bind(world.under);
  world.under.readRange = async function* (request, signal) {
    yield* readRange(request, signal);
    throw new RingloadError('ufs_bad_response', 'a checksum of the whole does not match');
  };
  const { body } = await world.reader.read(PATH);
  await t.throwsAsync(collect(body), { code: 'ufs_bad_response' });
});
