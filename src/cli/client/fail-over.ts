/**
 * The policy of fail-over: what a round over all peers that brought no answer means. How long to
 * pause, how often to go round, and which of the failures to report. Pure, but for the jitter.
 */
import { RingloadError } from '../../base/errors.ts';
import { addressOf } from './peer-list.ts';

const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 2_000;
/** A peer may ask for patience, but not for this much of the caller's time at once. */
const RETRY_AFTER_MAX_MS = 5_000;
/** Rounds over peers that all refuse connections: nobody is there, waiting longer is no help. */
const REFUSED_MAX_ROUNDS = 4;
/** Rounds over an error that other peers may not see, but that is not about the cluster. */
const FAULT_MAX_ROUNDS = 2;
const FAILURES_SHOWN_MAX = 5;

/** The last failure of each peer, by origin. */
export type Failures = ReadonlyMap<string, RingloadError>;

/** Before the next round: the longer of our own back-off and what the peers ask for. */
export function pauseMs(round: number, failures: Failures): number {
  return Math.max(backoffMs(round), retryAfterMs(failures));
}

/** Full jitter: many clients that lost the same leader must not come back together. */
function backoffMs(round: number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (round - 1));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}

function retryAfterMs(failures: Failures): number {
  const told = [...failures.values()].flatMap(({ details }) =>
    typeof details['retryAfterMs'] === 'number' ? [details['retryAfterMs']] : [],
  );
  return Math.min(RETRY_AFTER_MAX_MS, ...told, told.length === 0 ? 0 : RETRY_AFTER_MAX_MS);
}

/** Refused connections were never delivered; of everything else one cannot know. */
export function mayHaveArrived(error: RingloadError): boolean {
  const code = error.details['systemCode'];
  if (typeof code === 'string') return !NEVER_DELIVERED.has(code);
  return error.code === 'deadline_exceeded' || error.code === 'peer_unreachable';
}

const NEVER_DELIVERED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Codes that mean "the cluster is electing or overloaded": worth all the time there is. */
const WAIT_OUT: ReadonlySet<string> = new Set([
  'no_leader',
  'not_leader',
  'stale_epoch',
  'overloaded',
  'deadline_exceeded',
]);

/** How many rounds are worth while, the caller's time permitting. */
export function roundsMax(failures: Failures): number {
  const errors = [...failures.values()];
  if (errors.some((error) => WAIT_OUT.has(error.code))) return Number.POSITIVE_INFINITY;
  return errors.every((error) => error.code === 'peer_unreachable')
    ? REFUSED_MAX_ROUNDS
    : FAULT_MAX_ROUNDS;
}

/** The failure that tells most: what a peer said, before that a peer could not be reached. */
export function tellingFailure(failures: Failures): RingloadError | undefined {
  const errors = [...failures.values()];
  return errors.find((error) => error.details['httpStatus'] !== undefined) ?? errors[0];
}

export function summaryOf(failures: Failures, timeoutMs: number): RingloadError {
  const telling = tellingFailure(failures);
  if (telling === undefined) {
    return new RingloadError('deadline_exceeded', `no peer answered within ${timeoutMs} ms`);
  }
  if (telling.details['httpStatus'] !== undefined) return telling;
  const shown = [...failures]
    .slice(0, FAILURES_SHOWN_MAX)
    .map(([origin, error]) => describeFailure(origin, error));
  if (failures.size > shown.length) shown.push(`and ${failures.size - shown.length} more`);
  return new RingloadError(telling.code, `no peer answers (${shown.join('; ')})`, {
    cause: telling,
  });
}

/** `10.0.0.1:19999: connection refused` */
export function describeFailure(origin: string, error: RingloadError): string {
  const address = addressOf(origin);
  return error.message.startsWith(address) ? error.message : `${address}: ${error.message}`;
}
