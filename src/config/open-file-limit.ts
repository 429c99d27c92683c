/** How many files this process may have open: a limit of the system, not a setting of ours. */
import { RingloadError } from '../base/errors.ts';

/** Starting a peer opens its modules, 100 at once; a load needs more than a hundred sockets. */
const OPEN_FILE_MIN_COUNT = 256;

/** Infinity where there is none, or it is not known. */
export function openFileLimit(): number {
  const { userLimits } = process.report.getReport() as unknown as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } };
  };
  const limit = Number(userLimits?.open_files?.soft);
  return Number.isNaN(limit) ? Infinity : limit;
}

/** @throws config_invalid where a peer could not live with the limit. */
export function checkOpenFileLimit(limit = openFileLimit()): void {
  if (limit >= OPEN_FILE_MIN_COUNT) return;
  throw new RingloadError(
    'config_invalid',
    `the limit of open files is ${limit}, a peer needs ${OPEN_FILE_MIN_COUNT} at least: ` +
      'raise it (ulimit -n, LimitNOFILE)',
  );
}
