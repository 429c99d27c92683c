/** What to do about a failed task, by the code of its error. */
import type { WireError } from '../base/errors.ts';

/**
 * `retry`: the same work again, later. `elsewhere`: let another owner fetch it first. `wait`:
 * the under store is busy, ask it again later. `restat`: the object may be another version now.
 * `refetch`: once more, and not again. `fail-file`, `fail-job`: no retry can help.
 */
export type FailureClass =
  'retry' | 'elsewhere' | 'wait' | 'restat' | 'refetch' | 'fail-file' | 'fail-job';

export function classify(error: WireError): FailureClass {
  switch (error.code) {
    case 'ufs_throttled':
      return 'wait';
    case 'ufs_changed':
      return 'restat';
    case 'ufs_not_found':
      return error.details?.['bucket'] === true ? 'fail-job' : 'restat';
    case 'ufs_corrupt':
      return 'refetch';
    case 'ufs_forbidden':
    case 'cache_full':
    case 'path_not_mounted':
    case 'invalid_argument':
      return 'fail-file';
    case 'ufs_credentials':
      return 'fail-job';
    case 'cache_io':
    case 'overloaded':
    case 'deadline_exceeded':
      return 'elsewhere';
    default:
      return 'retry';
  }
}

/** Alluxio's name for why a task failed, for reports. */
export function reasonOf(error: WireError): string {
  switch (error.code) {
    case 'cancelled':
      return 'CANCELLED';
    case 'peer_unreachable':
      return 'WORKER_NOT_REACHABLE';
    case 'deadline_exceeded':
      return 'WORKER_RPC_FAILED';
    case 'stale_epoch':
      return 'MEMBERSHIP_CHANGED';
    default:
      return 'WORKER_FAILED';
  }
}

/** Exponential back-off before attempt `attempt` (1 is the first retry), without jitter. */
export function backoffMs(attempt: number, delayMs: number, delayMaxMs: number): number {
  return Math.min(delayMaxMs, delayMs * 2 ** Math.min(attempt - 1, 16));
}
