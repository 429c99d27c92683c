/** Translates what the operating system says about a cache file, once, at this boundary. */
import { isOutOfDescriptors } from '../../base/descriptors.ts';
import { RingloadError } from '../../base/errors.ts';

/** A full disk is a limit to live with, not a fault of the disk. */
export function isDiskFull(error: RingloadError): boolean {
  const { systemCode } = error.details;
  return systemCode === 'ENOSPC' || systemCode === 'EDQUOT';
}

/** The process may open no more files: nothing is wrong with the disk, or with what is on it. */
export function isShortOfFiles(error: unknown): boolean {
  return error instanceof RingloadError && isOutOfDescriptors(error.details['systemCode']);
}

export function cacheIoError(action: string, thrown: unknown): RingloadError {
  if (thrown instanceof RingloadError) return thrown;
  const code = (thrown as { code?: unknown } | null)?.code;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new RingloadError('cache_io', `${action}: ${reason}`, {
    ...(typeof code === 'string' ? { details: { systemCode: code } } : {}),
    cause: thrown,
  });
}
