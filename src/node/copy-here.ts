/** Executes a copy order on this peer: from peers only, one segment after the other. */
import { withTimeout, type Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import { segmentKeyOf } from '../cache/segment-store.ts';
import type { CopyOrder } from '../repair/repair-network.ts';

export interface CopyOptions {
  readonly loader: SegmentLoader;
  readonly endpointOf: (peer: PeerId) => string | undefined;
  /** For the whole order; each segment has its even share. */
  readonly deadlineMs: number;
  /** Whether segments of the file may come here now. */
  readonly mayStore: (record: FileRecord) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each segment that was not here before. */
  readonly onCopied: () => void;
}

/** Resolves with how many of the segments are here at the end. Never rejects. */
export async function copyHere(options: CopyOptions, order: CopyOrder): Promise<number> {
  const { loader, endpointOf, deadlineMs, clock, logger, onCopied, mayStore } = options;
  const { record, indexes, sources } = order;
  const peerEndpoints = sources.flatMap((peer) => endpointOf(peer) ?? []);
  const shareMs = Math.max(1, Math.floor(deadlineMs / indexes.length));
  let copiedCount = 0;
  for (const index of indexes) {
    // Why each: a free may come meanwhile.
    if (!mayStore(record)) break;
    const start = index * record.segmentSizeBytes;
    const request = {
      key: segmentKeyOf(record, index),
      lengthBytes: Math.min(record.segmentSizeBytes, record.sizeBytes - start),
      fileSizeBytes: record.sizeBytes,
      peerEndpoints,
      isRepair: true,
      allowUfs: false,
    };
    try {
      const load = (signal: AbortSignal) => loader.load(request, signal);
      const { filled } = await withTimeout(clock, shareMs, load);
      if (filled) onCopied();
      copiedCount += 1;
    } catch (thrown) {
      // Why go on: the next round sees what is still missing; one segment must not stop the rest.
      const { code, message } = toRingloadError(thrown);
      logger.debug('copy not made', { path: record.path, segment: index, code, reason: message });
    }
  }
  return copiedCount;
}
