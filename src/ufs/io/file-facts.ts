/** What is told of a file, and what becomes of the errors of a file system. */
import type { BigIntStats } from 'node:fs';
import { RingloadError, type ErrorCode } from '../../base/errors.ts';
import type { UfsObject } from '../under-store.ts';

export function describe(path: string, stats: BigIntStats): UfsObject {
  return {
    path,
    sizeBytes: Number(stats.size),
    version: versionOf(stats),
    mtimeMs: Number(stats.mtimeMs),
  };
}

export function versionOf({ size, mtimeNs, ino }: BigIntStats): string {
  return [size, mtimeNs, ino].map((part) => part.toString(16)).join('-');
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'ufs_not_found',
  ENOTDIR: 'ufs_not_found',
  ENAMETOOLONG: 'ufs_not_found',
  EACCES: 'ufs_forbidden',
  EPERM: 'ufs_forbidden',
  ELOOP: 'ufs_forbidden',
};

export function classed(thrown: unknown, action: string): RingloadError {
  if (thrown instanceof RingloadError) return thrown;
  const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown error';
  return new RingloadError(CODES[code] ?? 'ufs_unavailable', `cannot ${action}: ${code}`, {
    details: { errno: code },
    cause: thrown,
  });
}
