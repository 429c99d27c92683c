/**
 * One failed call at every file operation of a raft log's life, before or half way through its
 * work: the caller is told, nothing is tried again, and the next start has all that was durable.
 */
import { rm } from 'node:fs/promises';
import test from 'ava';
import { type RingloadError } from '../../../src/base/errors.ts';
import { logIndex, raftId, term } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { DirectoryLogFiles, openFileLogStorage } from '../../../src/raft/io/file-log-storage.ts';
import type { LogFile, LogFiles } from '../../../src/raft/log-files.ts';
import type { LogBatch, LogImage } from '../../../src/raft/log-storage.ts';
import { WalLogStorage } from '../../../src/raft/wal-log-storage.ts';
import { entry, image, temporaryFolder } from '../support.ts';

type Call = keyof Omit<LogFiles, 'describe'> | keyof LogFile;

/** A directory whose `nth` call fails with `code`; the calls before it succeed. */
class FailingFiles implements LogFiles {
  failed: Call | undefined;
  callsAfterFailure: Call[] = [];
  readonly #files: LogFiles;
  readonly #fault: { readonly nth: number; readonly code: string };
  #count = 0;

  constructor(folder: string, fault: { nth: number; code: string }) {
    this.#files = new DirectoryLogFiles(folder);
    this.#fault = fault;
  }

  describe(name: string): string {
    return this.#files.describe(name);
  }
  list(): Promise<readonly string[]> {
    return this.#call('list', () => this.#files.list());
  }
  read(name: string): Promise<Uint8Array> {
    return this.#call('read', () => this.#files.read(name));
  }
  create(name: string): Promise<LogFile> {
    return this.#call('create', async () => this.#wrap(await this.#files.create(name)));
  }
  openAt(name: string, sizeBytes: number): Promise<LogFile> {
    return this.#call('openAt', async () => this.#wrap(await this.#files.openAt(name, sizeBytes)));
  }
  rename(from: string, to: string): Promise<void> {
    return this.#call('rename', () => this.#files.rename(from, to));
  }
  remove(name: string): Promise<void> {
    return this.#call('remove', () => this.#files.remove(name));
  }
  syncDirectory(): Promise<void> {
    return this.#call('syncDirectory', () => this.#files.syncDirectory());
  }

  #wrap(file: LogFile): LogFile {
    return {
      append: (bytes) =>
        this.#call(
          'append',
          () => file.append(bytes),
          // As a disk does that becomes full.
          () => file.append(bytes.subarray(0, bytes.length / 2)),
        ),
      sync: () => this.#call('sync', () => file.sync()),
      close: async () => {
        await file.close();
        await this.#call('close', () => Promise.resolve());
      },
    };
  }

  async #call<T>(
    call: Call,
    work: () => Promise<T>,
    half: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<T> {
    if (this.failed !== undefined) this.callsAfterFailure.push(call);
    if (++this.#count !== this.#fault.nth) return work();
    this.failed = call;
    await half();
    const { code } = this.#fault;
    throw Object.assign(new Error(`${code}: injected, ${call}`), { code });
  }
}

const batch = (index: number): LogBatch => ({
  hardState: {
    term: term(3 + index),
    vote: raftId(1 + (index % 3)),
    commit: logIndex(Math.max(1, index - 1)),
  },
  entries: index % 4 === 0 ? [] : [entry(index, 3, 'x'.repeat(index * 40))],
  mustSync: true,
});

/** What the log must hold after a number of acknowledged calls, and may hold after one more. */
const steps: readonly ((storage: WalLogStorage) => Promise<void>)[] = [
  (storage) => storage.replaceWith(image({ snapshotIndex: 1 })),
  ...[2, 3].map((index) => (storage: WalLogStorage) => storage.persist(batch(index))),
  (storage) => storage.replaceWith(image({ snapshotIndex: 3, data: 'a later state', commit: 3 })),
  ...[4, 5, 6].map(
    (index) => (storage: WalLogStorage) =>
      storage.persist(index === 4 ? { ...batch(4), entries: [entry(4, 3)] } : batch(index)),
  ),
];

async function imagesOf(folder: string): Promise<(LogImage | undefined)[]> {
  const images: (LogImage | undefined)[] = [undefined];
  for (const [count] of steps.entries()) {
    await rm(folder, { recursive: true, force: true });
    const storage = await openFileLogStorage(folder, silentLogger);
    await storage.load();
    for (const step of steps.slice(0, count + 1)) await step(storage);
    await storage.close();
    images.push(await imageIn(folder));
  }
  return images;
}

async function imageIn(folder: string): Promise<LogImage | undefined> {
  const storage = await openFileLogStorage(folder, silentLogger);
  const loaded = await storage.load();
  await storage.close();
  return loaded;
}

test('raft log: a fault at every file operation stops it, and costs nothing durable', async (t) => {
  t.timeout(120_000);
  const folder = `${await temporaryFolder(t)}/raft`;
  const images = (await imagesOf(folder)).map((each) => JSON.stringify(each ?? null));
  const tried = new Map<Call, number>();
  for (const code of ['EIO', 'ENOSPC']) {
    for (let nth = 1; ; nth++) {
      await rm(folder, { recursive: true, force: true });
      await (await openFileLogStorage(folder, silentLogger)).close();
      const files = new FailingFiles(folder, { nth, code });
      let acknowledged = 0;
      // Three starts, so that the operations of reading a log fail as well.
      for (let start = 0; start < 3 && files.failed === undefined; start++) {
        const storage = new WalLogStorage(files, silentLogger);
        try {
          await storage.load();
          for (const step of steps.slice(acknowledged, start === 0 ? 4 : undefined)) {
            await step(storage);
            acknowledged++;
          }
        } catch (error) {
          t.is((error as RingloadError).code, 'data_dir_io', `${files.failed} at ${nth}`);
          t.true((error as Error).message.includes(folder), 'the file is named');
          await t.throwsAsync(storage.persist(batch(9)), { message: /broken/ });
        }
        await storage.close().catch(() => undefined);
      }
      if (files.failed === undefined) break;
      tried.set(files.failed, (tried.get(files.failed) ?? 0) + 1);
      const after = files.callsAfterFailure.filter((call) => call !== 'close');
      t.deepEqual(after, [], `${files.failed} at ${nth}: nothing is tried again`);
      const found = images.indexOf(JSON.stringify((await imageIn(folder)) ?? null));
      t.true(
        found === acknowledged || found === acknowledged + 1,
        `${code} of ${files.failed} at ${nth}: ${acknowledged} acknowledged, found ${found}`,
      );
      // The disk is sound again: the log goes on where it was.
      const again = await openFileLogStorage(folder, silentLogger);
      await again.load();
      for (const step of steps.slice(found)) await step(again);
      await again.close();
      t.is(JSON.stringify(await imageIn(folder)), images.at(-1) ?? '');
    }
  }
  const counts = [...tried].map(([call, count]) => `${count} ${call}`);
  t.log(`${[...tried.values()].reduce((a, b) => a + b, 0)} faults injected: ${counts.join(', ')}`);
  for (const call of [
    'append',
    'sync',
    'rename',
    'syncDirectory',
    'remove',
    'list',
    'read',
  ] as const) {
    t.true((tried.get(call) ?? 0) > 0, call);
  }
});
