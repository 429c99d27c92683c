/** Bucket and key of a path, as the SDK wants them. */
import { RingloadError } from '../../base/errors.ts';
import { parsePath } from '../path.ts';

export function targetOf(path: string): { Bucket: string; Key: string } {
  const { authority, key } = parsePath(path);
  if (key === '') throw new RingloadError('invalid_argument', `${path} names a bucket, not a file`);
  return { Bucket: authority, Key: key };
}
