/**
 * The one error class and the closed table of its codes.
 *
 * Routes read `httpStatus`, the CLI reads `exitCode`, retry loops read `retryable`: nobody tests
 * for classes. Foreign errors are translated once, at the boundary where they appear, and kept as
 * `cause`.
 */

interface ErrorTraits {
  readonly httpStatus: number;
  readonly exitCode: number;
  readonly retryable: boolean;
  readonly meaning: string;
}

/** Every code with its HTTP status, CLI exit code, and whether the same call may succeed later. */
export const ERROR_TABLE = {
  invalid_argument: t(400, 2, false, 'the request can never succeed as written'),
  path_not_mounted: t(400, 2, false, 'the path lies outside every configured mount'),
  unauthenticated: t(401, 5, false, 'credentials are missing or wrong'),
  forbidden: t(403, 5, false, 'the caller may not do this'),
  not_found: t(404, 3, false, 'nothing exists under that name'),
  method_not_allowed: t(405, 2, false, 'the resource does not support this method'),
  conflict: t(409, 1, false, 'the state of the resource does not allow this'),
  payload_too_large: t(413, 2, false, 'the body or a field is over its limit'),
  range_not_satisfiable: t(416, 2, false, 'the byte range lies outside the file'),
  overloaded: t(429, 75, true, 'a bounded queue is full'),
  partially_failed: t(500, 1, false, 'some files of a job could not be loaded'),
  internal: t(500, 70, false, 'a fault of this program'),
  not_leader: t(503, 75, true, 'another member leads; the details name it when known'),
  no_leader: t(503, 4, true, 'no leader is elected at the moment'),
  stale_term: t(409, 75, false, 'an order of a deposed leader'),
  stale_epoch: t(409, 75, true, 'the ring of the caller is older than ours'),
  peer_unreachable: t(502, 75, true, 'another peer does not answer'),
  peer_refused: t(
    502,
    78,
    false,
    'another peer refuses this one: cluster, secret or version differ',
  ),
  deadline_exceeded: t(504, 6, true, 'the time allowed is used up'),
  cancelled: t(499, 130, false, 'the caller gave up'),
  segment_corrupt: t(500, 1, true, 'a checksum failed; the copy is dropped'),
  cache_full: t(507, 1, false, 'nothing in the cache may be evicted for this'),
  cache_io: t(500, 1, true, 'a cache directory failed'),
  ufs_not_found: t(404, 3, false, 'the object or bucket does not exist in the under store'),
  ufs_changed: t(409, 1, false, 'the object is no longer the version that was asked for'),
  ufs_forbidden: t(403, 5, false, 'the under store refuses access to this object'),
  ufs_credentials: t(502, 5, false, 'the under store does not accept our credentials'),
  ufs_throttled: t(503, 75, true, 'the under store asks us to slow down'),
  ufs_unavailable: t(502, 69, true, 'the under store did not answer usefully'),
  ufs_bad_response: t(502, 69, true, 'the under store answered something else than was asked'),
  ufs_corrupt: t(
    502,
    69,
    true,
    'the bytes of an object do not match the checksum that its store has',
  ),
  config_invalid: t(500, 78, false, 'the configuration is wrong'),
  data_dir_locked: t(500, 78, false, 'another process uses the data directory'),
  data_dir_foreign: t(500, 78, false, 'the data directory belongs to another cluster or version'),
  data_dir_io: t(500, 74, false, 'the disk of the data directory failed or is full'),
  data_corrupt: t(500, 78, false, 'a durable record is damaged where it must not be'),
  address_in_use: t(500, 78, false, 'a port is taken by another process'),
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** Values a client may use to react: small, flat, never secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

export class RingloadError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  /** @param message a lower-case verb phrase that carries the values, fit for a user's eyes. */
  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: ErrorDetails; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'RingloadError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get httpStatus(): number {
    return ERROR_TABLE[this.code].httpStatus;
  }
  get exitCode(): number {
    return ERROR_TABLE[this.code].exitCode;
  }
  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }
}

/** What an error looks like in a frame or a record; {@link fromWireError} is its inverse. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, text);
}

/** Any thrown value as a RingloadError; what we did not classify is `internal`. */
export function toRingloadError(thrown: unknown): RingloadError {
  if (thrown instanceof RingloadError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new RingloadError('internal', message, { cause: thrown });
}

export function toWireError(thrown: unknown): WireError {
  const error = toRingloadError(thrown);
  return Object.keys(error.details).length === 0
    ? { code: error.code, message: error.message }
    : { code: error.code, message: error.message, details: error.details };
}

export function fromWireError(wire: WireError): RingloadError {
  const code = isErrorCode(wire.code) ? wire.code : 'internal';
  return new RingloadError(code, wire.message, wire.details ? { details: wire.details } : {});
}

function t(httpStatus: number, exitCode: number, retryable: boolean, meaning: string): ErrorTraits {
  return { httpStatus, exitCode, retryable, meaning };
}
