/** The sample store against the client that readers use most, and with raw requests. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import test from 'ava';

import { MIB } from '../../src/base/units.ts';
import {
  bytesOf,
  demoObjects,
  etagOf,
  NumberedObjects,
  ObjectSet,
  sha256Of,
  type ObjectSource,
} from '../../src/sample/object-set.ts';
import { startSampleStore, type SampleStore } from '../../src/sample/sample-store.ts';

const BUCKET = 'demo';

interface Served extends AsyncDisposable {
  readonly server: SampleStore;
  readonly client: S3Client;
}

async function serve(objects: ObjectSource): Promise<Served> {
  const server = await startSampleStore({ bucket: BUCKET, objects });
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'any', secretAccessKey: 'thing' },
    maxAttempts: 1,
  });
  return {
    server,
    client,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await server.close();
    },
  };
}

async function get(
  { client }: Served,
  key: string,
  input: Partial<GetObjectCommand['input']> = {},
): Promise<{ bytes: Buffer; range: string | undefined; status: number | undefined }> {
  const output = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key, ...input }));
  const bytes = Buffer.from((await output.Body?.transformToByteArray()) ?? []);
  return { bytes, range: output.ContentRange, status: output.$metadata.httpStatusCode };
}

/** Answer to a request target that no client library would send. */
async function raw(server: SampleStore, head: string): Promise<string> {
  const { port, hostname } = new URL(server.endpoint);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(`${head}\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return text(socket);
}

test('sample store: bytes, ETag and digest belong to one version', async (t) => {
  const objects = new ObjectSet([['k', 3 * MIB + 7]]);
  await using served = await serve(objects);
  const object = objects.put('k', 3 * MIB + 7);
  t.is(object.version, 2);
  const { bytes } = await get(served, 'k', { IfMatch: `"${etagOf(object)}"` });
  t.is(createHash('sha256').update(bytes).digest('hex'), sha256Of(object));
  t.false(bytes.equals(bytesOf({ ...object, version: 1 })));
  t.false(bytes.equals(bytesOf({ ...object, key: 'other' })));
});

test('sample store: any range is that part of the whole, far beyond 32 bits too', (t) => {
  const whole = new ObjectSet([['k', MIB]]).find('k');
  if (!whole) return t.fail();
  const bytes = bytesOf(whole);
  for (const [offset, length] of [
    [0, 1],
    [262_143, 2],
    [262_144, 262_144],
    [MIB - 1, 1],
    [12_345, 700_000],
  ] as const) {
    t.true(bytesOf(whole, offset, length).equals(bytes.subarray(offset, offset + length)));
  }
  const huge = { key: 'huge', version: 1, sizeBytes: 50e12, mtimeMs: 0 };
  const [low, high] = [2 ** 20, 2 ** 20 + 2 ** 32 * 262_144];
  t.false(bytesOf(huge, low, 100).equals(bytesOf(huge, high, 100)));
  const around = bytesOf(huge, 40e12 - 300_000, 600_000);
  t.true(bytesOf(huge, 40e12 - 10, 20).equals(around.subarray(299_990, 300_010)));
  return undefined;
});

test('sample store: ranges are answered as S3 does', async (t) => {
  const objects = new ObjectSet([
    ['k', 1_000],
    ['empty', 0],
  ]);
  await using served = await serve(objects);
  const whole = bytesOf({ key: 'k', version: 1, sizeBytes: 1_000, mtimeMs: 0 });
  const cases = [
    ['bytes=0-0', 0, 1],
    ['bytes=990-', 990, 10],
    ['bytes=990-5000', 990, 10],
    ['bytes=-10', 990, 10],
    ['bytes=-5000', 0, 1_000],
  ] as const;
  for (const [range, offset, length] of cases) {
    const answer = await get(served, 'k', { Range: range });
    t.is(answer.status, 206);
    t.is(answer.range, `bytes ${offset}-${offset + length - 1}/1000`);
    t.true(answer.bytes.equals(whole.subarray(offset, offset + length)), range);
  }
  for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=5-2']) {
    t.is((await get(served, 'k', { Range: range })).status, 200, range);
  }
  for (const [key, range] of [
    ['k', 'bytes=1000-'],
    ['k', 'bytes=-0'],
    ['empty', 'bytes=0-0'],
  ] as const) {
    await t.throwsAsync(get(served, key, { Range: range }), { name: 'InvalidRange' });
  }
});

test('sample store: conditions decide before the range', async (t) => {
  const objects = new ObjectSet([['k', 10]]);
  await using served = await serve(objects);
  const object = objects.put('k', 10);
  const etag = `"${etagOf(object)}"`;
  const before = new Date(object.mtimeMs - 1_000);
  const now = new Date(object.mtimeMs);
  t.is((await get(served, 'k', { IfMatch: etag, Range: 'bytes=1-2' })).status, 206);
  t.is((await get(served, 'k', { IfMatch: '*' })).status, 200);
  t.is((await get(served, 'k', { IfUnmodifiedSince: now })).status, 200);
  await t.throwsAsync(get(served, 'k', { IfMatch: '"x"', Range: 'bytes=99-' }), {
    name: 'PreconditionFailed',
  });
  await t.throwsAsync(get(served, 'k', { IfUnmodifiedSince: before }), {
    name: 'PreconditionFailed',
  });
  for (const input of [{ IfNoneMatch: etag }, { IfModifiedSince: now }]) {
    const thrown: unknown = await t.throwsAsync(get(served, 'k', input), { any: true });
    t.is((thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode, 304);
  }
});

test('sample store: errors are S3 documents', async (t) => {
  await using served = await serve(new ObjectSet([['k', 1]]));
  await t.throwsAsync(get(served, 'absent'), { name: 'NoSuchKey' });
  await t.throwsAsync(get(served, 'k', { Bucket: 'other' }), { name: 'NoSuchBucket' });
  const head = new HeadObjectCommand({ Bucket: BUCKET, Key: 'absent' });
  await t.throwsAsync(served.client.send(head), { name: 'NotFound' });
  t.regex(
    await raw(served.server, `PUT /${BUCKET}/k HTTP/1.1`),
    /^HTTP\/1\.1 405 .*MethodNotAllowed/s,
  );
  t.regex(await raw(served.server, `GET /${BUCKET}/k?acl HTTP/1.1`), /^HTTP\/1\.1 501 .*NotImpl/s);
  t.regex(
    await raw(served.server, `GET /${BUCKET}/%E0%A4%A HTTP/1.1`),
    /^HTTP\/1\.1 400 .*InvalidURI/s,
  );
  t.regex(await raw(served.server, `GET /${BUCKET}/%zz HTTP/1.1`), /^HTTP\/1\.1 400 /);
});

test('sample store: the raw path is the key', async (t) => {
  const objects = new ObjectSet(
    ['a/../b', '..', '/lead', 'x//y', 'a+b', 'ü'].map((key) => [key, 9]),
  );
  await using served = await serve(objects);
  for (const [target, key] of [
    ['a/../b', 'a/../b'],
    ['a/%2e%2e/b', 'a/../b'],
    ['..', '..'],
    ['/lead', '/lead'],
    ['x//y', 'x//y'],
    ['a+b', 'a+b'],
    ['%C3%BC', 'ü'],
  ] as const) {
    const object = objects.find(key);
    const answer = await raw(served.server, `GET /${BUCKET}/${target} HTTP/1.1`);
    t.true(object && answer.includes(etagOf(object)), target);
  }
});

test('sample store: listings are grouped and paged by UTF-8 bytes, in both versions', async (t) => {
  const keys = ['a', 'a-b', 'a/', 'a/1', 'a/2/x', 'a/2/y', 'b/1', 'c', '\uffee', '🙂', 'é'];
  await using served = await serve(new ObjectSet(keys.map((key) => [key, 1])));
  const byBytes = [...keys].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
  for (const limit of [1, 2, 3, 100]) {
    const all: string[] = [];
    let token: string | undefined;
    do {
      const page = await served.client.send(
        new ListObjectsV2Command({ Bucket: BUCKET, MaxKeys: limit, ContinuationToken: token }),
      );
      all.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    t.deepEqual(all, byBytes);

    const grouped: string[] = [];
    let marker: string | undefined;
    do {
      const page = await served.client.send(
        new ListObjectsCommand({ Bucket: BUCKET, MaxKeys: limit, Marker: marker, Delimiter: '/' }),
      );
      grouped.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''));
      grouped.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? ''));
      marker = page.IsTruncated === true ? page.NextMarker : undefined;
    } while (marker !== undefined);
    t.deepEqual(grouped.sort(), ['a', 'a-b', 'a/', 'b/', 'c', 'é', '\uffee', '🙂'].sort());
  }
  const below = await served.client.send(
    new ListObjectsV2Command({ Bucket: BUCKET, Prefix: 'a/', Delimiter: '/', StartAfter: 'a/1' }),
  );
  t.deepEqual(below.CommonPrefixes, [{ Prefix: 'a/2/' }]);
  t.is(below.Contents, undefined);
});

test('sample store: a group is skipped whole, whatever its keys go on with', async (t) => {
  const keys = ['g/1', 'g/\u{10ffff}', 'g/\u{10ffff}\u{10ffff}x', 'h', 'i/1'];
  await using served = await serve(new ObjectSet(keys.map((key) => [key, 1])));
  const page = await served.client.send(
    new ListObjectsV2Command({ Bucket: BUCKET, Delimiter: '/', MaxKeys: 10 }),
  );
  t.deepEqual(
    page.CommonPrefixes?.map(({ Prefix }) => Prefix),
    ['g/', 'i/'],
  );
  t.deepEqual(
    page.Contents?.map(({ Key }) => Key),
    ['h'],
  );
});

test('sample store: a hundred million keys are listed from anywhere', async (t) => {
  const objects = new NumberedObjects({ prefix: 'p/', count: 100_000_000, sizeBytes: 5 });
  await using served = await serve(objects);
  const page = await served.client.send(
    new ListObjectsV2Command({ Bucket: BUCKET, Prefix: 'p/', StartAfter: 'p/0099999990' }),
  );
  t.deepEqual(
    page.Contents?.map(({ Key }) => Key),
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => `p/009999999${digit}`),
  );
  t.false(page.IsTruncated);
  t.is((await get(served, 'p/0012345678')).bytes.length, 5);
  await t.throwsAsync(get(served, 'p/0100000000'), { name: 'NoSuchKey' });
});

test('sample store: what the demo loads is of a size to watch, with odd and empty files', (t) => {
  const objects = [...demoObjects().following('')];
  const totalBytes = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  t.true(totalBytes > 250e6 && totalBytes < 350e6, `${totalBytes} bytes`);
  t.true(objects.some(({ sizeBytes }) => sizeBytes === 0));
  t.true(objects.some(({ key }) => key.includes('🙂')));
});

test('sample store: a rate is kept over all connections', async (t) => {
  const objects = new ObjectSet([['k', MIB]]);
  const server = await startSampleStore({ bucket: BUCKET, objects, bytesPerSecond: 8 * MIB });
  const startMs = performance.now();
  const fetchAll = async (): Promise<number> => {
    const response = await fetch(`${server.endpoint}/${BUCKET}/k`);
    return (await response.arrayBuffer()).byteLength;
  };
  t.deepEqual(await Promise.all([fetchAll(), fetchAll()]), [MIB, MIB]);
  // A lower bound only: a busy machine may be slower.
  t.true(performance.now() - startMs > 200);
  t.is(server.totals().sentBytes, 2 * MIB);
  await server.close();
  await server.close();
});

test('sample store: a taken port is reported', async (t) => {
  const objects = new ObjectSet();
  await using first = await startSampleStore({ bucket: BUCKET, objects });
  const port = Number(new URL(first.endpoint).port);
  await t.throwsAsync(startSampleStore({ bucket: BUCKET, objects, port }), {
    message: new RegExp(`cannot listen on 127.0.0.1:${port}`),
  });
});
