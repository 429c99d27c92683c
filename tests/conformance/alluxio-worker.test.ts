/** What the Python clients of Alluxio get on the worker port, to the byte. */
import { createHash } from 'node:crypto';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { silentLogger } from '../../src/base/logger.ts';
import { createHttpApp, routesOf } from '../../src/http/app.ts';
import type { WorkerServices } from '../../src/http/worker/services.ts';
import { pathsOf } from '../../src/node/worker-parts.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { fakeServices, type FakeServices } from '../http/fake-services.ts';

const MODIFIED_MS = 1_700_000_000_500;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

class WorkerPort implements AsyncDisposable {
  readonly services: FakeServices = fakeServices();
  readonly under = new MemoryUnderStore();
  readonly port: number;
  readonly #server;

  private constructor(server: ReturnType<typeof createServer>, missingStatus: 404 | 500) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    const mounts = ['s3://b', 'file:///some/data'];
    const worker: WorkerServices = {
      ...pathsOf({ mounts, storeOf: () => this.under }),
      mounts,
      ufsInfo: () =>
        Promise.resolve(
          new Map([
            ['s3://b', { alluxioPath: '/b', endpoint: 'http://e', accessKey: '', secretKey: '' }],
          ]),
        ),
      missingStatus,
      port: () => this.port,
    };
    const options = { logger: silentLogger, port: 'worker', worker } as const;
    const answer = createHttpApp(this.services, options).callback();
    server.on('request', (request, response) => void answer(request, response));
  }

  static async start(missingStatus: 404 | 500 = 404): Promise<WorkerPort> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new WorkerPort(server, missingStatus);
  }

  put(path: string, bytes: Buffer): void {
    this.services.files.files.set(path, { bytes });
    this.under.put(path, bytes, MODIFIED_MS);
  }

  /** The target goes out as it is: no client of Node's own mends it. */
  ask(method: string, target: string, headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        { host: '127.0.0.1', port: this.port, method, path: target, headers },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const { statusCode: status = 0, headers: got } = response;
            resolve({ status, headers: got, body: Buffer.concat(chunks) });
          });
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }
}

const idOf = (path: string): string => createHash('sha256').update(path).digest('hex');

test('worker port: ids are those of the vectors', (t) => {
  const first = '2a41966e64e1f4b1b8c8e577a167c50563705ca0e0de8f0c64c8deccb68c9fa6';
  t.is(idOf('s3://bk/d/f1'), first);
  t.is(idOf('s3://bk/a'), 'b3c30f09aa03b32a2573e3ca7c783de03314741fd4238848bbd450056c43cea2');
});

test('worker port: node, info, files and health', async (t) => {
  await using port = await WorkerPort.start();
  port.put('s3://b/d/f1', Buffer.alloc(5121, 1));
  port.put('s3://b/d/sub/x', Buffer.from('x'));
  port.put('s3://b/d/sub/y', Buffer.from('y'));
  port.put('s3://b/d/sub-z', Buffer.from('z'));
  const node = await port.ask('GET', '/v1/node?path=s3://b/d/a&b', { Host: 'h.example:1234' });
  t.is(node.body.toString(), `{"Host":"h.example","HttpServerPort":${port.port}}`);

  const info = await port.ask('GET', `/v1/info?path=${encodeURIComponent('s3://b/d/f1')}`);
  t.is(info.headers['content-type'], 'application/json');
  t.is(
    info.body.toString(),
    '[{"mType":"file","mName":"f1","mPath":"/b/d/f1","mUfsPath":"s3://b/d/f1","mLength":5121,' +
      '"mHumanReadableFileSize":"5.00KB","mCompleted":true,"mOwner":"","mGroup":"","mMode":"0644",' +
      `"mCreationTimeMs":${MODIFIED_MS},"mLastModificationTimeMs":${MODIFIED_MS},` +
      `"mLastAccessTimeMs":${MODIFIED_MS},"mPersisted":true,"mInAlluxioPercentage":100,` +
      '"mContentHash":"\\"etag-1\\""}]',
  );
  for (const path of ['s3://b/d', 's3://b/d/', '/b/d', 'alluxiofs://s3://b/d', 's3://b']) {
    const answer = await port.ask('GET', `/v1/info?path=${encodeURIComponent(path)}`);
    const [status] = JSON.parse(answer.body.toString()) as Record<string, unknown>[];
    t.like(status, { mType: 'directory', mLength: 0 }, path);
  }
  const files = await port.ask('GET', '/v1/files?path=s3://b/d');
  const listed = JSON.parse(files.body.toString()) as { mType: string; mUfsPath: string }[];
  t.deepEqual(
    listed.map(({ mType, mUfsPath }) => `${mType} ${mUfsPath}`),
    ['directory s3://b/d/sub', 'file s3://b/d/f1', 'file s3://b/d/sub-z'],
  );
  const one = await port.ask('GET', '/v1/files?path=s3://b/d/f1');
  t.like(JSON.parse(one.body.toString()), [{ mUfsPath: 's3://b/d/f1' }]);
  const health = await port.ask('GET', '/healthz/x');
  t.deepEqual([health.status, health.body.length], [200, 0]);
});

test('worker port: a missing file is 404, or 500 where the operator says so, with a message', async (t) => {
  for (const status of [404, 500] as const) {
    await using port = await WorkerPort.start(status);
    const answer = await port.ask('GET', '/v1/info?path=s3://b/none');
    t.is(answer.status, status);
    t.like(JSON.parse(answer.body.toString()), { message: 's3://b/none does not exist' });
    const list = await port.ask('GET', '/v1/files?path=s3://b/none');
    t.is(list.status, 404);
  }
});

test('worker port: access to under stores, as a map and flat', async (t) => {
  await using port = await WorkerPort.start();
  const map = await port.ask('GET', '/v1/ufsInfo');
  t.is(
    map.body.toString(),
    '{"s3://b":{"alluxio_path":"/b","access_key":"","secret_key":"","endpoint":"http://e"}}',
  );
  const flat = await port.ask('GET', '/v1/ufsInfo?ufs=s3');
  t.is(flat.body.toString(), '{"access_key":"","secret_key":"","endpoint":"http://e"}');
  t.is((await port.ask('GET', '/v1/ufsInfo?ufs=hdfs')).status, 404);
});

test('worker port: whole files, pages, heads and tails', async (t) => {
  await using port = await WorkerPort.start();
  const page = 1024 * 1024;
  const bytes = Buffer.from(Uint8Array.from({ length: 2 * page + 10 }, (_, n) => n % 251));
  const path = 's3://b/d/f1';
  port.put(path, bytes);
  port.put('s3://b/empty', Buffer.alloc(0));
  const id = idOf(path);
  const whole = await port.ask('GET', `/v1/chunk/${id}?ufsFullPath=${path}&chunkSize=1048576`, {
    'transfer-type': 'chunked',
    Range: 'bytes=0--2',
  });
  t.is(whole.status, 200);
  t.is(whole.headers['content-length'], String(bytes.length));
  t.true(whole.body.equals(bytes));
  const table: [string, Buffer][] = [
    [`/v1/file/${id}/page/0?ufsFullPath=${path}`, bytes.subarray(0, page)],
    [`/v1/file/${id}/page/2?ufsFullPath=${path}`, bytes.subarray(2 * page)],
    [
      `/v1/file/${id}/page/1?ufsFullPath=${path}&offset=5&length=7`,
      bytes.subarray(page + 5, page + 12),
    ],
    [`/v1/range/${id}?ufsFullPath=${path}&offset=3&length=4`, bytes.subarray(3, 7)],
    [`/v1/head/${id}?ufsFullPath=${path}&numOfBytes=100`, bytes.subarray(0, 100)],
    [`/v1/tail/${id}?ufsFullPath=${path}&numOfBytes=100`, bytes.subarray(-100)],
    [`/v1/head/${idOf('s3://b/empty')}?ufsFullPath=s3://b/empty`, Buffer.alloc(0)],
  ];
  for (const [target, expected] of table) {
    const answer = await port.ask('GET', target);
    t.is(answer.status, 200, target);
    t.true(answer.body.equals(expected), target);
  }
  const behind = await port.ask('GET', `/v1/file/${id}/page/3?ufsFullPath=${path}`);
  t.is(behind.status, 404);
  t.like(JSON.parse(behind.body.toString()), { message: `${path} has no page 3` });
  t.is((await port.ask('GET', `/v1/file/${id}/page/x?ufsFullPath=${path}`)).status, 400);
});

test('worker port: a page without a path is found by its id, if the file is cached', async (t) => {
  await using port = await WorkerPort.start();
  port.put('s3://b/d/f1', Buffer.from('0123456789'));
  const found = await port.ask('GET', `/v1/file/${idOf('s3://b/d/f1')}/page/0?offset=2&length=3`);
  t.is(found.body.toString(), '234');
  t.is((await port.ask('GET', `/v1/file/${idOf('s3://b/none')}/page/0`)).status, 404);
});

test('worker port: of the readings of a raw path the one with the id is meant', async (t) => {
  await using port = await WorkerPort.start();
  const paths = [
    's3://b/a b',
    's3://b/a+b',
    's3://b/a%20b',
    's3://b/a&b=c',
    's3://b/100%',
    's3://b/ü',
  ];
  for (const path of paths) port.put(path, Buffer.from(path));
  for (const path of paths) {
    // As libraries send it: blanks and what is not ASCII encoded, the rest as it is.
    const raw = path.replaceAll(' ', '%20').replaceAll('ü', encodeURIComponent('ü'));
    const target = `/v1/chunk/${idOf(path)}?ufsFullPath=${raw}&chunkSize=1048576`;
    const answer = await port.ask('GET', target);
    t.is(answer.body.toString(), path, target);
    const prefixed = `alluxiofs://${path}`;
    const other = `/v1/chunk/${idOf(prefixed)}?ufsFullPath=alluxiofs://${raw}&chunkSize=1`;
    t.is((await port.ask('GET', other)).body.toString(), path, other);
  }
  // What a client cut off at a # is another file: better none than that one.
  const cut = await port.ask('GET', `/v1/chunk/${idOf('s3://b/a b#c')}?ufsFullPath=s3://b/a%20b`);
  t.is(cut.status, 400);
  t.true(JSON.parse(cut.body.toString()).message.includes('is that of no reading of ufsFullPath'));
});

test('worker port: writes are refused with a message, eviction is not', async (t) => {
  await using port = await WorkerPort.start();
  const path = 's3://b/d/f1';
  port.put(path, Buffer.from('x'));
  const id = idOf(path);
  const query = `?ufsFullPath=${path}`;
  for (const target of [
    `/v1/mkdir/${id}${query}`,
    `/v1/touch/${id}${query}`,
    `/v1/mv/${id}?srcPath=${path}&dstPath=s3://b/y`,
    `/v1/copy/${id}?srcPath=${path}&dstPath=s3://b/y&recursive=True`,
    `/v1/chunk/${id}${query}&chunkSize=1`,
    `/v1/file/${id}/page/0${query}`,
    `/v1/rm/${id}${query}&recursive=False&remove_alluxio_only=False&delete_mount_point=False`,
  ]) {
    const answer = await port.ask('POST', target);
    t.is(answer.status, 403, target);
    const { message, code } = JSON.parse(answer.body.toString()) as Record<string, string>;
    t.regex(message ?? '', /does not write there: write to the under store itself$/);
    t.is(code, 'forbidden');
  }
  const rm = `/v1/rm/${id}${query}&recursive=False&remove_alluxio_only=True&delete_mount_point=False`;
  t.is((await port.ask('POST', rm)).status, 200);
});

test('worker port: what the clients call is there, and paths of the own API mean nothing else', async (t) => {
  await using port = await WorkerPort.start();
  const worker = {} as WorkerServices;
  const routes = routesOf(fakeServices(), { logger: silentLogger, port: 'worker', worker });
  for (const route of ['GET /v1/node', 'GET /v1/load', 'POST /v1/rm/:id', 'GET /v1/ufsInfo']) {
    t.true(routes.includes(route), route);
  }
  t.false(routes.some((route) => route.includes('/v1/jobs')));
  t.is((await port.ask('GET', '/v1/load?path=s3://b/d&opType=progress')).status, 200);
});
