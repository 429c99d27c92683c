import { execFile } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import test from 'ava';

import { FileUnderStore } from '../../../src/ufs/io/file-under-store.ts';
import { FileWalk } from '../../../src/ufs/io/file-walk.ts';
import { codeOf, listAll, read } from '../../conformance/under-store.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const never = new AbortController().signal;

class Folder implements AsyncDisposable {
  readonly top: string;
  readonly mount: string;
  readonly root: string;
  readonly store: FileUnderStore;

  private constructor(top: string) {
    this.top = top;
    this.mount = join(top, 'mount');
    this.root = `file://${this.mount}`;
    this.store = new FileUnderStore({ path: this.root }, ufsDependencies());
  }

  static async open(): Promise<Folder> {
    const folder = new Folder(await mkdtemp(join(tmpdir(), 'ringload-file-')));
    await mkdir(folder.mount);
    return folder;
  }

  async list(): Promise<readonly string[]> {
    const objects = await listAll(this.store, this.root, 3);
    return objects.map(({ path }) => path.slice(this.root.length + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await rm(this.top, { recursive: true });
  }
}

test('file store: symbolic links are neither listed nor followed', async (t) => {
  await using folder = await Folder.open();
  await mkdir(join(folder.top, 'outside'));
  await writeFile(join(folder.top, 'outside/secret'), 'secret');
  await writeFile(join(folder.mount, 'real'), 'real');
  await symlink(join(folder.top, 'outside'), join(folder.mount, 'directory-link'));
  await symlink(join(folder.top, 'outside/secret'), join(folder.mount, 'file-link'));
  await symlink(join(folder.mount, 'real'), join(folder.mount, 'inner-link'));
  await symlink(join(folder.mount, 'nothing'), join(folder.mount, 'dangling'));
  t.deepEqual(await folder.list(), ['real']);
  for (const key of ['directory-link/secret', 'file-link', 'inner-link']) {
    t.is(await codeOf(folder.store.stat(`${folder.root}/${key}`, never)), 'ufs_forbidden', key);
    const object = { path: `${folder.root}/${key}`, version: 'x', sizeBytes: 6, mtimeMs: 0 };
    t.is(await codeOf(read(folder.store, object, 0, 6)), 'ufs_forbidden', key);
  }
  const listing = folder.store.list({ root: `${folder.root}/directory-link`, limit: 9 }, never);
  t.is(await codeOf(listing), 'ufs_forbidden');
});

test('file store: the mount itself may be a symbolic link', async (t) => {
  await using folder = await Folder.open();
  await writeFile(join(folder.mount, 'f'), 'abc');
  await symlink(folder.mount, join(folder.top, 'link'));
  const root = `file://${join(folder.top, 'link')}`;
  const store = new FileUnderStore({ path: root }, ufsDependencies());
  const [object] = await listAll(store, root, 5);
  if (!object) return t.fail('nothing listed');
  t.is(object.path, `${root}/f`);
  t.is(Buffer.from(await read(store, object, 0, 3)).toString(), 'abc');
  return undefined;
});

test('file store: only regular files exist', async (t) => {
  await using folder = await Folder.open();
  await mkdir(join(folder.mount, 'directory'));
  await promisify(execFile)('mkfifo', [join(folder.mount, 'fifo')]);
  t.deepEqual(await folder.list(), []);
  t.is(await codeOf(folder.store.stat(`${folder.root}/directory`, never)), 'ufs_not_found');
  t.is(await codeOf(folder.store.stat(`${folder.root}/fifo`, never)), 'ufs_not_found');
});

test('file store: paths outside the mount are refused', async (t) => {
  await using folder = await Folder.open();
  t.is(await codeOf(folder.store.stat('file:///etc/hostname', never)), 'path_not_mounted');
  t.is(await codeOf(folder.store.stat(`${folder.root}/../x`, never)), 'invalid_argument');
  t.is(await codeOf(folder.store.stat(`${folder.root}-other/x`, never)), 'path_not_mounted');
});

for (const [how, change] of [
  ['appended to', (path: string) => appendFile(path, 'more')],
  ['truncated', (path: string) => truncate(path, 1_000)],
  ['replaced', (path: string) => writeFile(path, Buffer.alloc(1024 * 1024, 2))],
  [
    'removed and written again',
    async (path: string) => {
      await rm(path);
      await writeFile(path, Buffer.alloc(1024 * 1024, 3));
    },
  ],
] as const) {
  test(`file store: a file that is ${how} during a read is never given out in full`, async (t) => {
    await using folder = await Folder.open();
    const path = join(folder.mount, 'f');
    await writeFile(path, Buffer.alloc(1024 * 1024, 1));
    const object = await folder.store.stat(`${folder.root}/f`, never);
    const request = { ...object, offset: 0, length: object.sizeBytes };
    const received: Uint8Array[] = [];
    const reading = (async () => {
      for await (const chunk of folder.store.readRange(request, never)) {
        received.push(chunk);
        if (received.length === 1) await change(path);
      }
    })();
    const code = await codeOf(reading);
    if (how === 'removed and written again') {
      // The open file is still the old one, in full.
      t.is(code, undefined);
      t.true(Buffer.concat(received).equals(Buffer.alloc(1024 * 1024, 1)));
    } else {
      t.is(code, 'ufs_changed');
      t.true(Buffer.concat(received).length < object.sizeBytes);
    }
    t.is(await codeOf(read(folder.store, object, 0, 10)), 'ufs_changed');
  });
}

test('file store: a name that is not UTF-8 fails the listing clearly', async (t) => {
  await using folder = await Folder.open();
  await writeFile(Buffer.concat([Buffer.from(`${folder.mount}/bad-`), Buffer.from([0xff])]), 'x');
  const error = await t.throwsAsync(folder.list(), { message: /not valid UTF-8: hex 6261642dff/ });
  t.truthy(error);
});

test('file store: a mount that does not exist lists nothing', async (t) => {
  await using folder = await Folder.open();
  const root = `${folder.root}/absent`;
  t.deepEqual(await folder.store.list({ root, limit: 5 }, never), { objects: [], done: true });
});

test('file walk: a directory larger than a chunk is walked in order, from any place', async (t) => {
  await using folder = await Folder.open();
  const names = [
    'a-/x',
    'a.txt',
    'a/1',
    'a/2',
    'a/b/c',
    'a0',
    'b',
    'c',
    'd',
    'e',
    'f',
    'g',
    'h',
    'i',
    'j',
  ].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
  for (const name of names) {
    const path = join(folder.mount, name);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, '');
  }
  const walked = async (after: string): Promise<string[]> => {
    const walk = new FileWalk(Buffer.from(folder.mount), after, 3);
    const found: string[] = [];
    for (let name = await walk.next(); name !== undefined; name = await walk.next()) {
      found.push(name);
    }
    return found;
  };
  t.deepEqual(await walked(''), names);
  for (const [index, name] of names.entries())
    t.deepEqual(await walked(name), names.slice(index + 1));
  t.deepEqual(await walked('a/b'), names.slice(names.indexOf('a/b/c')));
  t.deepEqual(await walked('zz'), []);
});
