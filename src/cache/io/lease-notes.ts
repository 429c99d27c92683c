/**
 * Writes down leases that a segment's own record does not tell: a job that found the segment
 * already resident. Notes of one job about one region are gathered into one record.
 *
 * A lease is in force at once and durable with the next group. Notes in a sidecar are bounded; a
 * lease beyond the bound holds until the next start only, and the job's owner takes it again.
 */
import type { JobId } from '../../base/ids.ts';
import type { Crc32c } from '../crc32c.ts';
import type { Region } from '../region.ts';
import { LEASE_RECORD_MAX_COUNT, encodeLeaseRecord } from '../sidecar-format.ts';
import type { CacheDirectory } from './cache-directory.ts';

/** Notes of a sidecar may take this share of its region's size, and at least the minimum. */
const NOTES_MAX_SHARE = 1 / 64;
const NOTES_MIN_BYTES = 64 * 1024;
const NOTE_BYTES = 4;
const RECORD_BYTES = 64;

export class LeaseNotes {
  readonly #crc32c: Crc32c;
  /** Offsets that the next group writes, by region and job. */
  readonly #open = new Map<string, number[]>();

  constructor(crc32c: Crc32c) {
    this.#crc32c = crc32c;
  }

  note(copy: {
    readonly directory: CacheDirectory;
    readonly region: Region;
    readonly recordOffset: number;
    readonly job: JobId;
  }): void {
    const { directory, region, job } = copy;
    const name = `${region.slot}:${job}`;
    const gathered = this.#open.get(name);
    const costBytes = gathered ? NOTE_BYTES : NOTE_BYTES + RECORD_BYTES;
    const maxBytes = Math.max(NOTES_MIN_BYTES, region.sizeBytes * NOTES_MAX_SHARE);
    if (region.noteBytes + costBytes > maxBytes) return;
    region.noteBytes += costBytes;
    if (gathered && gathered.length < LEASE_RECORD_MAX_COUNT) {
      gathered.push(copy.recordOffset);
      return;
    }
    const offsets = [copy.recordOffset];
    this.#open.set(name, offsets);
    directory.commits.note({
      region,
      isAboutNewData: false,
      encode: () => {
        if (this.#open.get(name) === offsets) this.#open.delete(name);
        return encodeLeaseRecord(job, offsets, { salt: region.salt, crc32c: this.#crc32c });
      },
    });
  }
}
