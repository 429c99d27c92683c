/**
 * Checks a whole object against the checksum that the store sent with it.
 *
 * Ours and not the SDK's, so that it spans a body that was resumed, and neither hangs nor hides the
 * socket behind a second stream. Composite multipart checksums (`…-N`) say nothing about the bytes
 * in one piece; CRC64-NVME has no fast implementation here. Both count as absent.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { crc32c } from '@node-rs/crc32';

export interface ResponseChecksums {
  readonly ChecksumCRC32C?: string | undefined;
  readonly ChecksumCRC32?: string | undefined;
  readonly ChecksumSHA256?: string | undefined;
  readonly ChecksumSHA1?: string | undefined;
  readonly ChecksumType?: string | undefined;
}

export interface ChecksumVerifier {
  readonly algorithm: string;
  update(bytes: Uint8Array): void;
  /** After the last byte. */
  matches(): boolean;
}

/** Undefined when the answer carries nothing that can be checked. */
export function verifierOf(answer: ResponseChecksums): ChecksumVerifier | undefined {
  if (answer.ChecksumType === 'COMPOSITE') return undefined;
  const { ChecksumCRC32C, ChecksumCRC32, ChecksumSHA256, ChecksumSHA1 } = answer;
  if (isWhole(ChecksumCRC32C)) return crcVerifier('crc32c', crc32c, ChecksumCRC32C);
  if (isWhole(ChecksumCRC32)) {
    return crcVerifier('crc32', (bytes, value) => crc32(bytes, value), ChecksumCRC32);
  }
  if (isWhole(ChecksumSHA256)) return hashVerifier('sha256', ChecksumSHA256);
  if (isWhole(ChecksumSHA1)) return hashVerifier('sha1', ChecksumSHA1);
  return undefined;
}

function isWhole(value: string | undefined): value is string {
  return value !== undefined && /^[A-Za-z0-9+/]+=*$/.test(value);
}

function crcVerifier(
  algorithm: string,
  step: (bytes: Uint8Array, value: number) => number,
  expected: string,
): ChecksumVerifier {
  let value = 0;
  return {
    algorithm,
    update: (bytes) => {
      value = step(bytes, value);
    },
    matches: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value >>> 0);
      return bytes.toString('base64') === expected;
    },
  };
}

function hashVerifier(algorithm: 'sha1' | 'sha256', expected: string): ChecksumVerifier {
  const hash = createHash(algorithm);
  return {
    algorithm,
    update: (bytes) => void hash.update(bytes),
    matches: () => hash.digest('base64') === expected,
  };
}
