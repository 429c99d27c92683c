/** The checksums that clients of S3 declare, of bytes that pass by. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';
import { Crc64Nvme } from '../../base/crc64nvme.ts';
import type { ChecksumName, RunningSum } from '../payload.ts';

export function newRunningSum(name: ChecksumName): RunningSum {
  if (name === 'sha1' || name === 'sha256') {
    const hash = createHash(name);
    return {
      update: (bytes) => void hash.update(bytes),
      result: () => hash.digest('base64'),
    };
  }
  if (name === 'crc64nvme') {
    const sum = new Crc64Nvme();
    return {
      update: (bytes) => {
        sum.update(bytes);
      },
      result: () => {
        const digits = Buffer.alloc(8);
        digits.writeBigUInt64BE(sum.value());
        return digits.toString('base64');
      },
    };
  }
  let value = 0;
  return {
    update: (bytes) => {
      value = name === 'crc32' ? crc32(bytes, value) : crc32c(bytes, value);
    },
    result: () => {
      const digits = Buffer.alloc(4);
      digits.writeUInt32BE(value >>> 0);
      return digits.toString('base64');
    },
  };
}
