/**
 * Space in a region for one segment that is being written. Pins the region until it is committed
 * or aborted; the extent of an aborted one is handed out again once no write to it is under way.
 */
import { RingloadError } from '../../base/errors.ts';
import type { JobId } from '../../base/ids.ts';
import { invariant } from '../../base/invariant.ts';
import { segmentDigest } from '../digest.ts';
import type { KeyHash } from '../key-hash.ts';
import { LARGE_SEGMENT_MIN_BYTES } from '../layout.ts';
import type { Place } from '../region.ts';
import {
  CHECKSUM_BLOCK_BYTES,
  type Extent,
  type Reservation,
  type SegmentChecksums,
  type SegmentKey,
} from '../segment-store.ts';
import { encodeSegmentRecord } from '../sidecar-format.ts';
import type { CacheDirectory } from './cache-directory.ts';
import { recordDrop } from './drop-copy.ts';
import type { AwaitedNow } from './group-commit.ts';
import type { StoreParts } from './store-parts.ts';

/** A reserved extent as a piece of a file. */
export interface ExtentPlace {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  /** Whether whole pages around it are its own. */
  readonly ownsPages: boolean;
}

interface ReservedSegment {
  readonly key: SegmentKey;
  readonly hash: KeyHash;
  readonly lengthBytes: number;
  readonly loadedBy: JobId | undefined;
  readonly isOnTrial: boolean;
  readonly stamp: () => number;
}

export class FileReservation implements Reservation {
  readonly extent: Extent;
  readonly #store: StoreParts;
  readonly #directory: CacheDirectory;
  readonly #place: Place;
  readonly #segment: Pick<ReservedSegment, 'key' | 'hash' | 'loadedBy' | 'isOnTrial' | 'stamp'>;
  readonly #onEnd: () => void;
  #state: 'open' | 'committing' | 'ended' = 'open';
  #writeCount = 0;

  /** Takes over the pin of the place's region. */
  constructor(
    parts: ReservedSegment & {
      readonly store: StoreParts;
      readonly directory: CacheDirectory;
      readonly place: Place;
      readonly onEnd: () => void;
    },
  ) {
    this.#store = parts.store;
    this.#directory = parts.directory;
    this.#place = parts.place;
    const { key, hash, loadedBy, isOnTrial, stamp } = parts;
    this.#segment = { key, hash, loadedBy, isOnTrial, stamp };
    this.#onEnd = parts.onEnd;
    this.extent = {
      directoryIndex: parts.directory.index,
      regionId: parts.place.region.id,
      offset: parts.place.offset,
      lengthBytes: parts.lengthBytes,
    };
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    invariant(this.#state === 'open', 'bytes are written before commit or abort');
    invariant(
      position >= 0 && position + bytes.length <= this.extent.lengthBytes,
      `${bytes.length} bytes at ${position} fit the extent of ${this.extent.lengthBytes}`,
    );
    const { region, offset } = this.#place;
    this.#directory.checkServing();
    this.#writeCount++;
    try {
      await this.#directory.attempt(`write region ${region.id}`, () =>
        this.#directory.files.writeData(region, bytes, offset + position),
      );
    } finally {
      this.#writeCount--;
      // The last write under way when the reservation was aborted ends it.
      if (this.#hasEnded()) this.#giveBack();
    }
  }

  /** Whoever writes there by other means has ended before commit or abort. @throws cache_io */
  place(): ExtentPlace {
    invariant(this.#state === 'open', 'bytes are written before commit or abort');
    const { region, offset } = this.#place;
    this.#directory.checkServing();
    const { lengthBytes } = this.extent;
    return {
      path: this.#directory.files.dataPath(region),
      offset,
      length: lengthBytes,
      ownsPages: lengthBytes >= LARGE_SEGMENT_MIN_BYTES,
    };
  }

  async commit(checksums: SegmentChecksums, urgency?: AwaitedNow): Promise<void> {
    invariant(this.#state === 'open', 'a reservation is committed once');
    invariant(this.#writeCount === 0, 'all writes are done before commit');
    const { lengthBytes } = this.extent;
    const blockCount = Math.ceil(lengthBytes / CHECKSUM_BLOCK_BYTES);
    invariant(
      checksums.blockCrc32c.length === blockCount,
      `${blockCount} block checksums are given for ${lengthBytes} bytes`,
    );
    this.#state = 'committing';
    const { region, offset } = this.#place;
    const { key, hash, loadedBy, isOnTrial, stamp } = this.#segment;
    const { crc32c, blockCrc32c } = checksums;
    const digest = segmentDigest(key, lengthBytes, crc32c);
    const segment = { key, hash, digest, offset, lengthBytes, crc32c, loadedBy };
    try {
      await this.#directory.commits.commit({
        region,
        isAboutNewData: true,
        ...(urgency && { urgency }),
        encode: () =>
          encodeSegmentRecord(
            { ...segment, blockCrc32c },
            { salt: region.salt, crc32c: this.#store.crc32c },
          ),
        apply: (recordOffset) => {
          const group = this.#store.retention.groupOf(key.path);
          const kept = { group, isOnTrial, stamp: stamp() };
          this.#apply({ ...segment, ...kept, slot: region.slot, recordOffset });
        },
      });
    } finally {
      this.#state = 'ended';
      this.#onEnd();
      this.#directory.unpin(region);
    }
  }

  /** Does nothing after a commit, failed or not: its space may already be on disk. */
  abort(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#onEnd();
    if (this.#writeCount === 0) this.#giveBack();
  }

  #hasEnded(): boolean {
    return this.#state === 'ended' && this.#writeCount === 0;
  }

  #giveBack(): void {
    const { region, offset } = this.#place;
    region.giveBack(offset, this.extent.lengthBytes);
    this.#directory.unpin(region);
  }

  #apply(segment: Parameters<StoreParts['table']['put']>[0]): void {
    const { table, regions, directories, leaseNotes } = this.#store;
    const { replaced } = table.put(segment);
    if (!replaced) return;
    const region = regions[replaced.slot];
    const directory = region && directories[region.directoryIndex];
    if (!directory) throw new RingloadError('internal', `find region slot ${replaced.slot}`);
    recordDrop(this.#store, { region, directory }, replaced.recordOffset).catch(() => undefined);
    const id = table.index.find(segment.hash);
    for (const job of table.leasesOf(id)) {
      if (job === segment.loadedBy) continue;
      const { region: newRegion } = this.#place;
      const { recordOffset } = segment;
      leaseNotes.note({ directory: this.#directory, region: newRegion, recordOffset, job });
    }
  }
}
