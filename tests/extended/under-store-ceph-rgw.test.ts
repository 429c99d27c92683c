/** The compliance suite of under stores, over an S3 server that none of us wrote. */
import test from 'ava';
import { bytesOf } from '../../src/sample/object-set.ts';
import { S3UnderStore } from '../../src/ufs/io/s3-under-store.ts';
import { testUnderStore, type UnderStoreFixture } from '../conformance/under-store.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { ufsDependencies } from '../support/ufs-dependencies.ts';
import { cephRgwMissing, startCephRgw } from './support/ceph-rgw.ts';
import { type RealStore, Uploader } from './support/real-store.ts';

const missing = cephRgwMissing();
let server: RealStore;
let bucketCount = 0;
let putCount = 0;

if (missing === undefined) {
  test.before(async (t) => {
    t.timeout(120_000);
    server = await startCephRgw();
  });
  test.after.always(() => server?.stop());
  testUnderStore({
    name: 'ceph rgw',
    open: openBucket,
    oddKeys: [...ODD_KEYS, ...S3_ONLY_ODD_KEYS],
    isNesting: true,
  });
} else {
  test.skip(`ceph rgw: compliance of the S3 under store [needs ${missing}]`, () => undefined);
}

/** Every fixture is a bucket of its own. */
async function openBucket(): Promise<UnderStoreFixture> {
  const bucket = `bucket-${++bucketCount}`;
  const uploader = new Uploader(server, bucket);
  await uploader.createBucket();
  const store = new S3UnderStore(
    {
      path: `s3://${bucket}`,
      endpoint: server.endpoint,
      credentials: { kind: 'env', accessKeyIdName: 'ID', secretAccessKeyName: 'SECRET' },
    },
    ufsDependencies({ ID: server.accessKeyId, SECRET: server.secretAccessKey }),
  );
  return {
    store,
    root: `s3://${bucket}`,
    put: async (key, sizeBytes) => {
      // Other bytes at every call.
      const bytes = bytesOf({ key: 'some', version: ++putCount, sizeBytes, mtimeMs: 0 });
      await uploader.put(key, bytes);
      return new Uint8Array(bytes);
    },
    delete: (key) => uploader.delete(key),
    [Symbol.asyncDispose]: async () => {
      uploader[Symbol.dispose]();
      await store.close();
    },
  };
}
