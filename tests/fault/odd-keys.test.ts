/**
 * Keys that break what treats them as paths, URLs, patterns, markup or property names: listed,
 * loaded, and read to the byte through REST and the command line, from an origin that breaks off.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { comparePaths } from '../../src/ufs/path.ts';
import { runInside } from '../cli/support/run-inside.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { expectLoaded, pathOf } from './expect.ts';
import { SEGMENT_BYTES, Stage, type FileSet } from './stage.ts';

const KEY_MAX_BYTES = 1_024;
/** Sizes at both sides of what decides how a file is kept. */
const SIZES = [0, 1, 77, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1];

let stage: Stage;
test.before(async () => {
  // Each run of the program in this process listens for signals, as a process of its own would.
  process.setMaxListeners(0);
  stage = await Stage.open({ peers: 2 });
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

/** The keys below a prefix, each with its content at the origin. */
function put(prefix: string, names: readonly string[]): FileSet {
  const keys = names.map((name, position) => {
    // The longest ones fill the limit by themselves.
    const key = Buffer.from(`${prefix}${name}`).subarray(0, KEY_MAX_BYTES).toString();
    stage.origin.objects.put(key, SIZES[position % SIZES.length] ?? 0);
    return key;
  });
  return { path: pathOf(prefix.slice(0, -1)), prefix, keys };
}

/** The command in this process, asking the peers in turn. */
async function ringload(t: ExecutionContext, ...words: readonly string[]): Promise<Buffer> {
  const peer = stage.cluster.peers[(words.join().length + words.length) % 2];
  const env = { RINGLOAD_PEER: new URL(peer?.restUrl ?? '').host };
  const { bytes, stderr, exitCode } = await runInside(words, { env });
  t.is(exitCode, 0, `${JSON.stringify(words)}: ${stderr}`);
  return bytes;
}

const json = async (t: ExecutionContext, ...words: readonly string[]): Promise<unknown> =>
  JSON.parse((await ringload(t, ...words, '--json')).toString());

test.serial(
  'odd keys: all of them are listed, loaded and read by REST and the command line',
  async (t) => {
    t.timeout(120_000);
    const data = put('odd/', [...ODD_KEYS, ...S3_ONLY_ODD_KEYS]);
    t.is(new Set(data.keys).size, ODD_KEYS.length + S3_ONLY_ODD_KEYS.length);
    let getCount = 0;
    stage.script({
      operation: 'get',
      when: () => ++getCount % 7 === 0,
      action: { kind: 'reset', at: 10 },
    });
    stage.origin.pageMaxKeys = 9;
    const load = await stage.load(data, { replicas: 2 });
    await load.succeeds();
    stage.calm();
    await expectLoaded(t, load);

    const paths = data.keys.map(pathOf).sort(comparePaths);
    const before = stage.origin.countOf('get');
    const listed = (await json(t, 'ls', data.path)) as { files: FileRecord[] };
    t.deepEqual(
      listed.files.map(({ path }) => path),
      paths,
    );
    const lines = (await ringload(t, 'ls', data.path)).toString().trimEnd().split('\n');
    t.is(lines.length, paths.length, 'one line for each, whatever is in the key');
    await using folder = await tempFolder('odd');
    for (const [position, key] of data.keys.entries()) {
      const path = pathOf(key);
      const expected = stage.origin.expectedBytes(key);
      t.like(await json(t, 'stat', path), { path, sizeBytes: expected.length, source: 'catalog' });
      t.true((await ringload(t, 'cat', path)).equals(expected), `cat ${path}`);
      const file = join(folder.path, String(position));
      await ringload(t, 'get', path, file);
      t.true((await readFile(file)).equals(expected), `get ${path}`);
    }
    t.is(stage.origin.countOf('get'), before, 'all of it came from the caches');
  },
);

test.serial(
  'odd keys: what a file system can name is fetched as a tree, the rest is refused',
  async (t) => {
    const data = put('tree/', ODD_KEYS);
    await (await stage.load(data)).succeeds();
    await using folder = await tempFolder('tree');
    await ringload(t, 'get', '-r', data.path, folder.path);
    const found = (await readdir(folder.path, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.path.length + 1));
    t.deepEqual(
      found.sort(comparePaths),
      data.keys.map((key) => key.slice(data.prefix.length)).sort(comparePaths),
    );

    const unsafe = put('unsafe/', ['../up', 'a/../b', '/leading', 'double//slash', '.']);
    await (await stage.load(unsafe)).succeeds();
    const peer = stage.cluster.peers[0];
    const env = { RINGLOAD_PEER: new URL(peer?.restUrl ?? '').host };
    const result = await runInside(['get', '-r', unsafe.path, folder.path], { env });
    t.not(result.exitCode, 0);
    t.is(
      (await readdir(folder.path, { recursive: true })).filter((name) => name === 'up').length,
      0,
    );
  },
);

test.serial(
  'odd keys: each is a path that can be loaded by itself, unless it is a pattern',
  async (t) => {
    const data = put('one/', [...ODD_KEYS, ...S3_ONLY_ODD_KEYS]);
    const [peer] = stage.cluster.peers;
    for (const key of data.keys) {
      const path = pathOf(key);
      const query = `path=${encodeURIComponent(path)}`;
      const submit = await fetch(`${peer?.restUrl}/v1/load?${query}&opType=submit`, {
        method: 'POST',
      });
      const text = await submit.text();
      if (submit.status === 400) {
        t.regex(text, /wildcard/, path);
        continue;
      }
      t.is(submit.status, 200, `${path}: ${text}`);
      const progress = await fetch(`${peer?.restUrl}/v1/load?${query}&opType=progress`);
      t.is(progress.status, 200, path);
      const stop = await fetch(`${peer?.restUrl}/v1/load?${query}&opType=stop`, { method: 'POST' });
      t.is(stop.status, 200, path);
    }
  },
);

/** Sizes around 32 bits and the largest that S3 allows, of objects that exist as formulas only. */
const HUGE_SIZES = [2 ** 32 - 1, 2 ** 32 + 1, 5 * 1024 ** 3 + 1, 50e12];

test.serial('odd sizes: objects up to 50 TB are described, and read at any place', async (t) => {
  const keys = HUGE_SIZES.map((sizeBytes) => {
    stage.origin.objects.put(`huge/${sizeBytes}`, sizeBytes);
    return `huge/${sizeBytes}`;
  });
  const path = pathOf('huge');
  const id = await stage.cluster.submit({ path, loadMetadataOnly: true, replicas: 2 });
  const { counters } = await stage.cluster.waitForState(id, 'SUCCEEDED');
  const total = HUGE_SIZES.reduce((sum, sizeBytes) => sum + sizeBytes, 0);
  t.like(counters, { listedFiles: keys.length, loadedFiles: keys.length, listedBytes: total });
  for (const [position, key] of keys.entries()) {
    const sizeBytes = HUGE_SIZES[position] ?? 0;
    t.like(await json(t, 'stat', pathOf(key)), { sizeBytes });
    for (const offset of [2 ** 31 - 5, 2 ** 32 - 11, Math.floor(sizeBytes / 2), sizeBytes - 10]) {
      const length = Math.min(10, sizeBytes - offset);
      const expected = stage.origin.expectedBytes(key, offset, length);
      const peer = stage.cluster.peers[(position + offset) % 2];
      const bytes = await peer?.api.readFile(pathOf(key), { offset, length });
      t.true(bytes?.equals(expected), `${key} from ${offset}`);
    }
    const range = `${sizeBytes - 10}-${sizeBytes - 1}`;
    const tail = stage.origin.expectedBytes(key, sizeBytes - 10, 10);
    t.true((await ringload(t, 'cat', pathOf(key), '--range', range)).equals(tail));
  }
});
