/**
 * Random concurrent use of the file store against a model: which jobs lease which segments. What
 * is leased is there, what is read is right, and the sums agree whenever nothing is under way.
 */
import fc from 'fast-check';
import test from 'ava';

import { jobId, type JobId } from '../../../src/base/ids.ts';
import { addDigests, formatDigest, segmentDigest } from '../../../src/cache/digest.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import { spaceOf } from '../../../src/cache/layout.ts';
import {
  bytesOf,
  checksumsOf,
  keyOf,
  loadBytes,
  openSmallStore,
  storeBytes,
  temporaryFolder,
  testSeed,
} from '../support/fixtures.ts';

const KEY_COUNT = 40;
const JOBS = ['a', 'b', 'c'].map(jobId);
const RUNS = Number(process.env['RUNS'] ?? 25);
const CONCURRENCY = 6;

type Step =
  | { readonly kind: 'store'; readonly index: number; readonly job: JobId | undefined }
  | { readonly kind: 'abort' | 'read' | 'hold' | 'verify' | 'drop'; readonly index: number }
  | { readonly kind: 'lease'; readonly index: number; readonly job: JobId }
  | { readonly kind: 'release'; readonly job: JobId }
  | { readonly kind: 'restart' };

const index = fc.nat(KEY_COUNT - 1);
const job = fc.constantFrom(...JOBS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('store' as const),
      index,
      job: fc.option(job, { nil: undefined, freq: 3 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('abort', 'read', 'hold', 'verify'),
      index,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), index }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('lease' as const), index, job }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), job }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
);

function contentOf(number: number): Uint8Array {
  return bytesOf(number, number % 4 === 0 ? 70_000 : 1 + number * 611);
}

class Run {
  readonly #path: string;
  #store: FileSegmentStore;
  readonly #leases = new Map<number, Set<JobId>>();
  readonly #running = new Set<Promise<void>>();
  #failure: unknown;

  constructor(path: string, store: FileSegmentStore) {
    this.#path = path;
    this.#store = store;
  }

  async take(next: Step): Promise<void> {
    if (next.kind === 'drop' || next.kind === 'release' || next.kind === 'restart') {
      await this.settle();
      await this.#change(next);
      return;
    }
    const work = this.#work(next).catch((error: unknown) => {
      if ((error as { code?: unknown }).code !== 'cache_full') this.#failure ??= error;
    });
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
    if (this.#running.size >= CONCURRENCY) await Promise.race(this.#running);
    this.#checkBound();
  }

  /** Waits for what is under way and compares everything with the model. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
    if (this.#failure !== undefined) throw this.#failure as Error;
    this.#checkBound();
    let leasedBytes = 0;
    for (const [number, jobs] of this.#leases) {
      if (jobs.size === 0) continue;
      leasedBytes += spaceOf(contentOf(number).length);
      const bytes = await loadBytes(this.#store, keyOf(number));
      if (!bytes) throw new Error(`leased segment ${number} is gone`);
      checkBytes(number, bytes);
    }
    equal('leased bytes', this.#store.usage().leasedBytes, leasedBytes);
    for (const each of JOBS) await this.#checkInventory(each);
    equal('damaged segments', this.#store.usage().corruptSegmentCount, 0);
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #work(next: Step): Promise<void> {
    const store = this.#store;
    switch (next.kind) {
      case 'store':
        await storeBytes(store, keyOf(next.index), contentOf(next.index), next.job);
        if (next.job !== undefined) this.#addLease(next.index, next.job);
        break;
      case 'abort': {
        const reservation = await store.reserve(keyOf(next.index), contentOf(next.index).length);
        const write = store.write(reservation.extent, 0, contentOf(next.index));
        reservation.abort();
        await write;
        break;
      }
      case 'read':
      case 'hold': {
        const reader = await store.open(keyOf(next.index));
        if (!reader) break;
        const turns = next.kind === 'hold' ? 20 : 0;
        for (let turn = 0; turn < turns; turn++) await new Promise((done) => setImmediate(done));
        const chunks: Uint8Array[] = [];
        for await (const chunk of reader.read(0, reader.lengthBytes)) chunks.push(chunk);
        reader.close();
        checkBytes(next.index, Buffer.concat(chunks));
        break;
      }
      case 'verify':
        if ((await store.check(keyOf(next.index))).state === 'sound') break;
        if ((this.#leases.get(next.index)?.size ?? 0) > 0) throw new Error('a leased one fails');
        break;
      case 'lease':
        if (store.lease(keyOf(next.index), next.job)) this.#addLease(next.index, next.job);
        break;
      default:
        break;
    }
  }

  async #change(next: Step): Promise<void> {
    if (next.kind === 'drop') {
      await this.#store.drop(keyOf(next.index));
      this.#leases.delete(next.index);
    } else if (next.kind === 'release') {
      this.#store.releaseLease(next.job);
      for (const jobs of this.#leases.values()) jobs.delete(next.job);
    } else {
      const released = JOBS.filter((each) => !this.#store.leaseHolders().has(each));
      const before = new Map([...this.#leases].map(([number, jobs]) => [number, new Set(jobs)]));
      await this.#store.close();
      this.#store = await openSmallStore(this.#path, { regionCount: 4, roomWaitMs: 300 });
      // Ended leases of the jobs that loaded come back until the node ends them again.
      for (const each of released) this.#store.releaseLease(each);
      await this.#adoptRevived(before);
    }
    await this.settle();
  }

  /** A lease that was ended may be back; one that was held must be. */
  async #adoptRevived(before: ReadonlyMap<number, ReadonlySet<JobId>>): Promise<void> {
    for (const each of JOBS) {
      const held = [...before].filter(([, jobs]) => jobs.has(each)).length;
      const found = (await this.#store.inventory(each)).segmentCount;
      if (found < held) throw new Error(`${held} leases of ${each} became ${found}`);
      if (found === held) continue;
      this.#store.releaseLease(each);
      for (const [number, jobs] of before) {
        if (jobs.has(each) && !this.#store.lease(keyOf(number), each)) {
          throw new Error(`leased segment ${number} did not survive the restart`);
        }
      }
    }
  }

  #addLease(number: number, leasedBy: JobId): void {
    const jobs = this.#leases.get(number) ?? new Set();
    this.#leases.set(number, jobs.add(leasedBy));
  }

  #checkBound(): void {
    const { usedBytes, capacityBytes } = this.#store.usage();
    // The region kept to compact into may hold what was not evicted yet.
    if (usedBytes > capacityBytes + 256 * 1024) throw new Error(`${usedBytes} bytes are used`);
  }

  async #checkInventory(each: JobId): Promise<void> {
    let digest = 0n;
    let segmentCount = 0;
    let bytes = 0;
    for (const [number, jobs] of this.#leases) {
      if (!jobs.has(each)) continue;
      const content = contentOf(number);
      const { crc32c } = checksumsOf(content);
      digest = addDigests(digest, segmentDigest(keyOf(number), content.length, crc32c));
      segmentCount++;
      bytes += content.length;
    }
    const inventory = await this.#store.inventory(each);
    equal('segments of the inventory', inventory.segmentCount, segmentCount);
    equal('bytes of the inventory', inventory.bytes, bytes);
    equal('digest', inventory.digest, formatDigest(digest));
  }
}

function checkBytes(number: number, bytes: Uint8Array): void {
  if (!Buffer.from(bytes).equals(contentOf(number))) throw new Error(`segment ${number} is wrong`);
}

function equal(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, not ${String(expected)}`);
}

test('file store: random concurrent use agrees with the model', async (t) => {
  t.timeout(180_000);
  const seed = testSeed(20_261_123);
  t.log(`SEED=${seed} RUNS=${RUNS}`);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 150 }), async (steps) => {
      await using folder = await temporaryFolder();
      const store = await openSmallStore(folder.path, { regionCount: 4, roomWaitMs: 300 });
      const run = new Run(folder.path, store);
      try {
        for (const next of steps) await run.take(next);
        await run.settle();
      } finally {
        await run.close();
      }
    }),
    { seed, numRuns: RUNS, endOnFailure: true, includeErrorInReport: true },
  );
  t.pass();
});
