/**
 * Power cuts of a whole cluster while it loads. Its data lies on a file system in an image file;
 * at a random instant the peers are stopped and the image is copied as it lies there, without what
 * the kernel had not written yet: that is what a power cut leaves. Every copy is examined, and every
 * few cuts the peers are killed, the copy takes the place of the disk, and they go on from it.
 *
 * POWER_CUTS and POWER_CUT_SEED choose how many cuts, and when.
 */
import { execFile } from 'node:child_process';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { LevelFileCatalog } from '../../src/cache/io/level-file-catalog.ts';
import { openFileSegmentStore } from '../../src/cache/io/open-file-segment-store.ts';
import { openFileLogStorage } from '../../src/raft/io/file-log-storage.ts';
import { expectBytes, expectExactAccounting, metricOf } from '../fault/expect.ts';
import type { Load } from '../fault/load.ts';
import { SEGMENT_BYTES, Stage, type FileSet } from '../fault/stage.ts';
import { wallClock } from '../cache/support/wall-clock.ts';
import { requires } from '../support/requires.ts';
import { mountMissing, Volume } from './support/disk-tools.ts';

const run = promisify(execFile);
const CUT_COUNT = Number(process.env['POWER_CUTS'] ?? 20);
const SEED = Number(process.env['POWER_CUT_SEED'] ?? 20261129);
/** Every so many cuts the cluster goes on from the copy. */
const GO_ON_EVERY = 5;
const REGION_BYTES = 1024 * 1024;
const CAPACITY_BYTES = 32 * REGION_BYTES;
const ORIGIN = 's3://origin/';

/** What was promised before the cut. */
interface Promised {
  readonly jobs: readonly string[];
  /** Jobs that had succeeded, and what they loaded. */
  readonly succeeded: readonly { readonly id: string; readonly files: FileSet }[];
  /** By peer: the term that it had shown. */
  readonly terms: readonly number[];
}

class Tally {
  cutCount = 0;
  wentOnCount = 0;
  /** Copies that changed while they were made: no instant, so no power cut. */
  discardedCount = 0;
  /** Cuts that lost a file that had been written and not synced. */
  lostCount = 0;
  jobCount = 0;
  segmentCount = 0;
  tornCount = 0;
}

/** The image as it lies on the disk at one instant; undefined when it moved meanwhile. */
async function copyOf(volume: Volume): Promise<string | undefined> {
  const copy = join(volume.folder, 'cut.img');
  await run('cp', ['--sparse=always', volume.imagePath, copy]);
  const isSame = await run('cmp', ['-s', volume.imagePath, copy]).then(
    () => true,
    () => false,
  );
  return isSame ? copy : undefined;
}

/** A file that nobody synced: the proof that the cut takes such things away. */
async function writeUnsynced(volume: Volume, number: number): Promise<string> {
  const name = `unsynced-${number}`;
  const file = await open(join(volume.path, name), 'w');
  await file.write('x'.repeat(10_000));
  await file.close();
  return name;
}

/** What a peer's data directory holds after the cut, read by the storage classes themselves. */
async function examine(
  t: ExecutionContext,
  folder: string,
  stage: Stage,
  found: { readonly paths: Map<string, Set<number>>; readonly logs: string[]; tally: Tally },
): Promise<number> {
  const log = await openFileLogStorage(join(folder, 'raft'), {
    ...silentLogger,
    warn: () => found.tally.tornCount++,
  });
  const image = await log.load();
  await log.close();
  found.logs.push(JSON.stringify(image));
  const catalog = await LevelFileCatalog.open(join(folder, 'catalog'));
  await catalog.close();
  const cache = join(folder, 'cache');
  let usedBytes = 0;
  for (const name of await readdir(cache).catch(() => [])) {
    usedBytes += (await stat(join(cache, name))).blocks * 512;
  }
  // Sidecars and the last blocks of files come on top.
  t.true(usedBytes <= CAPACITY_BYTES * 1.1, `${usedBytes} bytes of cache files`);
  const store = await openFileSegmentStore({
    directories: [{ path: cache, capacityBytes: CAPACITY_BYTES }],
    regionSizeBytes: REGION_BYTES,
    clock: wallClock,
    logger: silentLogger,
  });
  for await (const { key, lengthBytes } of store.segments()) {
    const reader = await store.open(key);
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader?.read(0, lengthBytes) ?? []) chunks.push(chunk);
    reader?.close();
    const expected = stage.origin.expectedBytes(
      key.path.slice(ORIGIN.length),
      key.index * SEGMENT_BYTES,
      lengthBytes,
    );
    if (!Buffer.concat(chunks).equals(expected)) t.fail(`wrong bytes: ${JSON.stringify(key)}`);
    const indexes = found.paths.get(key.path) ?? new Set();
    found.paths.set(key.path, indexes.add(key.index));
    found.tally.segmentCount++;
  }
  await store.close();
  return image?.hardState.term ?? 0;
}

/** S4 S5 S7 S8: what the disks hold after a cut of all peers at once. */
async function examineCopy(
  t: ExecutionContext,
  copy: Volume,
  context: { stage: Stage; promised: Promised; tally: Tally },
): Promise<void> {
  const { stage, promised, tally } = context;
  const found = { paths: new Map<string, Set<number>>(), logs: [] as string[], tally };
  for (const [index, shown] of promised.terms.entries()) {
    const term = await examine(t, join(copy.path, `peer-${index}`), stage, found);
    t.true(term >= shown, `peer ${index} had shown term ${shown} and came back with ${term}`);
  }
  for (const id of promised.jobs) {
    const count = found.logs.filter((log) => log.includes(id)).length;
    t.true(count >= 2, `acknowledged job ${id} is in ${count} of ${found.logs.length} logs`);
    tally.jobCount++;
  }
  for (const { id, files } of promised.succeeded) {
    for (const key of files.keys) {
      const sizeBytes = stage.origin.objects.find(key)?.sizeBytes ?? 0;
      const segments = found.paths.get(`${ORIGIN}${key}`)?.size ?? 0;
      t.is(segments, Math.ceil(sizeBytes / SEGMENT_BYTES), `${key} of succeeded job ${id}`);
    }
  }
}

requires(mountMissing())('power cuts: what was acknowledged is there', async (t) => {
  t.timeout(600_000);
  t.log(`POWER_CUTS=${CUT_COUNT} POWER_CUT_SEED=${SEED}`);
  const random = new SeededRandom(SEED);
  await using volume = await Volume.inFile(320);
  await using stage = await Stage.open({
    cacheCapacity: `${CAPACITY_BYTES}`,
    folderOf: () => volume.path,
    env: { RINGLOAD_CACHE_REGION_SIZE_BYTES: REGION_BYTES },
  });
  const { cluster } = stage;
  const tally = new Tally();
  const loads: Load[] = [];
  const succeeded: { id: string; files: FileSet }[] = [];
  stage.slowReads(15);
  while (tally.cutCount < CUT_COUNT) {
    // One load after the other: the cache holds three of them and evicts none that is checked.
    const files = stage.addFiles({ count: 6 });
    const load = await stage.load(files, { replicas: 1 + (loads.length % 2) });
    loads.push(load);
    for (let isOver = false; !isOver && tally.cutCount < CUT_COUNT;) {
      await delay(20 + random.next() * 250);
      const status = await load.status();
      isOver =
        status.state !== 'RUNNING' && status.state !== 'VERIFYING' && status.state !== 'WAITING';
      if (status.state === 'SUCCEEDED') succeeded.push({ id: load.id, files });
      const promised: Promised = {
        jobs: loads.map(({ id }) => id),
        succeeded: succeeded.slice(-3),
        terms: await Promise.all(cluster.peers.map((peer) => metricOf(peer, 'ringload_raft_term'))),
      };
      const unsynced = await writeUnsynced(volume, tally.cutCount);
      for (const peer of cluster.peers) peer.pause();
      const copy = await copyOf(volume);
      if (copy === undefined) {
        for (const peer of cluster.peers) peer.resume();
        tally.discardedCount++;
        continue;
      }
      tally.cutCount++;
      const goesOn = tally.cutCount % GO_ON_EVERY === 0;
      if (goesOn) {
        // Killed while they are stopped: not one more write gets out.
        for (const peer of cluster.peers) await peer.kill();
        await volume.unmount();
        await run('cp', ['--sparse=always', copy, volume.imagePath]);
        await volume.mount();
      } else {
        for (const peer of cluster.peers) peer.resume();
      }
      {
        await using cut = await Volume.of(copy);
        const left = await stat(join(cut.path, unsynced)).catch(() => undefined);
        if (left?.size !== 10_000) tally.lostCount++;
        await examineCopy(t, cut, { stage, promised, tally });
      }
      if (!goesOn) continue;
      tally.wentOnCount++;
      for (const peer of cluster.peers) await peer.start();
      for (const peer of cluster.peers) await peer.waitReady(60_000);
      for (const { id } of loads) {
        const after = await cluster.waitFor(async () => {
          const answer = await cluster.status(id);
          return answer?.stale === false ? answer : undefined;
        }, `job ${id} to be known after the cut`);
        if (succeeded.some((each) => each.id === id)) t.is(after.state, 'SUCCEEDED');
      }
    }
    const ended = await load.succeeds();
    expectExactAccounting(t, load, ended);
    await expectBytes(t, stage, files.keys);
    if (!succeeded.some(({ id }) => id === load.id)) succeeded.push({ id: load.id, files });
  }
  t.log(
    `${tally.cutCount} power cuts (${tally.wentOnCount} gone on from), ${tally.lostCount} lost what was not synced, ` +
      `${tally.discardedCount} copies discarded; ${loads.length} jobs, found ${tally.jobCount} times; ` +
      `${tally.segmentCount} segments read, 0 wrong; ${tally.tornCount} torn log tails`,
  );
  t.true(tally.lostCount > 0, 'the cuts lose what was not synced');
});
