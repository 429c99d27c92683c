/** Loads from a server that none of us wrote, judged by what that server was asked for. */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { ObjectSet, bytesOf, type VirtualObject } from '../../../src/sample/object-set.ts';
import { comparePaths } from '../../../src/ufs/path.ts';
import { requires } from '../../support/requires.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { BUCKET, LOCKED_BUCKET, LoadWorld } from './load-world.ts';
import type { RealStore } from './real-store.ts';

export interface LoadSuite {
  readonly name: string;
  readonly missing: string | undefined;
  readonly start: () => Promise<RealStore>;
  /** Keys that this server stores under exactly these names, and lists in the order of S3. */
  readonly oddKeys: readonly string[];
  readonly smallCount: number;
  readonly largeCount: number;
}

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 64 * 1024;
const KEY_MAX_BYTES = 1_024;

/** Declares the suite and gives access to its world, for further tests of that server. */
export function testLoads(suite: LoadSuite): () => LoadWorld {
  const { name, missing } = suite;
  const declare = requires(missing);
  let world: LoadWorld;

  if (missing === undefined) {
    test.before(async (t) => {
      t.timeout(120_000);
      world = await LoadWorld.open(await suite.start());
    });
    test.after.always(() => world?.[Symbol.asyncDispose]());
  }

  declare(
    `${name}: ${suite.smallCount} small and ${suite.largeCount} large objects leave the server once`,
    async (t) => {
      t.timeout(480_000);
      const objects = mixedObjects(suite);
      const totalBytes = sum(objects);
      await world.uploader.putAll(objects);
      const request = { path: world.path('mix'), replicas: 2 };

      const { result: job, ...origin } = await world.originReadsOf(() => world.load(request));
      t.is(job.state, 'SUCCEEDED', JSON.stringify(job.failure));
      t.is(job.amplification, 1);
      t.like(job.counters, {
        listedFiles: objects.length,
        loadedFiles: objects.length,
        failedFiles: 0,
        loadedBytes: totalBytes,
        ufsBytes: totalBytes,
        replicaBytes: 2 * totalBytes,
      });
      // More where a helper fetched for an owner that did not keep pace, which then copied it.
      t.true(job.counters.copiedBytes >= totalBytes, `${job.counters.copiedBytes} bytes copied`);
      t.is(origin.bytes, totalBytes, 'bytes that left the server');
      t.deepEqual(origin.repeated, []);

      const reading = await world.originReadsOf(async () => {
        for (const peer of world.cluster.peers) {
          t.deepEqual(await world.damagedOn(peer, objects), [], `through peer ${peer.index}`);
        }
      });
      t.is(reading.reads, 0, 'what is loaded is not read from the server again');

      const again = await world.originReadsOf(() => world.load(request));
      t.is(again.result.state, 'SUCCEEDED');
      t.is(again.reads, 0);
    },
  );

  declare(`${name}: odd keys and sizes around a segment are loaded and read`, async (t) => {
    t.timeout(120_000);
    const objects = oddObjects(suite.oddKeys);
    await world.uploader.putAll(objects);
    // The suite's list of keys is what the server stores under these very names.
    const keys = objects.map(({ key }) => key).sort(comparePaths);
    t.deepEqual(await listedKeys(world, 'odd/'), keys);

    const request = { path: world.path('odd'), replicas: 2, segmentSize: SEGMENT_BYTES };
    const { result: job, ...origin } = await world.originReadsOf(() => world.load(request));
    t.is(job.state, 'SUCCEEDED', JSON.stringify(job.failure));
    t.is(job.counters.loadedFiles, objects.length);
    t.is(job.amplification, 1);
    t.is(origin.bytes, sum(objects));
    t.deepEqual(origin.repeated, []);
    for (const peer of world.cluster.peers) {
      t.deepEqual(await world.damagedOn(peer, objects), [], `through peer ${peer.index}`);
    }
  });

  declare(`${name}: an object that changed since it was loaded is loaded anew`, async (t) => {
    t.timeout(60_000);
    const objects = new ObjectSet();
    const path = world.path('changing');
    const former = objects.put('changing/file', 3 * SEGMENT_BYTES + 7);
    await world.uploader.putAll([former]);
    const request = { path, replicas: 2, segmentSize: SEGMENT_BYTES };
    t.is((await world.load(request)).state, 'SUCCEEDED');
    const current = objects.put('changing/file', 2 * SEGMENT_BYTES);
    await world.uploader.putAll([current]);
    const job = await world.load(request);
    t.is(job.state, 'SUCCEEDED');
    t.is(job.counters.loadedFiles, 1);
    for (const peer of world.cluster.peers) {
      t.deepEqual(await world.damagedOn(peer, [current]), []);
    }
  });

  declare(`${name}: the command line loads, lists and reads`, async (t) => {
    t.timeout(120_000);
    const objects = [...new ObjectSet(CLI_FILES).following('')];
    await world.uploader.putAll(objects);
    const path = world.path('cli');

    const load = await world.cli('load', path, '--replicas', '2', '--json');
    t.is(load.exitCode, 0, load.stderr);
    const list = await world.cli('ls', path);
    t.deepEqual(
      list.stdout.trimEnd().split('\n'),
      objects.map(({ key }) => world.path(key)),
    );
    for (const object of objects) {
      const whole = await world.cli('cat', world.path(object.key));
      t.true(whole.bytes.equals(bytesOf(object)), object.key);
    }
    const [, big] = objects as [VirtualObject, VirtualObject];
    const range = await world.cli('cat', world.path(big.key), '--range', '8388600-8388615');
    t.true(range.bytes.equals(bytesOf(big, 8_388_600, 16)));

    await using folder = await tempFolder('get');
    const target = join(folder.path, 'copy');
    await mkdir(target);
    const get = await world.cli('get', '-r', path, target);
    t.is(get.exitCode, 0, get.stderr);
    const copied = (await readdir(target, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(target.length + 1));
    t.deepEqual(
      copied.sort(comparePaths),
      objects.map(({ key }) => key.slice('cli/'.length)),
    );
    for (const object of objects) {
      const bytes = await readFile(join(target, object.key.slice('cli/'.length)));
      t.true(bytes.equals(bytesOf(object)), object.key);
    }
  });

  declare(`${name}: a wrong secret fails the load and tells nobody the secret`, async (t) => {
    t.timeout(60_000);
    const load = await world.cli('load', `s3://${LOCKED_BUCKET}/any`, '--json');
    t.not(load.exitCode, 0);
    t.regex(load.stdout + load.stderr, /ufs_credentials|ufs_forbidden/);
    t.notRegex(load.stdout + load.stderr + world.cluster.logs(), /not-the-secret/);
  });

  declare(`${name}: a path without objects fails the load`, async (t) => {
    t.timeout(60_000);
    const load = await world.cli('load', world.path('no/such'), '--json');
    t.not(load.exitCode, 0);
    t.regex(load.stdout + load.stderr, /ufs_not_found|not_found/);
  });

  return () => world;
}

const CLI_FILES: readonly (readonly [string, number])[] = [
  ['cli/Grüße 🙂.txt', 1_234],
  ['cli/big.bin', 9 * MIB + 5],
  ['cli/empty', 0],
  ['cli/sub/100%.csv', 77],
];

/** Small ones of every length up to 4 KiB and a bit, in several directories; large ones beside. */
function mixedObjects({ smallCount, largeCount }: LoadSuite): VirtualObject[] {
  const objects = new ObjectSet();
  for (let i = 0; i < smallCount; i++) {
    const number = String(i).padStart(5, '0');
    objects.put(`mix/small-${i % 7}/${number}.json`, (i * 37) % 4_200);
  }
  for (let i = 0; i < largeCount; i++) objects.put(`mix/large/part-${i}.bin`, 256 * MIB);
  return [...objects.following('')];
}

function oddObjects(keys: readonly string[]): VirtualObject[] {
  const objects = new ObjectSet();
  for (const [index, key] of keys.entries()) objects.put(fitted(`odd/${key}`), 1 + index);
  const sizes = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES];
  for (const size of sizes) objects.put(`odd/size-${size}`, size);
  return [...objects.following('')];
}

/** The longest keys of the set fill the limit by themselves. */
function fitted(key: string): string {
  return Buffer.byteLength(key) > KEY_MAX_BYTES ? key.slice(0, KEY_MAX_BYTES) : key;
}

async function listedKeys({ uploader }: LoadWorld, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await uploader.client.send(
      new ListObjectsV2Command({
        Bucket: BUCKET,
        Prefix: prefix,
        EncodingType: 'url',
        MaxKeys: 10,
        ...(ContinuationToken !== undefined && { ContinuationToken }),
      }),
    );
    for (const { Key = '' } of page.Contents ?? []) {
      keys.push(decodeURIComponent(Key.replaceAll('+', ' ')));
    }
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return keys;
}

function sum(objects: readonly VirtualObject[]): number {
  return objects.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}
