/**
 * One fault at every single disk operation of a cache directory's life, once or from then on: the
 * caller is told, nothing wrong is served, the other directory goes on, and the next start finds a
 * sound cache.
 */
import test from 'ava';

import { jobId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import { openFileSegmentStore } from '../../../src/cache/io/open-file-segment-store.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { newFaultyDisk, type DiskOperation } from '../support/faulty-disk.ts';
import { bytesOf, keyOf, loadBytes, storeBytes } from '../support/fixtures.ts';
import { wallClock } from '../support/wall-clock.ts';

const REGION_BYTES = 64 * 1024;
const SEGMENT_BYTES = 20_000;
const job = jobId('00000000-0000-4000-8000-00000000000a');
const TOLD = new Set(['cache_io', 'cache_full', 'segment_corrupt']);

type Disk = ReturnType<typeof newFaultyDisk>;

function open(disk: Disk): Promise<FileSegmentStore> {
  return openFileSegmentStore({
    directories: ['/a', '/b'].map((path) => ({ path, capacityBytes: 4 * REGION_BYTES })),
    regionSizeBytes: REGION_BYTES,
    clock: wallClock,
    logger: silentLogger,
    roomWaitMs: 10,
    errorMaxCount: 3,
    disk,
  });
}

const contents = new Map<number, Uint8Array>();
function contentOf(index: number): Uint8Array {
  const known = contents.get(index) ?? bytesOf(index, SEGMENT_BYTES);
  contents.set(index, known);
  return known;
}

/** What a life found that must not be; empty when all was well. */
class Findings {
  readonly wrong: string[] = [];
  toldCount = 0;

  async attempt(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = (error as { code?: string }).code ?? '';
      if (TOLD.has(code)) this.toldCount++;
      else this.wrong.push(`${what}: ${String(error)}`);
    }
  }

  async read(store: FileSegmentStore, index: number): Promise<boolean> {
    let isRight = false;
    await this.attempt(`read ${index}`, async () => {
      const bytes = await loadBytes(store, keyOf(index));
      if (bytes === undefined) return;
      isRight = Buffer.from(bytes).equals(contentOf(index));
      if (!isRight) this.wrong.push(`wrong bytes of segment ${index}`);
    });
    return isRight;
  }
}

/** Stores, reads, leases, drops, verifies, fills the cache and evicts; then once more after a restart. */
async function live(disk: Disk, findings: Findings): Promise<void> {
  for (const life of [0, 1]) {
    const store = await open(disk);
    for (let step = 0; step < (life === 0 ? 20 : 10); step++) {
      const index = life * 100 + step;
      const loader = step < 3 ? job : undefined;
      await findings.attempt(`store ${index}`, async () => {
        await storeBytes(store, keyOf(index), contentOf(index), loader);
        const isServing = store.usage().directories.every(({ state }) => state === 'ok');
        if (isServing && !(await store.lookup(keyOf(index)))) {
          findings.wrong.push(`segment ${index} is gone as soon as it was acknowledged`);
        }
      });
      if (step % 5 === 0) await findings.read(store, index);
      if (step % 7 === 3) await findings.attempt('drop', () => store.drop(keyOf(index)));
      if (step % 7 === 4) await findings.attempt('check', () => store.check(keyOf(index - 2)));
      if (step === 8) store.lease(keyOf(index - 1), job);
    }
    for (let index = 0; index < 3; index++) await findings.read(store, index);
    store.releaseLease(job);
    await findings.attempt('close', () => store.close());
  }
}

/** After the fault is over: a start, what it holds, and that it can be used. */
async function checkAfter(disk: Disk, findings: Findings): Promise<void> {
  disk.fault = undefined;
  const store = await open(disk);
  for (const { state, path } of store.usage().directories) {
    if (state !== 'ok') findings.wrong.push(`${path} is ${state} after a sound start`);
  }
  for await (const { key } of store.segments()) await findings.read(store, key.index);
  for (let index = 500; index < 516; index++) {
    await storeBytes(store, keyOf(index), contentOf(index)).catch((error: unknown) => {
      findings.wrong.push(`store ${index} after a sound start: ${String(error)}`);
    });
    if (!(await findings.read(store, index))) findings.wrong.push(`segment ${index} is not there`);
  }
  await store.close();
}

/** One whole life with the `nth` operation in `/a` failing, and those after it if `isLasting`. */
async function liveWithFault(fault: {
  readonly nth: number;
  readonly code: string;
  readonly isLasting: boolean;
}): Promise<{ findings: Findings; operation: string | undefined }> {
  const disk = newFaultyDisk(new CrashDisk());
  const findings = new Findings();
  let count = 0;
  let operation: string | undefined;
  disk.fault = (kind: DiskOperation, path: string) => {
    if (!path.startsWith('/a')) return undefined;
    count++;
    if (count < fault.nth || (count > fault.nth && !fault.isLasting)) return undefined;
    operation ??= `${kind} ${path}`;
    return fault.code;
  };
  await live(disk, findings);
  await checkAfter(disk, findings);
  return { findings, operation };
}

for (const isLasting of [false, true]) {
  const when = isLasting ? 'from every operation on' : 'at every operation once';
  test(`faults: a cache directory that fails ${when} is told, served around, and sound later`, async (t) => {
    t.timeout(240_000);
    let triedCount = 0;
    let toldCount = 0;
    const wrong: string[] = [];
    const kinds = new Map<string, number>();
    for (const code of ['EIO', 'ENOSPC']) {
      // Why not all of the others: each costs a whole life, and they differ little.
      const step = isLasting ? 12 : code === 'EIO' ? 1 : 8;
      for (let nth = 1; ; nth += step) {
        const { findings, operation } = await liveWithFault({ nth, code, isLasting });
        if (operation === undefined) break;
        triedCount++;
        toldCount += findings.toldCount;
        const kind = operation.split(' ')[0] ?? '';
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        for (const each of findings.wrong) wrong.push(`${code} at ${nth}, ${operation}: ${each}`);
      }
    }
    t.log(
      `${triedCount} faults injected (${[...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ')}), ` +
        `${toldCount} errors told, ${wrong.length} wrong`,
    );
    t.deepEqual(wrong.slice(0, 20), []);
    t.true(triedCount > 20 && toldCount > 0);
  });
}
