/** Answers as bytes, cut wherever a network may cut them, into a real file. */
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import test, { type ExecutionContext } from 'ava';
import { SeededRandom } from '../../../../src/base/random.ts';
import { Exchange } from '../../../../src/data/io/lanes/exchange.ts';
import type { LaneOrder, LaneReport } from '../../../../src/data/io/lanes/lane-orders.ts';
import { PageBuffers } from '../../../../src/data/io/lanes/page-buffers.ts';
import { BandwidthBuckets } from '../../../../src/data/bandwidth-buckets.ts';
import { DemandCount } from '../../../../src/data/demand-count.ts';
import { DemandPause } from '../../../../src/data/io/lanes/demand-pause.ts';
import { HEAD_MAX_BYTES } from '../../../../src/data/io/lanes/response-head.ts';
import { TargetFiles } from '../../../../src/data/io/lanes/target-files.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const BLOCK_BYTES = 64 * 1024;
const OFFSET = 2 * BLOCK_BYTES;
const SEED = Number(process.env['LANE_SEED'] ?? 20261129);

class Stage implements AsyncDisposable {
  nowMs = 0;
  /** Readers that wait for other fills. */
  readonly demands = new DemandCount();
  readonly pause = new DemandPause(this.demands, () => this.nowMs);
  readonly middles: number[] = [];
  readonly path: string;
  readonly #folder: Awaited<ReturnType<typeof tempFolder>>;
  readonly #files = new TargetFiles('auto', 64);

  private constructor(folder: Awaited<ReturnType<typeof tempFolder>>) {
    this.#folder = folder;
    this.path = join(folder.path, 'target');
  }

  static async open(): Promise<Stage> {
    const stage = new Stage(await tempFolder('exchange'));
    await (await open(stage.path, 'w')).close();
    return stage;
  }

  exchange(length: number, given: Partial<LaneOrder> = {}): Exchange {
    const ownsPages = length >= BLOCK_BYTES;
    const order: LaneOrder = {
      id: 1,
      request: { endpoint: { address: '127.0.0.1', port: 1 }, head: '' },
      watch: {
        connectTimeoutMs: 100,
        headTimeoutMs: 100,
        windowMs: 50,
        minBytesPerWindow: 10,
        bodyTimeoutMs: 1000,
      },
      target: { path: this.path, offset: OFFSET, length, ownsPages, isDirect: ownsPages },
      start: 0,
      isPrefetch: false,
      ...given,
    };
    return new Exchange(order, Buffer.alloc(HEAD_MAX_BYTES), {
      buffers: new PageBuffers(),
      files: this.#files,
      bandwidth: new BandwidthBuckets(),
      pause: this.pause,
      nowMs: () => this.nowMs,
      tell: ({ kind, id }) => {
        if (kind === 'middle') this.middles.push(id);
      },
    });
  }

  async written(length: number): Promise<Buffer> {
    const file = await open(this.path, 'r');
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, OFFSET);
    await file.close();
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Gives `bytes` in pieces of at most `piece(left)`. @returns how many were taken. */
async function feed(
  exchange: Exchange,
  bytes: Buffer,
  piece: (leftBytes: number) => number = (leftBytes) => leftBytes,
): Promise<number> {
  let at = 0;
  while (at < bytes.length && !exchange.isOver) {
    const { room } = exchange;
    const count = Math.max(1, Math.min(room.length, bytes.length - at, piece(bytes.length - at)));
    bytes.copy(room, 0, at, at + count);
    at += count;
    await exchange.received(count);
  }
  return at;
}

function answer(body: Buffer, status = '200 OK', ...headers: string[]): Buffer {
  const lines = [`HTTP/1.1 ${status}`, `Content-Length: ${body.length}`, ...headers];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
}

async function reportOf<K extends LaneReport['kind']>(
  t: ExecutionContext,
  exchange: Exchange,
  kind: K,
): Promise<Extract<LaneReport, { kind: K }>> {
  const report = await exchange.report;
  t.is(report.kind, kind);
  return report as Extract<LaneReport, { kind: K }>;
}

test('exchange: a short answer cut at every byte gives the same bytes', async (t) => {
  await using stage = await Stage.open();
  const body = randomBytes(300);
  const bytes = answer(body, '206 Partial Content', 'Content-Range: bytes 0-299/900');
  for (let cut = 1; cut < bytes.length; cut++) {
    const exchange = stage.exchange(body.length);
    await feed(exchange, bytes.subarray(0, cut));
    await feed(exchange, bytes.subarray(cut));
    const { blocks } = await reportOf(t, exchange, 'moved');
    t.is(blocks.crc32c[0], crc32c(body));
    t.true(exchange.mayReuse);
    t.true((await stage.written(body.length)).equals(body), `cut at ${cut}`);
  }
});

for (const length of [1, 4095, 4096, 65_535, 65_536, 65_537, 1_048_576, 3_500_001]) {
  test(`exchange: ${length} bytes in drawn pieces, checked block by block (seed ${SEED})`, async (t) => {
    await using stage = await Stage.open();
    const random = new SeededRandom(SEED + length);
    const body = randomBytes(length);
    const exchange = stage.exchange(length);
    await feed(exchange, answer(body), () => 1 + Math.floor(random.next() * 150_000));
    const { blocks, receivedBytes, head } = await reportOf(t, exchange, 'moved');
    t.is(head.status, 200);
    t.is(receivedBytes, length);
    t.is(blocks.first, 0);
    t.is(blocks.crc32c.length, Math.ceil(length / BLOCK_BYTES));
    for (const [index, value] of blocks.crc32c.entries()) {
      t.is(value, crc32c(body.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)));
    }
    t.true((await stage.written(length)).equals(body));
  });
}

test('exchange: the rest of a range goes behind what is there', async (t) => {
  await using stage = await Stage.open();
  const body = randomBytes(5 * BLOCK_BYTES + 17);
  const first = stage.exchange(body.length);
  await feed(first, answer(body).subarray(0, 3 * BLOCK_BYTES + 5000));
  first.broke('ECONNRESET');
  const broken = await reportOf(t, first, 'broken');
  t.is(broken.keptBytes % BLOCK_BYTES, 0);
  t.true(broken.keptBytes > 2 * BLOCK_BYTES);
  t.is(broken.blocks.crc32c.length, broken.keptBytes / BLOCK_BYTES);

  const start = broken.keptBytes;
  const second = stage.exchange(body.length, { start });
  await feed(second, answer(body.subarray(start), '206 Partial Content'));
  const { blocks } = await reportOf(t, second, 'moved');
  t.is(blocks.first, start / BLOCK_BYTES);
  t.is(blocks.crc32c.at(-1), crc32c(body.subarray(5 * BLOCK_BYTES)));
  t.true((await stage.written(body.length)).equals(body));
});

test('exchange: with a CRC-32 to compare, a broken body is begun anew', async (t) => {
  await using stage = await Stage.open();
  const body = randomBytes(3 * BLOCK_BYTES);
  const bytes = answer(body, '200 OK', 'x-amz-checksum-crc32: AAAAAA==');
  const whole = stage.exchange(body.length);
  await feed(whole, bytes);
  t.deepEqual((await reportOf(t, whole, 'moved')).sum, {
    algorithm: 'crc32',
    value: crc32(body).toString(16).padStart(8, '0'),
  });
  const half = stage.exchange(body.length);
  await feed(half, bytes.subarray(0, 2 * BLOCK_BYTES));
  half.broke('ECONNRESET');
  t.is((await reportOf(t, half, 'broken')).keptBytes, 0);
});

test('exchange: errors come with their body, other lengths without', async (t) => {
  await using stage = await Stage.open();
  const error = Buffer.from('<Error><Code>SlowDown</Code></Error>');
  const refused = stage.exchange(100);
  await feed(refused, answer(error, '503 Slow Down'), () => 3);
  t.like(await reportOf(t, refused, 'answered'), { body: error.toString(), receivedBytes: 0 });
  t.true(refused.mayReuse);

  const shorter = stage.exchange(100);
  await feed(shorter, answer(randomBytes(99)));
  t.is((await reportOf(t, shorter, 'answered')).head.headers['content-length'], '99');

  const huge = stage.exchange(100);
  await feed(huge, answer(randomBytes(HEAD_MAX_BYTES + 1), '500 Oops'));
  t.is((await reportOf(t, huge, 'answered')).body, '');
  t.false(huge.mayReuse);
});

test('exchange: a connection with bytes behind the answer is not used again', async (t) => {
  await using stage = await Stage.open();
  const exchange = stage.exchange(10);
  await feed(exchange, Buffer.concat([answer(randomBytes(10)), Buffer.from('HTTP/1.1 200 OK')]));
  await reportOf(t, exchange, 'moved');
  t.false(exchange.mayReuse);
});

test('exchange: a head without end is given up at its bound', async (t) => {
  await using stage = await Stage.open();
  const exchange = stage.exchange(10);
  await feed(exchange, Buffer.alloc(2 * HEAD_MAX_BYTES, 'a'), () => 1000);
  await reportOf(t, exchange, 'unfit');
});

test('exchange: silence before the head and a trickle after it end by their deadlines', async (t) => {
  await using stage = await Stage.open();
  const mute = stage.exchange(100);
  t.false(mute.check(99));
  t.true(mute.check(100));
  t.is((await reportOf(t, mute, 'broken')).systemCode, 'ETIMEDOUT');

  const bytes = answer(randomBytes(100));
  const slow = stage.exchange(100);
  await feed(slow, bytes.subarray(0, bytes.length - 80));
  stage.nowMs = 49;
  t.false(slow.check(49));
  await feed(slow, bytes.subarray(bytes.length - 80, bytes.length - 71));
  t.false(slow.check(50), 'enough came along with the head');
  await feed(slow, bytes.subarray(bytes.length - 71, bytes.length - 62));
  t.true(slow.check(100), 'nine bytes in a window that asks for ten');
  t.is((await reportOf(t, slow, 'broken')).systemCode, 'ETIMEDOUT');
});

test('exchange: a body that is never slow still has an end', async (t) => {
  await using stage = await Stage.open();
  const exchange = stage.exchange(1_000_000);
  await feed(exchange, answer(Buffer.alloc(1_000_000)).subarray(0, 200));
  let nowMs = 0;
  for (; !exchange.isOver && nowMs < 5000; nowMs += 50) {
    stage.nowMs = nowMs;
    await feed(exchange, Buffer.alloc(20));
    exchange.check(nowMs);
  }
  t.is((await reportOf(t, exchange, 'broken')).systemCode, 'ETIMEDOUT');
  t.true(nowMs >= 1000 && nowMs < 1200, `${nowMs} ms`);
});

test('exchange: debt makes it wait, and the watch stand still', async (t) => {
  await using stage = await Stage.open();
  const buckets = { charged: [0], awaited: [0] };
  const exchange = stage.exchange(100_000, { buckets });
  const bytes = answer(Buffer.alloc(100_000));
  bytes.copy(exchange.room, 0, 0, 10_000);
  t.truthy(exchange.received(10_000));
  t.false(exchange.check(10_000));
  exchange.cancel();
  await reportOf(t, exchange, 'cancelled');
});

test('exchange: what cannot be written is said so, with the reason of the system', async (t) => {
  await using stage = await Stage.open();
  const target = {
    path: `${stage.path}/none`,
    offset: 0,
    length: 200_000,
    ownsPages: true,
    isDirect: true,
  };
  const exchange = stage.exchange(200_000, { target });
  await feed(exchange, answer(Buffer.alloc(200_000)));
  t.is((await reportOf(t, exchange, 'unwritten')).systemCode, 'ENOTDIR');
});

/** One thing that a hostile or broken server may do to an answer. */
function spoil(bytes: Buffer, random: SeededRandom): Buffer {
  const at = Math.floor(random.next() * bytes.length);
  const near = Math.floor(random.next() * Math.min(bytes.length, 120));
  const pieces = [
    '\r\n',
    '\r\n\r\n',
    '\0',
    ': ',
    'Content-Length: 7\r\n',
    ' 999',
    'Transfer-Encoding: chunked\r\n',
  ];
  const piece = Buffer.from(pieces[Math.floor(random.next() * pieces.length)] ?? '');
  switch (Math.floor(random.next() * 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, near), piece, bytes.subarray(near)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, near), bytes.subarray(near + 1)]);
    case 3:
      return Buffer.concat([bytes, bytes.subarray(at)]);
    default: {
      const flipped = Buffer.from(bytes);
      flipped[near] = (flipped[near] ?? 0) ^ (1 << Math.floor(random.next() * 8));
      return flipped;
    }
  }
}

test(`exchange: whatever a server sends, what counts as moved is what came (seed ${SEED})`, async (t) => {
  await using stage = await Stage.open();
  const random = new SeededRandom(SEED);
  const kinds = new Map<LaneReport['kind'], number>();
  for (let trial = 0; trial < 3000; trial++) {
    const body = randomBytes(1 + Math.floor(random.next() * 200));
    let bytes = answer(body, '206 Partial Content', 'ETag: "v1"', 'Connection: keep-alive');
    for (let count = Math.floor(random.next() * 4); count > 0; count--)
      bytes = spoil(bytes, random);
    const exchange = stage.exchange(body.length);
    await feed(exchange, bytes, (left) => Math.ceil(random.next() * left));
    exchange.broke('ECONNRESET');
    const report = await exchange.report;
    kinds.set(report.kind, (kinds.get(report.kind) ?? 0) + 1);
    if (report.kind !== 'moved') continue;
    const start = bytes.indexOf('\r\n\r\n') + 4;
    const came = bytes.subarray(start, start + body.length);
    t.is(Number(report.head.headers['content-length']), body.length, `trial ${trial}`);
    t.true((await stage.written(body.length)).equals(came), `trial ${trial}`);
    t.is(report.blocks.crc32c[0], crc32c(came), `trial ${trial}`);
  }
  t.log([...kinds].map(([kind, count]) => `${count} ${kind}`).join(', '));
  for (const kind of ['moved', 'broken', 'unfit', 'answered'] as const)
    t.true(kinds.has(kind), kind);
});

/** One piece of a body that is loaded ahead; `isOver` tells whether the next one may be read. */
function onePiece(stage: Stage): {
  exchange: Exchange;
  goesOn: Promise<void>;
  isOn: () => boolean;
} {
  const exchange = stage.exchange(4 * BLOCK_BYTES, { isPrefetch: true });
  const bytes = answer(randomBytes(4 * BLOCK_BYTES)).subarray(0, 1000);
  bytes.copy(exchange.room, 0);
  let isOn = false;
  const goesOn = Promise.resolve(exchange.received(bytes.length)).then(() => void (isOn = true));
  return { exchange, goesOn, isOn: () => isOn };
}

test('exchange: what is loaded ahead rests while a reader waits, and its watch with it', async (t) => {
  await using stage = await Stage.open();
  const atOnce = onePiece(stage);
  await atOnce.goesOn;
  const isOver = stage.demands.begin();
  const { exchange, goesOn, isOn } = onePiece(stage);
  await new Promise(setImmediate);
  t.false(isOn());
  stage.nowMs = 500;
  t.false(exchange.check(stage.nowMs), 'nothing came because nothing was read');
  isOver();
  await goesOn;
  exchange.resumed();
  stage.nowMs = 600;
  t.true(exchange.check(stage.nowMs));
  await reportOf(t, exchange, 'broken');
});

test('exchange: what is loaded ahead goes on slowly however many readers wait', async (t) => {
  await using stage = await Stage.open();
  stage.demands.begin();
  await onePiece(stage).goesOn;
  t.is(stage.demands.value, 1);
  stage.nowMs = 2000;
  const { exchange, goesOn } = onePiece(stage);
  await goesOn;
  t.false(stage.pause.isOn, 'nor does it rest for a fill that waits for somebody else');
  stage.demands.begin();
  t.true(stage.pause.isOn);
  exchange.broke('ECONNRESET');
});

test('exchange: what a reader waits for does not rest, and neither what he begins to wait for', async (t) => {
  await using stage = await Stage.open();
  stage.demands.begin();
  const wanted = stage.exchange(4 * BLOCK_BYTES);
  const bytes = answer(randomBytes(4 * BLOCK_BYTES)).subarray(0, 1000);
  bytes.copy(wanted.room, 0);
  t.is(wanted.received(bytes.length), undefined);
  const { exchange, goesOn } = onePiece(stage);
  exchange.hurry();
  await goesOn;
  bytes.copy(exchange.room, 0);
  t.is(exchange.received(10), undefined);
});
