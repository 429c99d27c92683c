/**
 * Identities of segments and sums of them: how a peer proves to the leader what it holds.
 *
 * A pure function of what was loaded, the same on every peer and in every release. The sum does
 * not depend on order, so inventories are merged by adding them.
 */
import { hash } from 'node:crypto';

import type { FileRecord } from './file-catalog.ts';
import type { SegmentKey } from './segment-store.ts';

/** Hex digits of a digest. */
const DIGEST_LENGTH = 16;
const MASK_64 = (1n << 64n) - 1n;

/**
 * First 8 bytes (big-endian) of SHA-256 over path, version, segment size, index, length and
 * CRC32C. Texts go in as UTF-8 behind their length in bytes, numbers in decimal, and every part
 * ends in a zero byte: no two different segments give the same input.
 */
export function segmentDigest(key: SegmentKey, lengthBytes: number, crc32c: number): bigint {
  const { segmentSizeBytes, index } = key;
  return digestOf(`${nameOf(key)}${segmentSizeBytes}\0${index}\0${lengthBytes}\0${crc32c}\0`);
}

/**
 * The same of a file's record: path, version, size and layout. Who loaded it, when it was modified
 * and how many copies are wanted say nothing about what is cached.
 */
export function recordDigest(record: FileRecord): bigint {
  const { sizeBytes, segmentSizeBytes, segmented } = record;
  return digestOf(`record\0${nameOf(record)}${sizeBytes}\0${segmentSizeBytes}\0${segmented}\0`);
}

function nameOf({ path, version }: { readonly path: string; readonly version: string }): string {
  return `${Buffer.byteLength(path)}\0${path}\0${Buffer.byteLength(version)}\0${version}\0`;
}

function digestOf(text: string): bigint {
  return BigInt(`0x${hash('sha256', text, 'hex').slice(0, DIGEST_LENGTH)}`);
}

/** Sum modulo 2^64: the digest of the union of two disjoint sets. */
export function addDigests(left: bigint, right: bigint): bigint {
  return (left + right) & MASK_64;
}

/** 16 lower-case hex digits. */
export function formatDigest(digest: bigint): string {
  return digest.toString(16).padStart(DIGEST_LENGTH, '0');
}

/** The inverse of {@link formatDigest}. */
export function parseDigest(text: string): bigint {
  return BigInt(`0x${text}`);
}
