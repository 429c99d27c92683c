/** What the thread of the data endpoint gives by itself, over real sockets and a real file. */
import { open } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { ChangeMarks } from '../../../src/base/change-marks.ts';
import { RingloadError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { startSegmentServer } from '../../../src/data/io/segment-server.ts';
import { formatSegmentRequest } from '../../../src/data/segment-request.ts';
import { waitFor } from '../../support/wait-for.ts';
import { keyOf } from '../support.ts';
import { BLOCK, OFFSET, segmentFile } from './segment-file.ts';

/** The last block is a part of one. */
const LENGTH = 8 * BLOCK + 1234;
const TOKEN = 'the token of peers';
const MARK = 77;

interface Stage {
  readonly port: number;
  readonly path: string;
  readonly bytes: Buffer;
  readonly marks: ChangeMarks;
  readonly told: string[];
  /** For requests. */
  openedCount: number;
  /** For reads that were told of afterwards. */
  notedCount: number;
}

async function start(t: ExecutionContext): Promise<Stage> {
  const file = await segmentFile('own-segments', LENGTH);
  const { path, bytes, blockCrc32c } = file;
  const marks = new ChangeMarks();
  marks.name(5, 6);
  const stage = {
    port: 0,
    path,
    bytes,
    marks,
    told: [] as string[],
    openedCount: 0,
    notedCount: 0,
  };
  const server = await startSegmentServer({
    ...{ host: '127.0.0.1', port: 0, token: () => TOKEN, marks, logger: silentLogger },
    open: ({ length }) => {
      if (length === undefined) stage.notedCount++;
      else stage.openedCount++;
      return Promise.resolve({
        ...{ lengthBytes: LENGTH, crc32c: 4711, close: () => undefined },
        stands: { key: keyOf(), mark: marks.now(MARK) },
        place: () => ({ path, offset: OFFSET, blockCrc32c }),
        damaged: () => {
          stage.told.push('damaged');
          return new RingloadError('segment_corrupt', 'dropped');
        },
        unread: () => new RingloadError('cache_io', 'cannot be read'),
      });
    },
    bounds: { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6 },
    openFileMaxCount: 8,
    onRefused: () => undefined,
  });
  t.teardown(async () => {
    await server.close();
    await file[Symbol.asyncDispose]();
  });
  return Object.assign(stage, { port: server.port });
}

interface Ask {
  readonly from: number;
  readonly length: number;
  readonly token?: string;
  readonly stands?: string;
}

async function get(
  { port }: Stage,
  { from: offset, length, token = TOKEN, stands }: Ask,
): Promise<{ status: number; body: Buffer }> {
  const request = { key: keyOf(), offset, length, ...(stands !== undefined && { stands }) };
  const answer = await fetch(`http://127.0.0.1:${port}${formatSegmentRequest(request)}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
}

/** Whether the main thread heard of it. */
async function expect(t: ExecutionContext, stage: Stage, ask: Ask): Promise<'asked' | 'own'> {
  const { openedCount } = stage;
  const { status, body } = await get(stage, ask);
  t.is(status, 200);
  t.true(body.equals(stage.bytes.subarray(ask.from, ask.from + ask.length)), JSON.stringify(ask));
  return stage.openedCount === openedCount ? 'own' : 'asked';
}

test('own segments: any short range of what was given once, and what is longer is asked for', async (t) => {
  const stage = await start(t);
  t.is(await expect(t, stage, { from: 5, length: 1 }), 'asked');
  for (const from of [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 7, LENGTH - 1235, LENGTH - 1]) {
    for (const length of [1, 100, BLOCK, 3 * BLOCK]) {
      if (from + length <= LENGTH) t.is(await expect(t, stage, { from, length }), 'own');
    }
  }
  t.is(await expect(t, stage, { from: 0, length: 4 * BLOCK }), 'own');
  t.is(await expect(t, stage, { from: 1, length: 4 * BLOCK }), 'asked');
  t.is((await get(stage, { from: LENGTH - 1, length: 2 })).status, 416);
});

test('own segments: not when its mark was raised, and again when it was asked for', async (t) => {
  const stage = await start(t);
  const range = { from: 9, length: BLOCK };
  t.is(await expect(t, stage, range), 'asked');
  for (const raise of [
    () => {
      stage.marks.raise(MARK);
    },
    () => {
      stage.marks.raiseAll();
    },
  ]) {
    t.is(await expect(t, stage, range), 'own');
    raise();
    t.is(await expect(t, stage, range), 'asked');
  }
});

test('own segments: who presents no token, or another one, is refused as before', async (t) => {
  const stage = await start(t);
  const range = { from: 0, length: 10 };
  await expect(t, stage, range);
  t.is(await expect(t, stage, range), 'own');
  for (const token of ['another', '', `${TOKEN} `, TOKEN.slice(1)]) {
    const { status, body } = await get(stage, { ...range, token: `${token}x` });
    t.is(status, 401, token);
    t.false(body.includes(stage.bytes.subarray(0, 10)));
  }
});

test('own segments: a block that is damaged is never given, and the main thread hears of it', async (t) => {
  const stage = await start(t);
  await expect(t, stage, { from: 0, length: 10 });
  const file = await open(stage.path, 'r+');
  await file.write(Buffer.from('!'), 0, 1, OFFSET + BLOCK + 3);
  await file.close();
  t.is((await get(stage, { from: BLOCK + 100, length: 10 })).status, 500);
  t.deepEqual(stage.told, ['damaged']);
  t.is(await expect(t, stage, { from: 0, length: 10 }), 'own');
});

test('own segments: what depends on a mark of this process is given while that stands', async (t) => {
  const stage = await start(t);
  const { marks } = stage;
  const told = marks.tell(marks.now(4));
  const range = { from: 0, length: 10, stands: told };
  t.is(await expect(t, stage, range), 'asked');
  t.is(await expect(t, stage, range), 'own');
  const other = new ChangeMarks();
  other.name(7, 6);
  for (const stands of [other.tell(other.now(4)), '', told.slice(1), `${told}1`, 'a.b.c.d']) {
    t.is((await get(stage, { ...range, stands })).status, 409, stands);
    t.is((await get(stage, { ...range, stands, token: 'another' })).status, 401, stands);
  }
  marks.raise(4);
  t.is((await get(stage, range)).status, 409);
  t.is(await expect(t, stage, { from: 0, length: 10 }), 'own');
});

test('own segments: what was read of them is told', async (t) => {
  const stage = await start(t);
  await expect(t, stage, { from: 0, length: 10 });
  t.is(await expect(t, stage, { from: 0, length: 10 }), 'own');
  await waitFor(() => stage.notedCount === 1, { what: 'the segment to be opened for its reads' });
});
