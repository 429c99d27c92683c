/**
 * How records lie in a log segment, and what may be forgiven at its end.
 *
 * A record is a header of 20 bytes (magic, sequence within the segment, payload length, payload
 * CRC, CRC of the header so far; little endian) and a JSON payload. Each record is synced before
 * the next one is written, so a crash can damage the last record only, and only by leaving bytes
 * unwritten: cut off, or sectors of zeros. Everything else is damage to what was once durable, and
 * the reader refuses it rather than lose a vote or a committed entry in silence.
 */
import { crc32 } from './crc32.ts';

export const HEADER_BYTES = 20;
const MAGIC = 0x676f4c52;
const SECTOR_BYTES = 512;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true });

export interface ScannedSegment {
  readonly payloads: readonly string[];
  /** Where the next record belongs. */
  readonly sizeBytes: number;
  /** Bytes of an incomplete last record, to be cut off. */
  readonly tornBytes: number;
}

/** Damage that no crash explains. */
export class DamagedSegment extends Error {
  readonly offset: number;

  constructor(offset: number, reason: string) {
    super(reason);
    this.name = 'DamagedSegment';
    this.offset = offset;
  }
}

export function encodeRecord(sequence: number, payload: string): Uint8Array {
  const body = textEncoder.encode(payload);
  const record = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, sequence, true);
  view.setUint32(8, body.length, true);
  view.setUint32(12, crc32(body), true);
  view.setUint32(16, crc32(record.subarray(0, 16)), true);
  record.set(body, HEADER_BYTES);
  return record;
}

/**
 * Reads a whole segment. Its first record was durable before the segment got its name, so it can
 * not be torn.
 * @throws DamagedSegment
 */
export function scanSegment(bytes: Uint8Array): ScannedSegment {
  const payloads: string[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const damage = damageAt(bytes, offset, payloads.length);
    if (damage) {
      if (payloads.length === 0 || !isTorn(bytes, offset)) {
        throw new DamagedSegment(offset, damage);
      }
      return { payloads, sizeBytes: offset, tornBytes: bytes.length - offset };
    }
    const end = recordEnd(bytes, offset);
    payloads.push(textDecoder.decode(bytes.subarray(offset + HEADER_BYTES, end)));
    offset = end;
  }
  if (payloads.length === 0) throw new DamagedSegment(0, 'the file is empty');
  return { payloads, sizeBytes: offset, tornBytes: 0 };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function recordEnd(bytes: Uint8Array, offset: number): number {
  return offset + HEADER_BYTES + viewOf(bytes).getUint32(offset + 8, true);
}

function hasValidHeader(bytes: Uint8Array, offset: number): boolean {
  if (offset + HEADER_BYTES > bytes.length) return false;
  const view = viewOf(bytes);
  return (
    view.getUint32(offset, true) === MAGIC &&
    view.getUint32(offset + 16, true) === crc32(bytes.subarray(offset, offset + 16))
  );
}

/** What is wrong with the record at `offset`; undefined when it is sound. */
function damageAt(bytes: Uint8Array, offset: number, sequence: number): string | undefined {
  if (offset + HEADER_BYTES > bytes.length) return 'the file ends within a record header';
  if (!hasValidHeader(bytes, offset)) return 'the record header fails its checksum';
  const view = viewOf(bytes);
  const end = recordEnd(bytes, offset);
  if (end > bytes.length) return 'the file ends within a record';
  const found = view.getUint32(offset + 4, true);
  if (found !== sequence) return `expected record ${sequence}, found record ${found}`;
  if (crc32(bytes.subarray(offset + HEADER_BYTES, end)) !== view.getUint32(offset + 12, true)) {
    return 'the record payload fails its checksum';
  }
  return undefined;
}

/** Whether the damaged record at `offset` can be the one write that a crash interrupted. */
function isTorn(bytes: Uint8Array, offset: number): boolean {
  if (offset + HEADER_BYTES > bytes.length) return true;
  if (hasValidHeader(bytes, offset)) {
    const end = recordEnd(bytes, offset);
    if (end > bytes.length) return true;
    return end === bytes.length && hasUnwrittenSector(bytes, offset);
  }
  return hasUnwrittenSector(bytes, offset) && !hasRecordAfter(bytes, offset);
}

/**
 * Whether a whole sector from `offset` on, as far as it belongs to the tail, reads as zeros: the
 * file grew but that sector was never written. JSON has no zero bytes and no header is all zeros.
 */
function hasUnwrittenSector(bytes: Uint8Array, offset: number): boolean {
  let start = offset;
  while (start < bytes.length) {
    const end = Math.min(bytes.length, (Math.floor(start / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    // A few bytes inside the header may well be zeros in a sound record.
    const isTelling = start === offset || end > offset + HEADER_BYTES;
    if (isTelling && isZero(bytes, start, end)) return true;
    start = end;
  }
  return false;
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}

function hasRecordAfter(bytes: Uint8Array, offset: number): boolean {
  for (let at = offset + 1; at + HEADER_BYTES <= bytes.length; at++) {
    if (bytes[at] === (MAGIC & 0xff) && hasValidHeader(bytes, at)) return true;
  }
  return false;
}
