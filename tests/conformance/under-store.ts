/**
 * What every under store promises, run unchanged on each implementation.
 *
 * The fixture decides on the contents, so that virtual objects can be checked too.
 */
import test from 'ava';

import { RingloadError } from '../../src/base/errors.ts';
import { comparePaths } from '../../src/ufs/path.ts';
import type { ListPage, UfsObject, UnderStore } from '../../src/ufs/under-store.ts';

export interface UnderStoreFixture extends AsyncDisposable {
  readonly store: UnderStore;
  /** Canonical path of an empty directory. */
  readonly root: string;
  /** Creates or replaces `root/key` and returns its bytes. */
  put(key: string, sizeBytes: number): Promise<Uint8Array>;
  delete(key: string): Promise<void>;
}

export interface UnderStoreSuite {
  readonly name: string;
  readonly open: () => Promise<UnderStoreFixture>;
  readonly oddKeys: readonly string[];
  /** Whether `a` and `a/b` can both exist: not in a file system. */
  readonly isNesting: boolean;
}

const SEGMENT_BYTES = 64 * 1024;
const never = new AbortController().signal;

export function testUnderStore({ name, open, oddKeys, isNesting }: UnderStoreSuite): void {
  test(`${name}: odd keys are listed in UTF-8 order, found and read byte for byte`, async (t) => {
    await using fixture = await open();
    const contents = new Map<string, Uint8Array>();
    for (const [index, key] of oddKeys.entries()) {
      contents.set(`${fixture.root}/${key}`, await fixture.put(key, 10 + index));
    }
    const listed = await listAll(fixture.store, fixture.root, 7);
    t.deepEqual(
      listed.map(({ path }) => path),
      [...contents.keys()].sort(comparePaths),
    );
    for (const object of listed) {
      t.deepEqual(withoutMtime(await fixture.store.stat(object.path, never)), withoutMtime(object));
      t.deepEqual(await readAll(fixture.store, object), contents.get(object.path), object.path);
    }
  });

  test(`${name}: files of every size around a segment are read in whole and in parts`, async (t) => {
    await using fixture = await open();
    const sizes = [1, 2, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES];
    for (const sizeBytes of [...sizes, 1_000_003]) {
      const content = await fixture.put(`size/${sizeBytes}`, sizeBytes);
      const object = await fixture.store.stat(`${fixture.root}/size/${sizeBytes}`, never);
      t.is(object.sizeBytes, sizeBytes);
      t.deepEqual(await readAll(fixture.store, object), content);
      for (let offset = 0; offset < sizeBytes; offset += SEGMENT_BYTES) {
        const length = Math.min(SEGMENT_BYTES, sizeBytes - offset);
        const part = await read(fixture.store, object, offset, length);
        t.deepEqual(part, content.slice(offset, offset + length));
      }
      t.deepEqual(await read(fixture.store, object, sizeBytes - 1, 1), content.slice(-1));
    }
  });

  test(`${name}: an empty file is listed and found`, async (t) => {
    await using fixture = await open();
    await fixture.put('empty', 0);
    const listed = await listAll(fixture.store, fixture.root, 10);
    const found = await fixture.store.stat(`${fixture.root}/empty`, never);
    t.is(found.sizeBytes, 0);
    t.deepEqual(listed.map(withoutMtime), [withoutMtime(found)]);
  });

  test(`${name}: a root is one file or all below it, never its namesakes`, async (t) => {
    await using fixture = await open();
    const keys = ['a-b', 'a.b/c', 'a/b', 'a/b-c', 'a/b.c', 'a0', 'ab/c', 'b'];
    for (const key of keys) await fixture.put(key, 3);
    const listed = async (key: string): Promise<string[]> => {
      const objects = await listAll(fixture.store, `${fixture.root}/${key}`, 2);
      return objects.map(({ path }) => path.slice(fixture.root.length + 1));
    };
    t.deepEqual(await listed('a'), ['a/b', 'a/b-c', 'a/b.c']);
    t.deepEqual(await listed('a/b'), ['a/b']);
    t.deepEqual(await listed('ab'), ['ab/c']);
    t.deepEqual(await listed('b'), ['b']);
    t.deepEqual(await listed('nothing'), []);
    t.deepEqual(await listed('a/nothing/below'), []);
  });

  if (isNesting) {
    test(`${name}: a file and what lies below its name are both at that root`, async (t) => {
      await using fixture = await open();
      for (const key of ['a', 'a-', 'a/', 'a//', 'a/b', 'ab']) await fixture.put(key, 1);
      for (const limit of [1, 2, 3, 1_000]) {
        const objects = await listAll(fixture.store, `${fixture.root}/a`, limit);
        const keys = objects.map(({ path }) => path.slice(fixture.root.length + 1));
        t.deepEqual(keys, ['a', 'a/', 'a//', 'a/b'], `pages of ${limit}`);
      }
    });
  }

  test(`${name}: a cursor goes on exactly behind it, whatever the page size`, async (t) => {
    await using fixture = await open();
    const keys = [
      'd-/x',
      'd.txt',
      'd/1',
      'd/1/2',
      'd/10',
      'd/2',
      'd/e-/y',
      'd/e/f',
      'd/e0',
      'd0',
      'é',
    ];
    const kept = keys.filter((key) => key !== 'd/1');
    for (const key of kept) await fixture.put(key, 1);
    const all = (await listAll(fixture.store, fixture.root, 1_000)).map(({ path }) => path);
    t.deepEqual(all, kept.map((key) => `${fixture.root}/${key}`).sort(comparePaths));
    for (let limit = 1; limit <= kept.length + 1; limit++) {
      const paths = (await listAll(fixture.store, fixture.root, limit)).map(({ path }) => path);
      t.deepEqual(paths, all, `pages of ${limit}`);
    }
    for (const [index, after] of all.entries()) {
      const request = { root: fixture.root, after, limit: 1_000 };
      const page = await fixture.store.list(request, never);
      t.deepEqual(
        page.objects.map(({ path }) => path),
        all.slice(index + 1),
        `after ${after}`,
      );
      t.true(page.done);
    }
    const between = { root: fixture.root, after: `${fixture.root}/d/10zzz`, limit: 1_000 };
    t.is((await fixture.store.list(between, never)).objects[0]?.path, `${fixture.root}/d/2`);
    const before = { root: `${fixture.root}/d`, after: fixture.root, limit: 1_000 };
    t.is((await fixture.store.list(before, never)).objects[0]?.path, `${fixture.root}/d/1/2`);
    const behind = { root: `${fixture.root}/d`, after: `${fixture.root}/e`, limit: 1_000 };
    t.deepEqual((await fixture.store.list(behind, never)).objects, []);
  });

  test(`${name}: more than a thousand files take several pages, none lost, none twice`, async (t) => {
    await using fixture = await open();
    const count = 2_050;
    for (let i = 0; i < count; i++) await fixture.put(`many/${i % 3}/${i}`, 1);
    const objects = await listAll(fixture.store, `${fixture.root}/many`, 1_000);
    t.is(objects.length, count);
    t.is(new Set(objects.map(({ path }) => path)).size, count);
  });

  test(`${name}: a changed file is refused by its old version and read by its new one`, async (t) => {
    await using fixture = await open();
    await fixture.put('file', 1_000);
    const old = await fixture.store.stat(`${fixture.root}/file`, never);
    const content = await fixture.put('file', 1_000);
    t.is(await codeOf(read(fixture.store, old, 0, 10)), 'ufs_changed');
    const now = await fixture.store.stat(`${fixture.root}/file`, never);
    t.not(now.version, old.version);
    t.deepEqual(await readAll(fixture.store, now), content);
    await fixture.put('file', 999);
    t.is(await codeOf(read(fixture.store, now, 0, 10)), 'ufs_changed');
  });

  test(`${name}: what does not exist is ufs_not_found for stat and read, empty for list`, async (t) => {
    await using fixture = await open();
    await fixture.put('file', 5);
    const object = await fixture.store.stat(`${fixture.root}/file`, never);
    await fixture.delete('file');
    t.is(await codeOf(fixture.store.stat(object.path, never)), 'ufs_not_found');
    t.is(await codeOf(read(fixture.store, object, 0, 5)), 'ufs_not_found');
    t.like(await fixture.store.list({ root: object.path, limit: 10 }, never), {
      objects: [],
      done: true,
    });
  });

  test(`${name}: an aborted call is cancelled before and in the middle of a read`, async (t) => {
    await using fixture = await open();
    await fixture.put('file', 4 * 1024 * 1024);
    const object = await fixture.store.stat(`${fixture.root}/file`, never);
    const aborted = AbortSignal.abort();
    t.is(await codeOf(fixture.store.stat(object.path, aborted)), 'cancelled');
    t.is(await codeOf(fixture.store.list({ root: fixture.root, limit: 1 }, aborted)), 'cancelled');
    t.is(await codeOf(read(fixture.store, object, 0, 5, aborted)), 'cancelled');

    const controller = new AbortController();
    const whole = { ...object, offset: 0, length: object.sizeBytes };
    const reading = (async () => {
      for await (const chunk of fixture.store.readRange(whole, controller.signal)) {
        t.true(chunk.length > 0);
        controller.abort();
      }
    })();
    t.is(await codeOf(reading), 'cancelled');
  });

  test(`${name}: a consumer that stops early leaves the store usable`, async (t) => {
    await using fixture = await open();
    const content = await fixture.put('file', 1024 * 1024);
    const object = await fixture.store.stat(`${fixture.root}/file`, never);
    const whole = { ...object, offset: 0, length: object.sizeBytes };
    for (let i = 0; i < 5; i++) {
      for await (const chunk of fixture.store.readRange(whole, never)) {
        t.true(chunk.length > 0);
        break;
      }
    }
    t.deepEqual(await readAll(fixture.store, object), content);
  });
}

function withoutMtime({ path, sizeBytes, version }: UfsObject): Omit<UfsObject, 'mtimeMs'> {
  return { path, sizeBytes, version };
}

export async function listAll(
  store: UnderStore,
  root: string,
  limit: number,
): Promise<readonly UfsObject[]> {
  const objects: UfsObject[] = [];
  let page: ListPage | undefined;
  while (page?.done !== true) {
    const after = page?.cursor;
    if (page && after === undefined) throw new Error('a page that is not the last has no cursor');
    page = await store.list(after === undefined ? { root, limit } : { root, after, limit }, never);
    if (page.objects.length > limit) throw new Error('a page is larger than its limit');
    objects.push(...page.objects);
  }
  return objects;
}

export async function read(
  store: UnderStore,
  object: UfsObject,
  offset: number,
  length: number,
  signal: AbortSignal = never,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const { path, version, sizeBytes } = object;
  const request = { path, version, sizeBytes, offset, length };
  for await (const chunk of store.readRange(request, signal)) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

function readAll(store: UnderStore, object: UfsObject): Promise<Uint8Array> {
  return read(store, object, 0, object.sizeBytes);
}

/** Code of the RingloadError that a call rejects with; undefined when it succeeds. */
export async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (thrown) {
    return thrown instanceof RingloadError ? thrown.code : `not classed: ${String(thrown)}`;
  }
}
