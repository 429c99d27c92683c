import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { bytesOf, ObjectSet } from '../../src/sample/object-set.ts';
import { startSampleStore } from '../../src/sample/sample-store.ts';
import { FileUnderStore } from '../../src/ufs/io/file-under-store.ts';
import { S3UnderStore } from '../../src/ufs/io/s3-under-store.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { ufsDependencies } from '../support/ufs-dependencies.ts';
import { testUnderStore, type UnderStoreFixture } from './under-store.ts';

let putCount = 0;

/** Other bytes at every call. */
function someBytes(sizeBytes: number): Uint8Array {
  const object = { key: 'some', version: ++putCount, sizeBytes, mtimeMs: 0 };
  return new Uint8Array(bytesOf(object));
}

function openMemory(): Promise<UnderStoreFixture> {
  const store = new MemoryUnderStore();
  const root = 's3://bucket/some/root';
  return Promise.resolve({
    store,
    root,
    put: (key, sizeBytes) => {
      const bytes = someBytes(sizeBytes);
      store.put(`${root}/${key}`, bytes);
      return Promise.resolve(bytes);
    },
    delete: (key) => {
      store.delete(`${root}/${key}`);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => store.close(),
  });
}

async function openFile(): Promise<UnderStoreFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'ringload-ufs-'));
  const mount = join(directory, 'mount');
  const store = new FileUnderStore({ path: `file://${mount}` }, ufsDependencies());
  await mkdir(join(mount, 'some/root'), { recursive: true });
  const pathOf = (key: string): string => `${mount}/some/root/${key}`;
  return {
    store,
    root: `file://${mount}/some/root`,
    put: async (key, sizeBytes) => {
      const bytes = someBytes(sizeBytes);
      const path = pathOf(key);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
      // Two writes within one tick of the file system's clock would look the same.
      await utimes(path, putCount, putCount);
      return bytes;
    },
    delete: (key) => rm(pathOf(key)),
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

function openS3(prefix: string): () => Promise<UnderStoreFixture> {
  return async () => {
    const objects = new ObjectSet();
    const server = await startSampleStore({ bucket: 'bucket', objects });
    const store = new S3UnderStore(
      { path: 's3://bucket', endpoint: server.endpoint, credentials: { kind: 'anonymous' } },
      ufsDependencies(),
    );
    return {
      store,
      root: prefix === '' ? 's3://bucket' : `s3://bucket/${prefix.slice(0, -1)}`,
      put: (key, sizeBytes) =>
        Promise.resolve(new Uint8Array(bytesOf(objects.put(prefix + key, sizeBytes)))),
      delete: (key) => {
        objects.delete(prefix + key);
        return Promise.resolve();
      },
      [Symbol.asyncDispose]: async () => {
        await store.close();
        await server.close();
      },
    };
  };
}

const anyKeys: readonly string[] = [...ODD_KEYS, ...S3_ONLY_ODD_KEYS];
testUnderStore({ name: 'memory', open: openMemory, oddKeys: anyKeys, isNesting: true });
testUnderStore({ name: 'file', open: openFile, oddKeys: ODD_KEYS, isNesting: false });
testUnderStore({ name: 's3 bucket', open: openS3(''), oddKeys: anyKeys, isNesting: true });
testUnderStore({
  name: 's3 prefix',
  open: openS3('some/root/'),
  oddKeys: anyKeys,
  isNesting: true,
});
