/** Readers of other peers' segments over a real data endpoint: few connections, many slow readers. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { crc32c } from '@node-rs/crc32';
import test, { type ExecutionContext } from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { SegmentClient } from '../../../src/data/io/segment-client.ts';
import { startSegmentServer } from '../../../src/data/io/segment-server.ts';
import type { PlacedSegment } from '../../../src/cache/segment-store.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { keyOf } from '../support.ts';

const KIB = 1024;
/** More than sockets and buffers between the two take in. */
const LENGTH_BYTES = 16 * 1024 * KIB;
const SOCKET_MAX_COUNT = 8;

const PERIOD_BYTES = 65_521;
const PATTERN = Buffer.alloc(
  2 * PERIOD_BYTES,
  'what a slow reader is given is what it asked for; ',
);
PATTERN.copyWithin(PERIOD_BYTES, 0, PERIOD_BYTES);

function bytesOf(offset: number, length: number): Buffer {
  const pieces: Buffer[] = [];
  for (let at = offset; at < offset + length;) {
    const start = at % PERIOD_BYTES;
    const size = Math.min(PERIOD_BYTES, offset + length - at);
    pieces.push(PATTERN.subarray(start, start + size));
    at += size;
  }
  return Buffer.concat(pieces);
}

interface Served {
  readonly endpoint: string;
  readonly client: SegmentClient;
  /** Ranges that were asked for. */
  readonly offsets: number[];
  openCount: number;
  crc32c: number;
}

/** A peer that holds one large segment. */
async function serve(t: ExecutionContext, stallTimeoutMs = 10_000): Promise<Served> {
  const served = { offsets: [] as number[], openCount: 0, crc32c: 7 };
  const folder = await tempFolder('segment-client');
  const path = join(folder.path, 'segment');
  const bytes = bytesOf(0, LENGTH_BYTES);
  await writeFile(path, bytes);
  const blockCrc32c = Uint32Array.from({ length: LENGTH_BYTES / (64 * KIB) }, (_, block) =>
    crc32c(bytes.subarray(block * 64 * KIB, (block + 1) * 64 * KIB)),
  );
  const segment = (offset: number): PlacedSegment => {
    served.openCount++;
    return {
      lengthBytes: LENGTH_BYTES,
      crc32c: served.crc32c,
      place: () => ({ path, offset: 0, blockCrc32c }),
      damaged: () => new RingloadError('segment_corrupt', 'damaged'),
      unread: (_code, message) => new RingloadError('cache_io', message),
      close: () => {
        served.openCount--;
        served.offsets.push(offset);
      },
    };
  };
  const server = await startSegmentServer({
    host: '127.0.0.1',
    port: 0,
    token: () => undefined,
    open: (request) => Promise.resolve(segment(request.offset)),
    bounds: { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6 },
    openFileMaxCount: 8,
    onRefused: () => undefined,
    logger: silentLogger,
  });
  const client = new SegmentClient({
    token: () => undefined,
    headTimeoutMs: 20_000,
    stallTimeoutMs,
    socketMaxCount: SOCKET_MAX_COUNT,
  });
  t.teardown(async () => {
    client.close();
    await server.close();
    await folder[Symbol.asyncDispose]();
  });
  return Object.assign(served, { endpoint: `http://127.0.0.1:${server.port}`, client });
}

async function begin(served: Served, offset: number, length: number) {
  const { signal } = new AbortController();
  const opened = await served.client.open(
    served.endpoint,
    { key: keyOf(), offset, length },
    signal,
  );
  const chunks = opened.body[Symbol.asyncIterator]();
  const first = await chunks.next();
  return { offset, length, chunks, received: [first.value as Uint8Array] };
}

async function expectRest(
  t: ExecutionContext,
  { offset, length, chunks, received }: Awaited<ReturnType<typeof begin>>,
): Promise<void> {
  for (let step = await chunks.next(); !step.done; step = await chunks.next()) {
    received.push(step.value);
  }
  const bytes = Buffer.concat(received);
  t.is(bytes.length, length);
  t.true(bytes.equals(bytesOf(offset, length)), 'other bytes');
}

test('segment client: whoever waits gets the connection of a reader that rests, which goes on later', async (t) => {
  const served = await serve(t);
  const length = 4 * 1024 * KIB;
  const slow = [];
  // Half of all are for one peer.
  for (let number = 0; number < SOCKET_MAX_COUNT / 2; number++) {
    slow.push(await begin(served, number * length, length));
  }
  const fast = await begin(served, 3 * length + 1, 100_000);
  await expectRest(t, fast);
  for (const each of slow) await expectRest(t, each);
  // Why before the count: a range counts when its server has heard of its end.
  await waitFor(() => served.openCount === 0, { what: 'all ranges to be given back' });
  t.true(served.offsets.length > slow.length + 1, 'nobody was called back');
});

test('segment client: a reader that rests for longer than a peer may stall has not failed', async (t) => {
  const served = await serve(t, 700);
  const resting = await begin(served, 3, LENGTH_BYTES - 3);
  await delay(2_000);
  t.is(served.openCount, 0, 'its connection was kept');
  await expectRest(t, resting);
});

test('segment client: a reader that goes on with another copy is told so', async (t) => {
  const served = await serve(t, 700);
  const { chunks, received } = await begin(served, 0, LENGTH_BYTES);
  served.crc32c = 8;
  await delay(2_000);
  t.true((received[0]?.length ?? 0) > 0);
  await t.throwsAsync(async () => chunks.next(), { message: /another copy/ });
});
