/** Damage to a small write-ahead log at every byte: a torn tail is cut off, all else is refused. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { logIndex, term } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { openFileLogStorage } from '../../src/raft/io/file-log-storage.ts';
import type { LogFile, LogFiles } from '../../src/raft/log-files.ts';
import type { LogImage } from '../../src/raft/log-storage.ts';
import { HEADER_BYTES, encodeRecord, scanSegment } from '../../src/raft/wal-format.ts';
import { WalLogStorage } from '../../src/raft/wal-log-storage.ts';
import { SEGMENT, load } from './one-segment.ts';
import { entry, image, temporaryFolder } from './support.ts';

interface Sample {
  readonly bytes: Uint8Array;
  /** Where each record begins, and the end of the file. */
  readonly offsets: readonly number[];
  /** The image after each record. */
  readonly images: readonly LogImage[];
}

async function sample(t: ExecutionContext): Promise<Sample> {
  const folder = await temporaryFolder(t);
  const storage = await openFileLogStorage(folder, silentLogger);
  await storage.load();
  await storage.replaceWith(image({ snapshotIndex: 1 }));
  for (let index = 2; index < 6; index++) {
    const hardState = { term: term(3), vote: undefined, commit: logIndex(index - 1) };
    await storage.persist({ hardState, entries: [entry(index, 3)], mustSync: true });
  }
  await storage.close();
  const bytes = new Uint8Array(await readFile(join(folder, SEGMENT)));
  const { payloads } = scanSegment(bytes);
  const offsets = [0];
  for (const payload of payloads) {
    offsets.push((offsets.at(-1) ?? 0) + HEADER_BYTES + Buffer.byteLength(payload));
  }
  const images: LogImage[] = [];
  for (const end of offsets.slice(1)) {
    const loaded = await load(bytes.slice(0, end));
    if (loaded.image) images.push(loaded.image);
  }
  return { bytes, offsets, images };
}

test('wal: cut short at every byte, only the incomplete last record is dropped', async (t) => {
  const { bytes, offsets, images } = await sample(t);
  t.is(offsets.at(-1), bytes.length);
  for (let size = 0; size <= bytes.length; size++) {
    const complete = offsets.filter((offset) => offset > 0 && offset <= size).length;
    const loaded = await load(bytes.slice(0, size));
    if (complete === 0) {
      t.is(loaded.error?.code, 'data_corrupt', `size ${size}`);
      continue;
    }
    t.deepEqual(loaded.image, images[complete - 1], `size ${size}`);
    t.is(loaded.cutAtBytes, offsets[complete], `size ${size}`);
  }
});

test('wal: one changed byte anywhere refuses to start and names file and offset', async (t) => {
  const { bytes, offsets } = await sample(t);
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [0x01, 0x80]) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ flip;
      const { error } = await load(damaged);
      const start = offsets.findLast((offset) => offset <= at);
      t.is(error?.code, 'data_corrupt', `byte ${at}`);
      t.deepEqual(error?.details, { file: `/data/${SEGMENT}`, offset: start ?? -1 }, `byte ${at}`);
    }
  }
});

test('wal: a tail of zeros is an unwritten record, in front of other records it is damage', async (t) => {
  const { bytes, offsets, images } = await sample(t);
  const lastStart = offsets.at(-2) ?? 0;
  for (const extra of [1, 19, 20, 21, 511, 512, 5_000]) {
    const grown = new Uint8Array(bytes.length + extra);
    grown.set(bytes);
    const loaded = await load(grown);
    t.deepEqual(loaded.image, images.at(-1), `${extra} zeros`);
    t.is(loaded.cutAtBytes, bytes.length);
  }
  const unwritten = bytes.slice();
  unwritten.fill(0, lastStart);
  t.deepEqual((await load(unwritten)).image, images.at(-2));
  const hole = bytes.slice();
  hole.fill(0, offsets[2], offsets[3]);
  t.is((await load(hole)).error?.details['offset'], offsets[2]);
});

test('wal: garbage behind the last record refuses to start', async (t) => {
  const { bytes } = await sample(t);
  const grown = new Uint8Array(bytes.length + 64);
  grown.set(bytes);
  grown.fill(0xa5, bytes.length);
  t.is((await load(grown)).error?.details['offset'], bytes.length);
});

test('wal: a record that appears twice, or out of its place, refuses to start', async (t) => {
  const { bytes, offsets } = await sample(t);
  const [, , second = 0, third = 0, fourth = 0] = offsets;
  const twice = Buffer.concat([bytes.slice(0, third), bytes.slice(second)]);
  t.is((await load(new Uint8Array(twice))).error?.details['offset'], third);
  const left = [bytes.slice(0, second), bytes.slice(third, fourth)];
  const swapped = Buffer.concat([...left, bytes.slice(second, third), bytes.slice(fourth)]);
  t.is((await load(new Uint8Array(swapped))).error?.details['offset'], second);
});

test('wal: a record of several sectors with any of them unwritten is torn', (t) => {
  const base = encodeRecord(0, JSON.stringify({ text: 'x'.repeat(700) }));
  const last = encodeRecord(1, JSON.stringify({ text: 'y'.repeat(2_000) }));
  const whole = Buffer.concat([base, last]);
  for (let sector = 1; sector * 512 < whole.length; sector++) {
    const torn = new Uint8Array(whole);
    torn.fill(0, Math.max(base.length, sector * 512), (sector + 1) * 512);
    const scanned = scanSegment(torn);
    t.deepEqual([scanned.payloads.length, scanned.sizeBytes], [1, base.length], `${sector}`);
  }
});

test('file log storage: leftovers of a crash are swept, the newest segment counts', async (t) => {
  const folder = await temporaryFolder(t);
  const storage = await openFileLogStorage(folder, silentLogger);
  await storage.load();
  await storage.replaceWith(image({ snapshotIndex: 1 }));
  const first = await readFile(join(folder, SEGMENT));
  await storage.replaceWith(image({ snapshotIndex: 2, data: 'newer' }));
  await storage.close();
  await writeFile(join(folder, SEGMENT), first);
  await writeFile(join(folder, 'raft-0000000003.log.tmp'), 'half');
  await writeFile(join(folder, 'unrelated'), 'kept');
  const again = await openFileLogStorage(folder, silentLogger);
  t.is((await again.load())?.snapshot.data, 'newer');
  await again.close();
  t.deepEqual((await readdir(folder)).sort(), ['raft-0000000002.log', 'unrelated']);
});

test('file log storage: a torn tail is cut off for good and writing goes on behind it', async (t) => {
  const folder = await temporaryFolder(t);
  const hardState = { term: term(3), vote: undefined, commit: logIndex(1) };
  const write = async (index: number): Promise<void> => {
    const storage = await openFileLogStorage(folder, silentLogger);
    if (!(await storage.load())) await storage.replaceWith(image({ snapshotIndex: 1 }));
    await storage.persist({ hardState, entries: [entry(index, 3)], mustSync: true });
    await storage.close();
  };
  await write(2);
  await write(3);
  const path = join(folder, SEGMENT);
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 3));
  await write(3);
  const storage = await openFileLogStorage(folder, silentLogger);
  t.deepEqual((await storage.load())?.entries, [entry(2, 3), entry(3, 3)]);
  await storage.close();
});

test('file log storage: a segment of a newer format is refused', async (t) => {
  const folder = await temporaryFolder(t);
  const payload = JSON.stringify({ format: 2, snapshot: {}, hardState: [], entries: [] });
  await writeFile(join(folder, SEGMENT), encodeRecord(0, payload));
  const storage = await openFileLogStorage(folder, silentLogger);
  const error = await t.throwsAsync(storage.load(), { instanceOf: RingloadError });
  t.is(error.code, 'data_dir_foreign');
});

test('wal: after a failed sync nothing is written any more', async (t) => {
  let appended = 0;
  const file: LogFile = {
    append: () => {
      appended++;
      return Promise.resolve();
    },
    sync: () => (appended > 1 ? Promise.reject(new Error('EIO')) : Promise.resolve()),
    close: () => Promise.resolve(),
  };
  const files: LogFiles = {
    describe: (name) => name,
    list: () => Promise.resolve([]),
    read: () => Promise.reject(new Error('not expected')),
    create: () => Promise.resolve(file),
    openAt: () => Promise.resolve(file),
    rename: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    syncDirectory: () => Promise.resolve(),
  };
  const storage = new WalLogStorage(files, silentLogger);
  await storage.load();
  await storage.replaceWith(image({ snapshotIndex: 1 }));
  const batch = { hardState: image({ snapshotIndex: 1 }).hardState, entries: [entry(2, 3)] };
  await t.throwsAsync(storage.persist({ ...batch, mustSync: true }), { message: 'EIO' });
  await t.throwsAsync(storage.persist({ ...batch, mustSync: true }), { message: /broken/ });
  await t.throwsAsync(storage.replaceWith(image({ snapshotIndex: 2 })), { message: /broken/ });
  await storage.close();
  t.is(appended, 2);
});
