/**
 * Reads a sidecar from front to back in bounded windows. A damaged record is stepped over to the
 * next sound one; damage with nothing sound behind it is a torn tail and ends the log.
 */
import type { Crc32c } from '../crc32c.ts';
import {
  RECORD_ALIGNMENT_BYTES,
  RECORD_MAX_BYTES,
  SIDECAR_HEADER_BYTES,
  claimedLength,
  decodeRecord,
  type SidecarRecord,
} from '../sidecar-format.ts';
import type { DiskFile } from './disk.ts';

const WINDOW_BYTES = 4 * RECORD_MAX_BYTES;

export type SidecarSource = Pick<DiskFile, 'read' | 'size'>;

export interface ScannedRecord {
  readonly recordOffset: number;
  readonly record: SidecarRecord;
}

/** Records of one window; they share its memory and are valid until the next is asked for. */
export interface ScannedWindow {
  readonly records: readonly ScannedRecord[];
  /** Ends of sound records: at the last window, where the log goes on. */
  readonly validEnd: number;
  /** Damaged stretches stepped over so far. */
  readonly damagedCount: number;
}

export async function* scanSidecar(
  file: SidecarSource,
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): AsyncGenerator<ScannedWindow> {
  const sizeBytes = await file.size();
  let position = SIDECAR_HEADER_BYTES;
  let validEnd = position;
  let damagedCount = 0;
  let isInDamage = false;
  while (position < sizeBytes) {
    const window = new Uint8Array(Math.min(WINDOW_BYTES, sizeBytes - position));
    const bytes = window.subarray(0, await file.read(window, position));
    const isLast = position + bytes.length >= sizeBytes || bytes.length < window.length;
    const records: ScannedRecord[] = [];
    let at = 0;
    while (at < bytes.length) {
      const length = claimedLength(bytes, at);
      // Why: what does not end in this window is looked at again at the start of the next one.
      const isCut = at + (length ?? RECORD_MAX_BYTES) > bytes.length;
      if (isCut && !isLast && at > 0 && bytes.length - at < RECORD_MAX_BYTES) break;
      const record =
        length === undefined || isCut
          ? undefined
          : decodeRecord(bytes.subarray(at, at + length), seal);
      if (record && length !== undefined) {
        if (isInDamage) damagedCount++;
        isInDamage = false;
        records.push({ recordOffset: position + at, record });
        at += length;
        validEnd = position + at;
      } else {
        isInDamage = true;
        at += RECORD_ALIGNMENT_BYTES;
      }
    }
    position += at;
    yield { records, validEnd, damagedCount };
    if (isLast) return;
  }
}
