/** What every store that takes writes promises: memory, a directory, and S3 through the SDK. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { FileUnderStore } from '../../../src/ufs/io/file-under-store.ts';
import { S3UnderStore } from '../../../src/ufs/io/s3-under-store.ts';
import { MemoryUnderStore } from '../../../src/ufs/memory-under-store.ts';
import type { PutRequest, StoreWriter } from '../../../src/ufs/store-writer.ts';
import type { UnderStore } from '../../../src/ufs/under-store.ts';
import { KEY_ID, S3World, SECRET } from '../../s3/support.ts';
import { ODD_KEYS } from '../../support/odd-keys.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const never = new AbortController().signal;

/** What libraries print by themselves. */
const printed: string[] = [];
test.before(() => {
  console.warn = (...words: unknown[]) => {
    printed.push(words.join(' '));
  };
});
test.after('writers: nothing is printed, whatever fails', (t) => {
  t.deepEqual(printed, []);
});

interface Fixture extends AsyncDisposable {
  readonly store: UnderStore;
  readonly root: string;
  /** Where its bytes are, if not behind `readRange`. */
  readonly folder?: string;
}

async function openMemory(): Promise<Fixture> {
  const store = new MemoryUnderStore();
  store.takeWrites();
  return { store, root: 's3://b', [Symbol.asyncDispose]: () => store.close() };
}

async function openFile(): Promise<Fixture> {
  const folder = await mkdtemp(join(tmpdir(), 'ringload-writers-'));
  const root = `file://${folder}`;
  const store = new FileUnderStore({ path: root, writes: 'through' }, ufsDependencies());
  const dispose = async (): Promise<void> => {
    await store.close();
    await rm(folder, { recursive: true });
  };
  return { store, root, folder, [Symbol.asyncDispose]: dispose };
}

/** The endpoint of a peer is an S3 store, too. */
async function openS3(): Promise<Fixture> {
  const world = await S3World.open({ writable: true });
  const store = new S3UnderStore(
    {
      ...{ path: 's3://b', endpoint: world.endpoint, writes: 'through' },
      credentials: { kind: 'env', accessKeyIdName: 'ID', secretAccessKeyName: 'SECRET' },
    },
    ufsDependencies({ ID: KEY_ID, SECRET }),
  );
  const dispose = async (): Promise<void> => {
    await store.close();
    await world[Symbol.asyncDispose]();
  };
  return { store: withBytesOf(store, world), root: 's3://b', [Symbol.asyncDispose]: dispose };
}

/** Heads and writes over the wire, bytes from where they are kept. */
function withBytesOf(store: S3UnderStore, { reads }: S3World): UnderStore {
  return {
    ...(store.writer && { writer: store.writer }),
    list: (request, signal) => store.list(request, signal),
    stat: (path, signal) => store.stat(path, signal),
    readRange: (request, signal) => reads.under.readRange(request, signal),
    checksum: (object, signal) => store.checksum(object, signal),
    close: () => store.close(),
  };
}

async function bytesOf({ store, root }: Fixture, key: string): Promise<string> {
  const object = await store.stat(`${root}/${key}`, never);
  if (object.sizeBytes === 0) return '';
  const pieces: Uint8Array[] = [];
  const whole = { ...object, offset: 0, length: object.sizeBytes };
  for await (const piece of store.readRange(whole, never)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function writerOf({ store }: Fixture): StoreWriter {
  if (!store.writer) throw new Error('it takes no writes');
  return store.writer;
}

function put(
  fixture: Fixture,
  key: string,
  body: string | AsyncIterable<Uint8Array>,
  more: Partial<PutRequest> = {},
): Promise<unknown> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const sizeBytes = bytes instanceof Uint8Array ? bytes.length : 0;
  const request = { path: `${fixture.root}/${key}`, sizeBytes, body: bytes, fields: [], ...more };
  return writerOf(fixture).put(request, never);
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'done',
    (thrown: unknown) => (thrown instanceof RingloadError ? thrown.code : String(thrown)),
  );
}

async function* pieces(count: number, failure?: Error): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(64 * 1024, String(i % 10));
  if (failure) throw failure;
}

for (const [name, open] of [
  ['memory', openMemory],
  ['file', openFile],
  ['s3', openS3],
] as const) {
  test(`writers: ${name}: what was put is there, whatever its name, until it is deleted`, async (t) => {
    await using fixture = await open();
    const keys = ODD_KEYS.filter((key) => !key.endsWith('/'));
    for (const key of [...keys, 'deep/er/still/deeper']) {
      await put(fixture, key, `1 ${key}`);
      await put(fixture, key, key);
      t.is(await bytesOf(fixture, key), key);
    }
    await put(fixture, 'empty', '');
    t.is(await bytesOf(fixture, 'empty'), '');
    for (const key of [...keys, 'empty']) {
      await writerOf(fixture).delete(`${fixture.root}/${key}`, never);
      await writerOf(fixture).delete(`${fixture.root}/${key}`, never);
      t.is(await codeOf(fixture.store.stat(`${fixture.root}/${key}`, never)), 'ufs_not_found');
    }
  });

  test(`writers: ${name}: a body in pieces arrives whole, one that breaks not at all`, async (t) => {
    await using fixture = await open();
    await put(fixture, 'a', 'before');
    const sizeBytes = 40 * 64 * 1024;
    const broken = pieces(20, new RingloadError('cancelled', 'the client went away'));
    t.is(await codeOf(put(fixture, 'a', broken, { sizeBytes })), 'cancelled');
    t.is(await bytesOf(fixture, 'a'), 'before');
    await put(fixture, 'a', pieces(40), { sizeBytes });
    const { sizeBytes: found } = await fixture.store.stat(`${fixture.root}/a`, never);
    t.is(found, sizeBytes);
    const { objects } = await fixture.store.list({ root: fixture.root, limit: 10 }, never);
    t.is(objects.length, 1, 'nothing is left of what broke');
  });

  test(`writers: ${name}: what must be new is written once`, async (t) => {
    await using fixture = await open();
    const fields = [['if-none-match', '*']] as const;
    const tries = ['one', 'two', 'three'].map((text) =>
      codeOf(put(fixture, 'a', text, { fields })),
    );
    t.deepEqual((await Promise.all(tries)).sort(), ['done', 'ufs_changed', 'ufs_changed']);
  });

  test(`writers: ${name}: what is cancelled before it begins does nothing`, async (t) => {
    await using fixture = await open();
    const aborted = AbortSignal.abort();
    const request = { path: `${fixture.root}/a`, sizeBytes: 1, body: Buffer.from('x'), fields: [] };
    t.is(await codeOf(writerOf(fixture).put(request, aborted)), 'cancelled');
    t.is(await codeOf(fixture.store.stat(`${fixture.root}/a`, never)), 'ufs_not_found');
  });
}

test('writers: file: nothing is written through links, or outside, or over a directory', async (t) => {
  await using fixture = await openFile();
  await using outside = await openFile();
  const { folder = '' } = fixture;
  await writeFile(join(outside.folder ?? '', 'kept'), 'kept');
  await symlink(outside.folder ?? '', join(folder, 'link'));
  await mkdir(join(folder, 'dir'));
  await put(fixture, 'file', 'x');
  for (const [key, code] of [
    ['link/new', 'ufs_forbidden'],
    ['link/deep/new', 'ufs_forbidden'],
    ['dir', 'invalid_argument'],
    ['file/below', 'invalid_argument'],
    ['../new', 'invalid_argument'],
    ['.ringload-unfinished-x', 'invalid_argument'],
  ] as const) {
    t.is(await codeOf(put(fixture, key, 'x')), code, key);
  }
  const remove = (key: string) => writerOf(fixture).delete(`${fixture.root}/${key}`, never);
  t.is(await codeOf(remove('link/kept')), 'ufs_forbidden');
  t.is(await codeOf(remove('link')), 'done');
  t.is(await codeOf(remove('dir')), 'done');
  t.deepEqual(await readdir(outside.folder ?? ''), ['kept']);
  t.deepEqual((await readdir(folder)).sort(), ['dir', 'file', 'link']);
  t.is((await readFile(join(folder, 'file'))).toString(), 'x');
  const md5 = [['content-md5', 'AAAAAAAAAAAAAAAAAAAAAA==']] as const;
  t.is(await codeOf(put(fixture, 'file', 'y', { fields: md5 })), 'ufs_corrupt');
  t.is(await bytesOf(fixture, 'file'), 'x');
});
