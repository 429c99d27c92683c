/**
 * What an S3 call threw, as one of our codes.
 *
 * Nothing of the SDK's error objects is passed on: they carry the request, its signature and
 * whatever the server wrote. A message holds the path, the S3 error code, the HTTP status and the
 * request id, each checked to be a plain token.
 */
import { isOutOfDescriptors } from '../../base/descriptors.ts';
import { RingloadError, type ErrorCode } from '../../base/errors.ts';
import type { Failure } from '../retry.ts';

type Again = Failure['again'];

interface Verdict {
  readonly code: ErrorCode;
  readonly again: Again;
  readonly hint?: string;
  /** It is not about one key: no other of the bucket will be found either. */
  readonly isBucketGone?: true;
}

const CREDENTIALS: Verdict = { code: 'ufs_credentials', again: 'never' };
const UNAVAILABLE: Verdict = { code: 'ufs_unavailable', again: 'soon' };
const THROTTLED: Verdict = { code: 'ufs_throttled', again: 'later' };
const NO_DESCRIPTORS: Verdict = {
  code: 'overloaded',
  again: 'later',
  hint: 'the limit of open files of this peer is reached',
};
const FORBIDDEN: Verdict = { code: 'ufs_forbidden', again: 'never' };
const NOT_FOUND: Verdict = { code: 'ufs_not_found', again: 'never' };
const BAD_RESPONSE: Verdict = { code: 'ufs_bad_response', again: 'soon' };
const WRONG_REGION: Verdict = {
  code: 'config_invalid',
  again: 'never',
  hint: 'the bucket lives in another region: set the region of the mount',
};

/** By the code in the XML body; answers to HEAD have none. */
const BY_S3_CODE: Readonly<Record<string, Verdict>> = {
  NoSuchKey: NOT_FOUND,
  NoSuchBucket: { ...NOT_FOUND, hint: 'the bucket does not exist', isBucketGone: true },
  NoSuchVersion: NOT_FOUND,
  PreconditionFailed: { code: 'ufs_changed', again: 'never' },
  InvalidRange: { code: 'ufs_changed', again: 'never', hint: 'the object has become shorter' },
  AccessDenied: FORBIDDEN,
  AllAccessDisabled: FORBIDDEN,
  InvalidObjectState: { ...FORBIDDEN, hint: 'the object is archived and must be restored first' },
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  ExpiredToken: CREDENTIALS,
  ExpiredTokenException: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  TokenRefreshRequired: CREDENTIALS,
  InvalidSecurity: CREDENTIALS,
  NotSignedUp: CREDENTIALS,
  // The SDK has corrected its clock from the answer: the next signature is right.
  RequestTimeTooSkewed: { ...CREDENTIALS, again: 'corrected', hint: 'the clocks differ' },
  RequestExpired: { ...CREDENTIALS, again: 'corrected', hint: 'the clocks differ' },
  AuthorizationHeaderMalformed: WRONG_REGION,
  PermanentRedirect: WRONG_REGION,
  SlowDown: THROTTLED,
  ServiceUnavailable: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  TooManyRequests: THROTTLED,
  TooManyRequestsException: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  BandwidthLimitExceeded: THROTTLED,
  InternalError: UNAVAILABLE,
  RequestTimeout: UNAVAILABLE,
  OperationAborted: UNAVAILABLE,
  KeyTooLongError: { code: 'invalid_argument', again: 'never' },
};

const TLS_CODE = /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;
const TOKEN = /^[A-Za-z0-9._:/+=-]{1,128}$/;

interface ForeignError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  /** Of a look-up that failed. */
  readonly syscall?: unknown;
  readonly hostname?: unknown;
  readonly $fault?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown; readonly requestId?: unknown };
}

/**
 * Classes whatever an SDK call or the stream of a body threw.
 * @param action what was tried, for the message: `read s3://bucket/key`.
 */
export function classifyS3Failure(thrown: unknown, action: string): Failure {
  if (thrown instanceof RingloadError) return { error: thrown, again: againOf(thrown) };
  const foreign = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as ForeignError;
  const status = foreign.$metadata?.httpStatusCode;
  if (foreign.$fault !== undefined && typeof status === 'number') {
    return serviceFailure(foreign, status, action);
  }
  const name = tokenOf(foreign.name) ?? 'Error';
  const code = tokenOf(foreign.code) ?? name;
  const verdict = { ...transportVerdict(name, code), ...lookupHint(foreign) };
  const hint = verdict.hint === undefined ? '' : `; ${verdict.hint}`;
  const message = `cannot ${action}: ${code}${hint}`;
  const error = new RingloadError(verdict.code, message, { details: { cause: code } });
  return { error, again: verdict.again };
}

function serviceFailure(foreign: ForeignError, status: number, action: string): Failure {
  const s3Code = tokenOf(foreign.Code) ?? tokenOf(foreign.name) ?? 'Unknown';
  const requestId = tokenOf(foreign.$metadata?.requestId);
  const verdict = (Object.hasOwn(BY_S3_CODE, s3Code) && BY_S3_CODE[s3Code]) || byStatus(status);
  const shownId = requestId === undefined ? '' : `, request ${requestId}`;
  const hint = verdict.hint === undefined ? '' : `; ${verdict.hint}`;
  const details = {
    status,
    s3Code,
    ...(requestId !== undefined && { requestId }),
    ...(verdict.isBucketGone && { bucket: true }),
  };
  const error = new RingloadError(
    verdict.code,
    `cannot ${action}: ${s3Code} (HTTP ${status}${shownId})${hint}`,
    { details },
  );
  return { error, again: verdict.again };
}

function byStatus(status: number): Verdict {
  if (status === 404) return NOT_FOUND;
  if (status === 401) return CREDENTIALS;
  if (status === 412) return { code: 'ufs_changed', again: 'never' };
  if (status === 416) return { code: 'ufs_changed', again: 'never' };
  if (status === 429 || status === 503) return THROTTLED;
  if (status === 301) return WRONG_REGION;
  if (status >= 300 && status < 400) {
    return { ...BAD_RESPONSE, again: 'never', hint: 'redirects are not followed' };
  }
  if (status === 408 || status === 409 || status >= 500) return UNAVAILABLE;
  return status >= 400 ? FORBIDDEN : BAD_RESPONSE;
}

function transportVerdict(name: string, code: string): Verdict {
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return { ...CREDENTIALS, hint: 'no credentials could be loaded' };
  }
  if (isOutOfDescriptors(code)) return NO_DESCRIPTORS;
  if (TLS_CODE.test(code)) {
    return { ...UNAVAILABLE, again: 'never', hint: 'the server certificate is not accepted' };
  }
  // Refused by the HTTP parser, the XML parser or the SDK's decoding of a field.
  if (code.startsWith('HPE_')) return BAD_RESPONSE;
  const isTransport = /^(E[A-Z_]+|TimeoutError|AbortError|ERR_(STREAM|SOCKET|HTTP)_\w+)$/.test(
    code,
  );
  return isTransport ? UNAVAILABLE : BAD_RESPONSE;
}

/** Which name could not be resolved: it may be one that the bucket's name is a part of. */
function lookupHint({ syscall, hostname }: ForeignError): { readonly hint?: string } {
  const name = syscall === 'getaddrinfo' ? tokenOf(hostname) : undefined;
  return name === undefined ? {} : { hint: `the name ${name} cannot be resolved` };
}

/** Our own findings on an answer: a bad one may be an accident of this connection. */
function againOf(error: RingloadError): Again {
  return error.code === 'ufs_unavailable' || error.code === 'ufs_bad_response' ? 'soon' : 'never';
}

function tokenOf(value: unknown): string | undefined {
  return typeof value === 'string' && TOKEN.test(value) ? value : undefined;
}
