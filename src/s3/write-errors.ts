/** What the under store made of a write, as clients are told, and whether it may have happened. */
import { toRingloadError, type RingloadError } from '../base/errors.ts';
import { S3Error, toS3Error, type S3ErrorCode } from './s3-error.ts';

/** Codes of the store that are about the request, and not about who we are to the store. */
const PASSED_ON = new Set<S3ErrorCode>([
  'BadDigest',
  'ConditionalRequestConflict',
  'EntityTooLarge',
  'EntityTooSmall',
  'InvalidArgument',
  'InvalidDigest',
  'InvalidPart',
  'InvalidPartOrder',
  'InvalidRequest',
  'InvalidStorageClass',
  'InvalidTag',
  'KeyTooLongError',
  'MetadataTooLarge',
  'NoSuchBucket',
  'NoSuchUpload',
  'NotImplemented',
  'PreconditionFailed',
  'QuotaExceeded',
]);

export function toWriteError(thrown: unknown): S3Error {
  if (thrown instanceof S3Error) return thrown;
  const error = toRingloadError(thrown);
  const told = error.details['s3Code'] as S3ErrorCode;
  if (PASSED_ON.has(told)) return new S3Error(told, error.message, { cause: error });
  if (error.code === 'invalid_argument') {
    return new S3Error('InvalidArgument', error.message, { cause: error });
  }
  if (error.code === 'ufs_changed') {
    return new S3Error('PreconditionFailed', error.message, { cause: error });
  }
  return toS3Error(error);
}

/** The store has said no, for sure and before it did anything. */
export function isRefusal(thrown: unknown): boolean {
  const { details }: RingloadError = toRingloadError(thrown);
  const status = details['status'];
  if (typeof status !== 'number' || status < 400) return false;
  return status === 501 || (status < 500 && status !== 408 && status !== 409 && status !== 429);
}
