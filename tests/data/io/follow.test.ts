/** Copies made while the source receives the segment itself: real lanes, endpoints and files. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { wallClock } from '../../cache/support/wall-clock.ts';
import { RingloadError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import { openFileSegmentStore } from '../../../src/cache/io/open-file-segment-store.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
import { BandwidthBuckets } from '../../../src/data/bandwidth-buckets.ts';
import { DemandCount } from '../../../src/data/demand-count.ts';
import { LaneDataPlane } from '../../../src/data/io/lanes/lane-data-plane.ts';
import { LaneThreads } from '../../../src/data/io/lanes/lane-threads.ts';
import { SegmentClient } from '../../../src/data/io/segment-client.ts';
import { startSegmentServer } from '../../../src/data/io/segment-server.ts';
import { StreamDataPlane } from '../../../src/data/io/stream-data-plane.ts';
import { SegmentLoader, type LoadRequest } from '../../../src/data/segment-loader.ts';
import { formatSegmentRequest } from '../../../src/data/segment-request.ts';
import type { UnderStore } from '../../../src/ufs/under-store.ts';
import { bytesOf } from '../../cache/support/fixtures.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { newMutes } from '../support.ts';
import { patientWatch } from '../../support/patient-watch.ts';

const MIB = 1024 * 1024;
/** The last block is a part of one; more than the memory that follows a fill. */
const LENGTH = 6 * MIB + 1234;
const HALF = 3 * MIB;
const DEADLINE_MS = 60_000;
const KEY: SegmentKey = { path: 's3://b/a', version: 'v1', segmentSizeBytes: 16 * MIB, index: 0 };
const BYTES = Buffer.from(bytesOf(7, LENGTH));

/** Answers each request with a head; the body comes when the test says so. */
class Origin {
  readonly sockets: Socket[] = [];
  readonly port: number;
  /** Of the answer as a whole, before it counts. */
  judge: () => Promise<void> = () => Promise.resolve();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => {
        this.sockets.push(socket);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${LENGTH}\r\n\r\n`);
      });
    });
  }

  static async start(): Promise<Origin> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Origin(server);
  }

  /** On the connection that asked last. */
  send(from: number, to: number): void {
    this.sockets.at(-1)?.write(BYTES.subarray(from, to));
  }

  readonly store: UnderStore = {
    moveRange: async (_request, mover, signal) => {
      const endpoint = { address: '127.0.0.1', port: this.port };
      const watch = patientWatch(DEADLINE_MS);
      const request = { endpoint, head: 'GET / HTTP/1.1\r\n\r\n' };
      const outcome = await mover.move(request, 0, watch, signal);
      if (outcome.kind !== 'moved') throw new RingloadError('ufs_unavailable', outcome.kind);
      await this.judge();
      return true;
    },
  } as UnderStore;

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

/** A peer, as far as segments come and go. */
interface Peer {
  readonly store: FileSegmentStore;
  readonly loader: SegmentLoader;
  readonly port: number;
  /** Requests that were let follow. */
  followerCount: number;
  readonly followed: { ringBytes: number; diskBytes: number }[];
  stop(): Promise<void>;
}

async function startPeer(t: ExecutionContext, origin: Origin): Promise<Peer> {
  const folder = await tempFolder('follow');
  const store = await openFileSegmentStore({
    directories: [{ path: folder.path, capacityBytes: 64 * MIB }],
    regionSizeBytes: 16 * MIB,
    clock: wallClock,
    logger: silentLogger,
  });
  const stores = { storeOf: () => origin.store, mounts: ['s3://b'] };
  const token = (): string => 'cluster';
  const peers = { token, headTimeoutMs: DEADLINE_MS, stallTimeoutMs: DEADLINE_MS };
  const client = new SegmentClient({ ...peers, socketMaxCount: 4 });
  const threads = new LaneThreads({
    ...{ threadCount: 1, directIo: 'auto', laneMaxCount: 4 },
    socketMaxCount: { readers: 16, loads: 16 },
    openFileMaxCount: 16,
    bandwidth: new BandwidthBuckets().memory,
    demands: new DemandCount().memory,
    logger: silentLogger,
  });
  const plane = new LaneDataPlane({
    ...{ threads, stores, placer: store, peers },
    streams: new StreamDataPlane({ stores, peers: client, writer: store }),
    direct: { allows: () => true },
    onFallback: () => undefined,
  });
  const loader = new SegmentLoader({ store, plane, mutes: newMutes(), logger: silentLogger });
  const followed: Peer['followed'] = [];
  const server = await startSegmentServer({
    ...{ host: '127.0.0.1', port: 0, token, logger: silentLogger },
    open: async ({ key }) => (await store.open(key))?.placed,
    follow: (key) => {
      const following = loader.follow(key);
      if (following) peer.followerCount++;
      return following;
    },
    onFollowed: (bytes) => followed.push(bytes),
    bounds: { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6 },
    openFileMaxCount: 8,
    onRefused: () => undefined,
  });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await server.close();
  };
  t.teardown(async () => {
    await stop();
    await plane.close();
    await store.close();
    await folder[Symbol.asyncDispose]();
  });
  const { port } = server;
  const peer: Peer = { store, loader, port, followerCount: 0, followed, stop };
  return peer;
}

const NEVER = new AbortController().signal;

function fetchRequest(onBegun: () => void): LoadRequest {
  const sizes = { lengthBytes: LENGTH, fileSizeBytes: LENGTH };
  return { key: KEY, ...sizes, peerEndpoints: [], allowUfs: true, onBegun };
}

function followRequest(port: number): LoadRequest {
  const sizes = { lengthBytes: LENGTH, fileSizeBytes: LENGTH };
  const peerEndpoints = [`http://127.0.0.1:${port}`];
  return { key: KEY, ...sizes, peerEndpoints, allowUfs: false, follows: true };
}

interface Stage {
  readonly origin: Origin;
  readonly source: Peer;
  readonly copier: Peer;
  /** The source's fill. */
  readonly fetched: Promise<unknown>;
  /** Ends the source's fill. */
  readonly stop: AbortController;
}

/** The source has begun to fetch, and may be followed. */
async function begin(t: ExecutionContext): Promise<Stage> {
  const origin = await Origin.start();
  t.teardown(() => {
    origin.close();
  });
  const [source, copier] = [await startPeer(t, origin), await startPeer(t, origin)];
  const stop = new AbortController();
  let fetched: Promise<unknown> = Promise.resolve();
  await new Promise<void>((begun) => {
    fetched = source.loader.load(fetchRequest(begun), stop.signal);
    fetched.catch(() => undefined);
  });
  return { origin, source, copier, fetched, stop };
}

async function storedAt({ store }: Peer): Promise<Buffer | undefined> {
  const reader = await store.open(KEY);
  if (!reader) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.read(0, reader.lengthBytes)) chunks.push(chunk);
  reader.close();
  return Buffer.concat(chunks);
}

/** What a client gets that follows by hand and reads when it is let. */
class Client {
  readonly received: Buffer[] = [];
  readonly ended: Promise<unknown>;
  readonly socket: Socket;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => undefined);
    this.socket.on('data', (bytes) => this.received.push(bytes));
    this.ended = once(this.socket, 'close');
    const path = formatSegmentRequest({ key: KEY, offset: 0, follows: true });
    const lines = ['host: x', 'authorization: Bearer cluster', 'connection: close'];
    this.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  }

  get byteCount(): number {
    return this.received.reduce((sum, { length }) => sum + length, 0);
  }

  /** Behind the head. */
  get body(): Buffer {
    const all = Buffer.concat(this.received);
    return all.subarray(all.indexOf('\r\n\r\n') + 4);
  }
}

test('follow: bytes are given on as they come, and nothing counts before the fill was judged', async (t) => {
  const { origin, source, copier, fetched } = await begin(t);
  let judged: () => void = () => undefined;
  const isJudged = new Promise<void>((resolve) => (judged = resolve));
  let isAsked = false;
  origin.judge = () => {
    isAsked = true;
    return isJudged;
  };
  origin.send(0, HALF);
  const copied = copier.loader.load(followRequest(source.port), NEVER);
  const client = new Client(source.port);
  await waitFor(() => source.followerCount === 2 && client.byteCount > HALF - MIB, {
    what: 'two that follow, and half of it at one',
  });
  t.false(isAsked, 'the other half has not come');
  origin.send(HALF, LENGTH);
  await waitFor(() => isAsked && client.body.length >= LENGTH, { what: 'all of it at a client' });
  // A checksum that does not wait comes at once.
  await delay(100);
  t.is(client.body.length, LENGTH, 'no checksum yet');
  t.is(await copier.store.lookup(KEY), undefined);
  judged();
  await Promise.all([fetched, copied]);
  await client.ended;
  t.is(client.body.length, LENGTH + 8);
  t.is(Buffer.compare((await storedAt(source)) ?? Buffer.alloc(0), BYTES), 0);
  t.is(Buffer.compare((await storedAt(copier)) ?? Buffer.alloc(0), BYTES), 0);
  t.is(origin.sockets.length, 1, 'the store was asked once');
  await waitFor(() => source.followed.length === 2, { what: 'both counted' });
  for (const { ringBytes, diskBytes } of source.followed) {
    t.is(ringBytes + diskBytes, LENGTH);
    t.true(ringBytes > HALF - MIB, 'what came later was taken from memory');
  }
});

test('follow: a fill that comes to nothing leaves nothing anywhere', async (t) => {
  const endings: Record<string, (stage: Stage) => void> = {
    'the store breaks off': ({ origin }) => origin.sockets.at(-1)?.destroy(),
    'the job is stopped': ({ stop }) => {
      stop.abort(new RingloadError('cancelled', 'stopped'));
    },
    'the whole is not what it should be': ({ origin }) => {
      origin.judge = () => Promise.reject(new RingloadError('ufs_changed', 'another version'));
      origin.send(HALF, LENGTH);
    },
    'the source ends': ({ source }) => void source.stop(),
  };
  for (const [what, end] of Object.entries(endings)) {
    const stage = await begin(t);
    const { origin, source, copier, fetched, stop } = stage;
    origin.send(0, HALF);
    const copied = copier.loader.load(followRequest(source.port), NEVER);
    const client = new Client(source.port);
    await waitFor(() => source.followerCount === 2 && client.byteCount > HALF - MIB, {
      what: 'two that follow, and half of it at one',
    });
    end(stage);
    const error = await t.throwsAsync(copied, { instanceOf: RingloadError }, what);
    // The refusal, or a cut connection where bytes had been sent.
    t.true(error.code === 'not_found' || error.code === 'peer_unreachable', error.message);
    t.is(await copier.store.lookup(KEY), undefined, what);
    await client.ended;
    t.true(client.body.length <= LENGTH, `${what}: no checksum was sent`);
    stop.abort();
    await t.throwsAsync(fetched, { any: true }, what);
    t.is(await source.store.lookup(KEY), undefined, what);
  }
});

test('follow: who is slow reads from the disk, and holds nobody up', async (t) => {
  const { origin, source, fetched } = await begin(t);
  const client = new Client(source.port);
  client.socket.pause();
  await waitFor(() => source.followerCount === 1, { what: 'the one that follows' });
  origin.send(0, LENGTH);
  await fetched;
  t.truthy(await source.store.lookup(KEY), 'the source is done');
  client.socket.resume();
  await client.ended;
  t.is(Buffer.compare(client.body.subarray(0, LENGTH), BYTES), 0);
  t.is(client.body.length, LENGTH + 8);
  await waitFor(() => source.followed.length === 1, { what: 'it counted' });
  t.is((source.followed[0]?.ringBytes ?? 0) + (source.followed[0]?.diskBytes ?? 0), LENGTH);
});

test('follow: bytes that are spoilt on the way are no copy', async (t) => {
  const { origin, source, copier, fetched } = await begin(t);
  const proxy = createServer((near) => {
    const far = connect(source.port, '127.0.0.1');
    let passed = 0;
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.pipe(far);
    far.on('data', (bytes) => {
      const at = HALF - passed;
      if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ 1;
      passed += bytes.length;
      near.write(bytes);
    });
    far.on('close', () => near.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.teardown(() => proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const copied = copier.loader.load(followRequest(port), NEVER);
  copied.catch(() => undefined);
  await waitFor(() => source.followerCount === 1, { what: 'the one that follows' });
  origin.send(0, LENGTH);
  await fetched;
  const error = await t.throwsAsync(copied, { instanceOf: RingloadError });
  t.is(error.code, 'segment_corrupt');
  t.is(await copier.store.lookup(KEY), undefined);
});

test('follow: what is not under way is not begun, what is there is served as usual', async (t) => {
  const { origin, source, copier, fetched } = await begin(t);
  const other = { ...KEY, index: 1 };
  const tooEarly = copier.loader.load({ ...followRequest(source.port), key: other }, NEVER);
  const error = await t.throwsAsync(tooEarly, { instanceOf: RingloadError });
  t.is(error.code, 'not_found');
  origin.send(0, LENGTH);
  await fetched;
  await copier.loader.load(followRequest(source.port), NEVER);
  t.is(Buffer.compare((await storedAt(copier)) ?? Buffer.alloc(0), BYTES), 0);
  t.is(origin.sockets.length, 1);
  t.deepEqual(source.followed, []);
});
