/** What other peers' verifications ask of this one: to read its disks, and to mend what they lack. */
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import { segmentKeyOf, type SegmentCheck, type SegmentStore } from '../cache/segment-store.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import type { Restored, RestoreOrder, SegmentList } from '../verify/verify-network.ts';

/** Segments read at a time: readers come first. */
const LANES = 4;
/** For one segment that is brought back. */
const RESTORE_TIMEOUT_MS = 120_000;

export interface VerifyHereOptions {
  readonly store: SegmentStore;
  readonly loader: SegmentLoader;
  readonly endpointOf: (peer: PeerId) => string | undefined;
}

export class VerifyHere {
  readonly #options: VerifyHereOptions;

  constructor(options: VerifyHereOptions) {
    this.#options = options;
  }

  async check(lists: readonly SegmentList[]): Promise<SegmentCheck[]> {
    const keys = lists.flatMap(({ record, indexes }) =>
      indexes.map((index) => segmentKeyOf(record, index)),
    );
    const checks: SegmentCheck[] = [];
    const entries = keys.entries();
    const lane = async (): Promise<void> => {
      for (const [position, key] of entries) {
        checks[position] = await this.#options.store.check(key);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return checks;
  }

  /** One after the other; what fails is answered, not thrown. */
  async restore(order: RestoreOrder): Promise<Restored[]> {
    const restored: Restored[] = [];
    for (const index of order.indexes) {
      try {
        restored.push(await this.#restoreOne(order, index));
      } catch (thrown) {
        const { code, message } = toRingloadError(thrown);
        restored.push({ error: `${code}: ${message}` });
      }
    }
    return restored;
  }

  async #restoreOne(order: RestoreOrder, index: number): Promise<Restored> {
    const { store, loader, endpointOf } = this.#options;
    const { record, sources } = order;
    const { sizeBytes, segmentSizeBytes } = record;
    const key = segmentKeyOf(record, index);
    let ufsBytes = 0;
    await loader.load(
      {
        key,
        lengthBytes: Math.min(segmentSizeBytes, sizeBytes - index * segmentSizeBytes),
        fileSizeBytes: sizeBytes,
        peerEndpoints: sources.flatMap((peer) => endpointOf(peer) ?? []),
        allowUfs: true,
        isWanted: true,
        meter: (from, receivedBytes) => {
          if (from === 'ufs') ufsBytes += receivedBytes;
        },
      },
      AbortSignal.timeout(RESTORE_TIMEOUT_MS),
    );
    // Why again: what is reported as brought back has been read from the disk once.
    const check = await store.check(key);
    if (check.state !== 'sound') return { error: `it is ${check.state} again` };
    const { lengthBytes, crc32c } = check;
    return { from: ufsBytes > 0 ? 'ufs' : 'peer', lengthBytes, crc32c };
  }
}
