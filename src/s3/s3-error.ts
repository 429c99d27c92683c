/**
 * What S3 clients are told when something does not go as they asked: S3's own codes, from one
 * table, and what becomes of the errors of the rest of Ringload.
 */
import { toRingloadError, type ErrorCode } from '../base/errors.ts';

/** Code, status, and what is said when there is nothing better to say. */
export const S3_ERRORS = {
  AccessDenied: [403, 'Access Denied'],
  AuthorizationHeaderMalformed: [400, 'The authorization header is malformed'],
  AuthorizationQueryParametersError: [400, 'The query parameters for authorization are malformed'],
  BadDigest: [400, 'The checksum that you specified did not match what was received.'],
  BucketAlreadyOwnedByYou: [409, 'The bucket that you tried to create exists, and you own it.'],
  ConditionalRequestConflict: [409, 'A conflicting operation occurred during this request.'],
  EntityTooLarge: [400, 'Your proposed upload exceeds the maximum allowed size'],
  EntityTooSmall: [400, 'Your proposed upload is smaller than the minimum allowed size'],
  IncompleteBody: [
    400,
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  ],
  InternalError: [500, 'We encountered an internal error. Please try again.'],
  InvalidAccessKeyId: [403, 'The access key that you provided does not exist in our records.'],
  InvalidArgument: [400, 'Invalid Argument'],
  InvalidDigest: [400, 'The Content-MD5 or checksum value that you specified is not valid.'],
  InvalidPart: [400, 'One or more of the specified parts could not be found.'],
  InvalidPartOrder: [400, 'The list of parts was not in ascending order.'],
  InvalidPartNumber: [416, 'The requested partnumber is not satisfiable'],
  InvalidRange: [416, 'The requested range is not satisfiable'],
  InvalidRequest: [400, 'Invalid Request'],
  InvalidStorageClass: [400, 'The storage class that you specified is not valid'],
  InvalidTag: [400, 'The tag that you provided is not valid'],
  InvalidToken: [400, 'The provided token is malformed or otherwise invalid.'],
  InvalidURI: [400, "Couldn't parse the specified URI."],
  KeyTooLongError: [400, 'Your key is too long'],
  MalformedXML: [400, 'The XML that you provided was not well-formed or is not what is asked for.'],
  MetadataTooLarge: [400, 'Your metadata headers exceed the maximum allowed metadata size.'],
  MethodNotAllowed: [405, 'The specified method is not allowed against this resource.'],
  MissingContentLength: [411, 'You must provide the Content-Length HTTP header.'],
  NoSuchBucket: [404, 'The specified bucket does not exist'],
  NoSuchKey: [404, 'The specified key does not exist.'],
  NoSuchUpload: [
    404,
    'The specified upload does not exist. It may have been aborted or completed.',
  ],
  NotImplemented: [501, 'A header or a parameter implies functionality that is not implemented.'],
  PreconditionFailed: [412, 'At least one of the pre-conditions you specified did not hold'],
  QuotaExceeded: [403, 'The quota of the store is used up.'],
  RequestTimeTooSkewed: [
    403,
    "The difference between the request time and the server's time is too large.",
  ],
  ServiceUnavailable: [503, 'Service is unable to handle request.'],
  SignatureDoesNotMatch: [
    403,
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
  ],
  SlowDown: [503, 'Please reduce your request rate.'],
  XAmzContentSHA256Mismatch: [
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  ],
} as const satisfies Record<string, readonly [number, string]>;

export type S3ErrorCode = keyof typeof S3_ERRORS;

/** A name and its value, as they go over the wire. */
export type Field = readonly [name: string, value: string];

export interface S3ErrorParts {
  /** In place of the status of the table. */
  readonly status?: number;
  /** Elements of the document beside code and message. */
  readonly fields?: readonly Field[];
  readonly headers?: readonly Field[];
  readonly cause?: unknown;
}

export class S3Error extends Error {
  readonly code: S3ErrorCode;
  readonly status: number;
  readonly fields: readonly Field[];
  readonly headers: readonly Field[];

  constructor(code: S3ErrorCode, message?: string, parts: S3ErrorParts = {}) {
    const [status, usual] = S3_ERRORS[code];
    super(message ?? usual, parts.cause === undefined ? {} : { cause: parts.cause });
    this.name = 'S3Error';
    this.code = code;
    this.status = parts.status ?? status;
    this.fields = parts.fields ?? [];
    this.headers = parts.headers ?? [];
  }
}

/** What is not named here is told to clients as an internal error. */
const COUNTERPARTS: Partial<Record<ErrorCode, S3ErrorCode>> = {
  invalid_argument: 'NoSuchKey',
  path_not_mounted: 'AccessDenied',
  forbidden: 'AccessDenied',
  not_found: 'NoSuchKey',
  method_not_allowed: 'MethodNotAllowed',
  range_not_satisfiable: 'InvalidRange',
  overloaded: 'SlowDown',
  no_leader: 'ServiceUnavailable',
  not_leader: 'ServiceUnavailable',
  peer_unreachable: 'ServiceUnavailable',
  deadline_exceeded: 'ServiceUnavailable',
  segment_corrupt: 'ServiceUnavailable',
  cache_io: 'ServiceUnavailable',
  ufs_not_found: 'NoSuchKey',
  // The object is replaced again and again while it is opened: worth another try.
  ufs_changed: 'ServiceUnavailable',
  ufs_forbidden: 'AccessDenied',
  ufs_throttled: 'SlowDown',
  ufs_unavailable: 'ServiceUnavailable',
  ufs_bad_response: 'ServiceUnavailable',
};

/** Any thrown value as what a client is told. */
export function toS3Error(thrown: unknown): S3Error {
  if (thrown instanceof S3Error) return thrown;
  const error = toRingloadError(thrown);
  const code = COUNTERPARTS[error.code] ?? 'InternalError';
  const isOurs = error.code === 'internal';
  // What our own faults say is for the log.
  return new S3Error(code, isOurs ? undefined : error.message, { cause: error });
}
