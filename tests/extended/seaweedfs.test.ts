/**
 * What SeaweedFS does as an S3 origin: the behaviour that loads rest on, and the ways in which it
 * differs from S3, written down so that tests against it know what to expect.
 */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import test, { type ExecutionContext } from 'ava';
import { requires } from '../support/requires.ts';
import { type SeaweedFs, seaweedFsMissing, startSeaweedFs } from '../support/seaweedfs.ts';

const missing = seaweedFsMissing();
const withSeaweed = requires(missing);

let store: SeaweedFs;
let s3: S3Client;

const clientOf = ({ endpoint, accessKeyId }: SeaweedFs, secretAccessKey: string): S3Client =>
  new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  });

if (missing === undefined) {
  test.before(async () => {
    store = await startSeaweedFs();
    s3 = clientOf(store, store.secretAccessKey);
  });
  test.after.always(async () => {
    s3.destroy();
    await store.stop();
  });
}

const put = (Key: string, Body: string | Uint8Array): Promise<{ ETag?: string | undefined }> =>
  s3.send(new PutObjectCommand({ Bucket: store.bucket, Key, Body }));

async function get(Key: string, more: { Range?: string; IfMatch?: string } = {}) {
  const answer = await s3.send(new GetObjectCommand({ Bucket: store.bucket, Key, ...more }));
  return { ...answer, bytes: Buffer.from((await answer.Body?.transformToByteArray()) ?? []) };
}

async function listed(Prefix: string, pageSize: number): Promise<string[]> {
  const keys: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await s3.send(
      new ListObjectsV2Command({
        Bucket: store.bucket,
        Prefix,
        MaxKeys: pageSize,
        EncodingType: 'url',
        ...(ContinuationToken !== undefined && { ContinuationToken }),
      }),
    );
    for (const { Key = '' } of page.Contents ?? []) {
      keys.push(decodeURIComponent(Key.replaceAll('+', ' ')));
    }
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined && keys.length < 10_000);
  return keys;
}

/** Fails the test unless the request is refused with that status. */
async function refused(t: ExecutionContext, status: number, request: Promise<unknown>) {
  const error = await t.throwsAsync<Error & { $metadata?: { httpStatusCode?: number } }>(request);
  t.is(error.$metadata?.httpStatusCode, status);
}

const MIB = 1024 * 1024;
const pattern = (length: number): Buffer => Buffer.alloc(length, Buffer.from('0123456789abcdefg'));

withSeaweed(
  'seaweedfs: ranges, also across its chunks, give exactly the bytes asked for',
  async (t) => {
    const body = pattern(10 * MIB + 3);
    await put('big', body);
    for (const [first, last] of [
      [0, 0],
      [4 * MIB - 5, 4 * MIB + 5],
      [8 * MIB, 10 * MIB + 2],
    ] as const) {
      const part = await get('big', { Range: `bytes=${first}-${last}` });
      t.is(part.$metadata.httpStatusCode, 206);
      t.is(part.ContentRange, `bytes ${first}-${last}/${body.length}`);
      t.true(part.bytes.equals(body.subarray(first, last + 1)));
    }
    await refused(t, 416, get('big', { Range: `bytes=${body.length}-` }));
  },
);

withSeaweed('seaweedfs: If-Match holds a read to one version', async (t) => {
  const { ETag: former = '' } = await put('changing', 'first');
  t.is((await get('changing', { IfMatch: former })).bytes.toString(), 'first');
  await put('changing', 'second');
  await refused(t, 412, get('changing', { IfMatch: former, Range: 'bytes=0-0' }));
  await refused(t, 404, get('missing', { IfMatch: former }));
});

withSeaweed(
  'seaweedfs: a multipart upload has a composite ETag that If-Match accepts',
  async (t) => {
    const Bucket = store.bucket;
    const Key = 'parts';
    const body = pattern(11 * MIB);
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const Parts = [];
    for (const PartNumber of [1, 2]) {
      const Body = body.subarray((PartNumber - 1) * 6 * MIB, PartNumber * 6 * MIB);
      const { ETag } = await s3.send(
        new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }),
      );
      Parts.push({ ETag, PartNumber });
    }
    await s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
    );
    const { ETag = '' } = await s3.send(new HeadObjectCommand({ Bucket, Key }));
    t.regex(ETag, /^"[0-9a-f]{32}-2"$/);
    t.true((await get(Key, { IfMatch: ETag })).bytes.equals(body));
  },
);

withSeaweed('seaweedfs: a wrong secret is refused', async (t) => {
  const stranger = clientOf(store, 'wrong');
  t.teardown(() => {
    stranger.destroy();
  });
  await refused(t, 403, stranger.send(new ListObjectsV2Command({ Bucket: store.bucket })));
});

withSeaweed('seaweedfs: a zero-byte object has no range', async (t) => {
  await put('empty', '');
  t.is((await get('empty')).bytes.length, 0);
  await refused(t, 416, get('empty', { Range: 'bytes=0-0' }));
});

withSeaweed('seaweedfs: pages of a listing lose and repeat nothing', async (t) => {
  const keys = Array.from({ length: 2_500 }, (_, i) => `many/${String(i).padStart(6, '0')}`);
  for (let at = 0; at < keys.length; at += 50) {
    await Promise.all(keys.slice(at, at + 50).map((key) => put(key, key)));
  }
  t.deepEqual(await listed('many/', 1_000), keys);
  t.deepEqual(await listed('many/', 7), keys);
});

withSeaweed('seaweedfs: odd names come back byte for byte', async (t) => {
  const names = ['sp ace', 'a+b', '%41%2F', '100%', 'q?x', 'h#y', '"<>&\'', '\x01', 'new\nline'];
  names.push('é', 'e\u0301', '😀', 'שלום', '__proto__', 'constructor', 'x'.repeat(255), '~!*()');
  const keys = names.map((name) => `odd/${name}`);
  for (const key of keys) await put(key, `of ${key}`);
  for (const key of keys) t.is((await get(key)).bytes.toString(), `of ${key}`);
  const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  t.deepEqual(await listed('odd/', 5), sorted);
});

withSeaweed('seaweedfs differs: names are paths', async (t) => {
  await refused(t, 400, put('dots/a/../b', 'x'));
  await refused(t, 400, put('dots/./b', 'x'));
  await refused(t, 400, put(`long/${'x'.repeat(256)}`, 'x'));
  // Doubled slashes are one, and a backslash is a slash.
  await put('path/a//b', 'x');
  await put('path/c\\d', 'x');
  t.deepEqual(await listed('path/', 10), ['path/a/b', 'path/c/d']);
});

withSeaweed(
  'seaweedfs differs: a listing goes by directories, not by the bytes of keys',
  async (t) => {
    for (const key of ['order/a/1', 'order/a!', 'order/a0']) await put(key, 'x');
    // S3 has `a!` first, because `!` sorts before `/`.
    t.deepEqual(await listed('order/', 10), ['order/a/1', 'order/a!', 'order/a0']);
  },
);
