/**
 * The bytes of a region's sidecar: a header that names the region's generation, then a log of
 * records about segments in the region's data file. Pure encoding and decoding, little-endian.
 *
 * Every record carries a CRC32C that starts from the generation's salt: records of an earlier
 * generation, or bytes that a key smuggled into the file, never pass for records of this one.
 */
import { jobId, type JobId } from '../base/ids.ts';
import type { Crc32c } from './crc32c.ts';
import { CHECKSUM_BLOCK_BYTES, type SegmentKey } from './segment-store.ts';
import type { KeyHash } from './key-hash.ts';

export const SIDECAR_FORMAT_VERSION = 1;
export const SIDECAR_HEADER_BYTES = 64;
/** Bound of one record: keys of 8 KiB each and the checksums of a whole region fit. */
export const RECORD_MAX_BYTES = 256 * 1024;
export const RECORD_ALIGNMENT_BYTES = 8;

const HEADER_MAGIC = 0x434c_5231;
const RECORD_MAGIC = 0x524c_5231;
const RECORD_HEAD_BYTES = 16;
const SEGMENT_FIXED_BYTES = 80;
const KIND_SEGMENT = 1;
const KIND_DROP = 2;
const KIND_LEASE = 3;
/** Offsets in one lease record. */
export const LEASE_RECORD_MAX_COUNT = 8 * 1024;

export interface SidecarHeader {
  readonly regionId: number;
  readonly regionSizeBytes: number;
  /** Grows with every reset of any region of the directory: the order in which they were filled. */
  readonly sequence: number;
  readonly salt: number;
}

export interface SegmentRecord {
  readonly kind: 'segment';
  readonly hash: KeyHash;
  readonly digest: bigint;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly crc32c: number;
  readonly loadedBy: JobId | undefined;
  /** The record's bytes, from which {@link decodeBody} takes the rest; as short-lived as they. */
  readonly bytes: Uint8Array;
}

/** The segment whose record lies at `recordOffset` is gone. */
export interface DropRecord {
  readonly kind: 'drop';
  readonly recordOffset: number;
}

/** `job` leased the segments whose records lie at these offsets. */
export interface LeaseRecord {
  readonly kind: 'lease';
  readonly job: JobId;
  readonly recordOffsets: Uint32Array;
}

export type SidecarRecord = SegmentRecord | DropRecord | LeaseRecord;

/** What only the holder of the whole record knows: the key in full and the block checksums. */
export interface SegmentBody {
  readonly key: SegmentKey;
  readonly blockCrc32c: Uint32Array;
}

export function encodeHeader(header: SidecarHeader, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(SIDECAR_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, HEADER_MAGIC, true);
  view.setUint32(4, SIDECAR_FORMAT_VERSION, true);
  view.setBigUint64(8, BigInt(header.sequence), true);
  view.setBigUint64(16, BigInt(header.regionSizeBytes), true);
  view.setUint32(24, header.regionId, true);
  view.setUint32(28, header.salt, true);
  view.setUint32(60, crc32c(bytes.subarray(0, 60)), true);
  return bytes;
}

/** Undefined when damaged, or of another format version. */
export function decodeHeader(bytes: Uint8Array, crc32c: Crc32c): SidecarHeader | undefined {
  if (bytes.length < SIDECAR_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== HEADER_MAGIC) return undefined;
  if (view.getUint32(60, true) !== crc32c(bytes.subarray(0, 60))) return undefined;
  if (view.getUint32(4, true) !== SIDECAR_FORMAT_VERSION) return undefined;
  return {
    sequence: Number(view.getBigUint64(8, true)),
    regionSizeBytes: Number(view.getBigUint64(16, true)),
    regionId: view.getUint32(24, true),
    salt: view.getUint32(28, true),
  };
}

export function encodeSegmentRecord(
  segment: {
    readonly hash: KeyHash;
    readonly digest: bigint;
    readonly key: SegmentKey;
    readonly offset: number;
    readonly lengthBytes: number;
    readonly crc32c: number;
    readonly blockCrc32c: Uint32Array;
    readonly loadedBy: JobId | undefined;
  },
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): Uint8Array {
  const job = Buffer.from(segment.loadedBy ?? '');
  const path = Buffer.from(segment.key.path);
  const version = Buffer.from(segment.key.version);
  const textEnd = SEGMENT_FIXED_BYTES + job.length + path.length + version.length;
  const blocksAt = alignUp(textEnd, 4);
  const bytes = newRecord(KIND_SEGMENT, blocksAt + segment.blockCrc32c.length * 4, job.length);
  const view = viewOf(bytes);
  for (let word = 0; word < 4; word++) view.setUint32(16 + word * 4, segment.hash[word] ?? 0, true);
  view.setBigUint64(32, segment.digest, true);
  view.setUint32(40, segment.offset, true);
  view.setUint32(44, segment.lengthBytes, true);
  view.setUint32(48, segment.crc32c, true);
  view.setUint32(52, segment.blockCrc32c.length, true);
  view.setBigUint64(56, BigInt(segment.key.segmentSizeBytes), true);
  view.setBigUint64(64, BigInt(segment.key.index), true);
  view.setUint32(72, path.length, true);
  view.setUint32(76, version.length, true);
  bytes.set(job, SEGMENT_FIXED_BYTES);
  bytes.set(path, SEGMENT_FIXED_BYTES + job.length);
  bytes.set(version, SEGMENT_FIXED_BYTES + job.length + path.length);
  segment.blockCrc32c.forEach((crc, block) => {
    view.setUint32(blocksAt + block * 4, crc, true);
  });
  return sealRecord(bytes, seal);
}

export function encodeDropRecord(
  recordOffset: number,
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): Uint8Array {
  const bytes = newRecord(KIND_DROP, RECORD_HEAD_BYTES + 4, 0);
  viewOf(bytes).setUint32(RECORD_HEAD_BYTES, recordOffset, true);
  return sealRecord(bytes, seal);
}

/** @param recordOffsets at most {@link LEASE_RECORD_MAX_COUNT}. */
export function encodeLeaseRecord(
  job: JobId,
  recordOffsets: readonly number[],
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): Uint8Array {
  const jobBytes = Buffer.from(job);
  const offsetsAt = RECORD_HEAD_BYTES + 4;
  const end = offsetsAt + recordOffsets.length * 4;
  const bytes = newRecord(KIND_LEASE, end + jobBytes.length, jobBytes.length);
  const view = viewOf(bytes);
  view.setUint32(RECORD_HEAD_BYTES, recordOffsets.length, true);
  recordOffsets.forEach((offset, position) => {
    view.setUint32(offsetsAt + position * 4, offset, true);
  });
  bytes.set(jobBytes, end);
  return sealRecord(bytes, seal);
}

/** How long the record at `position` says it is; undefined when no record can start there. */
export function claimedLength(bytes: Uint8Array, position: number): number | undefined {
  if (position + RECORD_HEAD_BYTES > bytes.length) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(position, true) !== RECORD_MAGIC) return undefined;
  const length = view.getUint32(position + 4, true);
  const isPlausible =
    length >= RECORD_HEAD_BYTES + 4 &&
    length <= RECORD_MAX_BYTES &&
    length % RECORD_ALIGNMENT_BYTES === 0;
  return isPlausible ? length : undefined;
}

/** Decodes exactly one whole record; undefined when it is damaged. */
export function decodeRecord(
  bytes: Uint8Array,
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): SidecarRecord | undefined {
  if (claimedLength(bytes, 0) !== bytes.length) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(8, true) !== checksumOf(bytes, seal)) return undefined;
  const jobLength = view.getUint16(14, true);
  switch (view.getUint16(12, true)) {
    case KIND_SEGMENT:
      return decodeSegment(bytes, view, jobLength);
    case KIND_DROP:
      return { kind: 'drop', recordOffset: view.getUint32(RECORD_HEAD_BYTES, true) };
    case KIND_LEASE:
      return decodeLease(bytes, view, jobLength);
    default:
      return undefined;
  }
}

function decodeSegment(
  bytes: Uint8Array,
  view: DataView,
  jobLength: number,
): SegmentRecord | undefined {
  if (bytes.length < SEGMENT_FIXED_BYTES) return undefined;
  const hash = new Uint32Array(4);
  for (let word = 0; word < 4; word++) hash[word] = view.getUint32(16 + word * 4, true);
  const lengthBytes = view.getUint32(44, true);
  if (view.getUint32(52, true) !== Math.ceil(lengthBytes / CHECKSUM_BLOCK_BYTES)) return undefined;
  return {
    kind: 'segment',
    hash,
    digest: view.getBigUint64(32, true),
    offset: view.getUint32(40, true),
    lengthBytes,
    crc32c: view.getUint32(48, true),
    loadedBy: jobLength === 0 ? undefined : jobId(textOf(bytes, SEGMENT_FIXED_BYTES, jobLength)),
    bytes,
  };
}

function decodeLease(bytes: Uint8Array, view: DataView, jobLength: number): LeaseRecord {
  const count = Math.min(view.getUint32(RECORD_HEAD_BYTES, true), LEASE_RECORD_MAX_COUNT);
  const offsetsAt = RECORD_HEAD_BYTES + 4;
  const recordOffsets = new Uint32Array(count);
  for (let position = 0; position < count; position++) {
    recordOffsets[position] = view.getUint32(offsetsAt + position * 4, true);
  }
  return {
    kind: 'lease',
    job: jobId(textOf(bytes, offsetsAt + count * 4, jobLength)),
    recordOffsets,
  };
}

/** The rest of a segment record that {@link decodeRecord} accepted. */
export function decodeBody(record: SegmentRecord): SegmentBody {
  const { bytes } = record;
  const view = viewOf(bytes);
  const pathAt = SEGMENT_FIXED_BYTES + view.getUint16(14, true);
  const pathLength = view.getUint32(72, true);
  const versionLength = view.getUint32(76, true);
  const blocksAt = alignUp(pathAt + pathLength + versionLength, 4);
  const blockCrc32c = new Uint32Array(view.getUint32(52, true));
  for (let block = 0; block < blockCrc32c.length; block++) {
    blockCrc32c[block] = view.getUint32(blocksAt + block * 4, true);
  }
  return {
    key: {
      path: textOf(bytes, pathAt, pathLength),
      version: textOf(bytes, pathAt + pathLength, versionLength),
      segmentSizeBytes: Number(view.getBigUint64(56, true)),
      index: Number(view.getBigUint64(64, true)),
    },
    blockCrc32c,
  };
}

function newRecord(kind: number, contentEnd: number, jobLength: number): Uint8Array {
  const bytes = new Uint8Array(alignUp(contentEnd, RECORD_ALIGNMENT_BYTES));
  const view = viewOf(bytes);
  view.setUint32(0, RECORD_MAGIC, true);
  view.setUint32(4, bytes.length, true);
  view.setUint16(12, kind, true);
  view.setUint16(14, jobLength, true);
  return bytes;
}

function sealRecord(
  bytes: Uint8Array,
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): Uint8Array {
  viewOf(bytes).setUint32(8, checksumOf(bytes, seal), true);
  return bytes;
}

function checksumOf(
  bytes: Uint8Array,
  seal: { readonly salt: number; readonly crc32c: Crc32c },
): number {
  return seal.crc32c(bytes.subarray(12), seal.crc32c(bytes.subarray(0, 8), seal.salt));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textOf(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString();
}

function alignUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
