/**
 * One peer's part in freeing a path: its records first, so that nobody restores what is let go of,
 * then every segment of the path, whichever load or read brought it, in whichever version.
 *
 * Invariant: what a running job holds leased, or may count on, stays; what rules pin stays, unless
 * it is asked for by name.
 */
import type { FileCatalog } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { Amount, FreedAmounts } from './report.ts';
import type { FreeOrder } from './residence-network.ts';

export interface FreeingParts {
  readonly store: Pick<SegmentStore, 'segments' | 'free' | 'lookup'>;
  readonly catalog: Pick<FileCatalog, 'scan' | 'deleteAll'>;
  /** A running job loads the file. */
  readonly isInUse: (path: string) => boolean;
  readonly isPinned: (path: string) => boolean;
}

const PAGE_MAX_COUNT = 500;
/** Segments let go of at a time: enough for one sync to cover many. */
const BATCH_MAX_COUNT = 256;

export async function freeHere(
  parts: FreeingParts,
  order: FreeOrder,
  signal: AbortSignal,
): Promise<FreedAmounts> {
  const records = await freeRecords(parts, order, signal);
  const sums = new Sums();
  if (order.what === 'segments') await freeSegments(parts, order, sums, signal);
  return { records, ...sums.result() };
}

function keepReason(
  parts: FreeingParts,
  order: FreeOrder,
  path: string,
): 'leased' | 'pinned' | undefined {
  if (parts.isInUse(path)) return 'leased';
  return !order.evenPinned && parts.isPinned(path) ? 'pinned' : undefined;
}

async function freeRecords(
  parts: FreeingParts,
  order: FreeOrder,
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  for (let after: string | undefined; ;) {
    signal.throwIfAborted();
    const request = { root: order.path, limit: PAGE_MAX_COUNT };
    const page = await parts.catalog.scan(after === undefined ? request : { ...request, after });
    after = page.at(-1)?.path;
    const paths = page.map(({ path }) => path);
    const freed = paths.filter((path) => keepReason(parts, order, path) === undefined);
    await parts.catalog.deleteAll(freed);
    count += freed.length;
    if (after === undefined || page.length < PAGE_MAX_COUNT) return count;
  }
}

async function freeSegments(
  parts: FreeingParts,
  order: FreeOrder,
  sums: Sums,
  signal: AbortSignal,
): Promise<void> {
  let batch: Promise<void>[] = [];
  for await (const { key, lengthBytes } of parts.store.segments()) {
    if (!isAtOrBelow(order.path, key.path)) continue;
    signal.throwIfAborted();
    batch.push(freeOne(parts, order, { key, lengthBytes }, sums));
    if (batch.length < BATCH_MAX_COUNT) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
}

async function freeOne(
  parts: FreeingParts,
  order: FreeOrder,
  { key, lengthBytes }: { readonly key: SegmentKey; readonly lengthBytes: number },
  sums: Sums,
): Promise<void> {
  const kept = keepReason(parts, order, key.path);
  const outcome = kept ?? (await parts.store.free(key));
  // A segment that is moved while all are listed may be met twice: it is freed once all the same.
  if (outcome !== 'missing') sums.add(outcome, lengthBytes);
}

class Sums {
  readonly #sums = {
    freed: { segments: 0, bytes: 0 },
    leased: { segments: 0, bytes: 0 },
    pinned: { segments: 0, bytes: 0 },
  };

  add(outcome: 'freed' | 'leased' | 'pinned', lengthBytes: number): void {
    const sum = this.#sums[outcome];
    sum.segments += 1;
    sum.bytes += lengthBytes;
  }

  result(): Readonly<Record<'freed' | 'leased' | 'pinned', Amount>> {
    return this.#sums;
  }
}
