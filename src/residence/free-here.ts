/**
 * One peer's part in frees: the records that they cover go first, so that nobody restores what is
 * let go of, then every segment, whichever load or read brought it, in whichever version. Several
 * frees are one walk over the caches.
 *
 * Invariant: what jobs were loading when the cluster agreed on the free, what is leased, and what
 * rules pinned, stays.
 */
import type { FileCatalog } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { FreeRecord } from '../cluster/free-record.ts';
import { coversRecord, keepReason } from '../cluster/free-roll.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { FreedAmounts } from './report.ts';

export interface FreeingParts {
  readonly store: Pick<SegmentStore, 'segments' | 'free'>;
  readonly catalog: Pick<FileCatalog, 'scan' | 'deleteAll'>;
}

const PAGE_MAX_COUNT = 500;
/** Segments let go of at a time: enough for one sync to cover many. */
const BATCH_MAX_COUNT = 256;

/** @param frees by number. Resolves with what each of them came to, in the same order. */
export async function freeHere(
  parts: FreeingParts,
  frees: readonly FreeRecord[],
  signal: AbortSignal,
): Promise<readonly FreedAmounts[]> {
  const parted: FreeSum[] = [];
  for (const free of frees) {
    parted.push(new FreeSum(free, await freeRecords(parts, free, signal)));
  }
  await freeSegments(parts, parted, signal);
  return parted.map((sum) => sum.result());
}

async function freeRecords(
  { catalog }: FreeingParts,
  free: FreeRecord,
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  for (let after: string | undefined; ;) {
    signal.throwIfAborted();
    const request = { root: free.path, limit: PAGE_MAX_COUNT };
    const page = await catalog.scan(after === undefined ? request : { ...request, after });
    after = page.at(-1)?.path;
    const freed = page.filter((record) => coversRecord(free, record));
    await catalog.deleteAll(freed.map(({ path }) => path));
    count += freed.length;
    if (after === undefined || page.length < PAGE_MAX_COUNT) return count;
  }
}

async function freeSegments(
  parts: FreeingParts,
  sums: readonly FreeSum[],
  signal: AbortSignal,
): Promise<void> {
  let batch: Promise<void>[] = [];
  for await (const { key, lengthBytes } of parts.store.segments()) {
    const meant = sums.filter(({ free }) => isAtOrBelow(free.path, key.path));
    if (meant.length === 0) continue;
    signal.throwIfAborted();
    batch.push(freeOne(parts, { key, lengthBytes }, meant));
    if (batch.length < BATCH_MAX_COUNT) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
}

async function freeOne(
  { store }: FreeingParts,
  { key, lengthBytes }: { readonly key: SegmentKey; readonly lengthBytes: number },
  meant: readonly FreeSum[],
): Promise<void> {
  for (const sum of meant) {
    const outcome = keepReason(sum.free, key.path) ?? (await store.free(key));
    // A segment that is moved while all are listed may be met twice: it is freed once all the same.
    if (outcome !== 'missing') sum.add(outcome, lengthBytes);
    if (outcome === 'freed') return;
  }
}

class FreeSum {
  readonly free: FreeRecord;
  readonly #records: number;
  readonly #amounts = {
    freed: { segments: 0, bytes: 0 },
    leased: { segments: 0, bytes: 0 },
    pinned: { segments: 0, bytes: 0 },
  };

  constructor(free: FreeRecord, records: number) {
    this.free = free;
    this.#records = records;
  }

  add(outcome: keyof Omit<FreedAmounts, 'records'>, lengthBytes: number): void {
    const amount = this.#amounts[outcome];
    amount.segments += 1;
    amount.bytes += lengthBytes;
  }

  result(): FreedAmounts {
    return { records: this.#records, ...this.#amounts };
  }
}
