/** The caller's side of the contract of readRange. */
import { invariant } from '../base/invariant.ts';
import type { RangeRequest } from './under-store.ts';

/** @throws InvariantError for a range that is empty or leaves the object: a fault of this program. */
export function checkRange({ path, sizeBytes, offset, length }: RangeRequest): void {
  const isInside = offset >= 0 && length >= 1 && offset + length <= sizeBytes;
  invariant(
    isInside && Number.isSafeInteger(offset) && Number.isSafeInteger(length),
    `range ${offset}+${length} lies inside the ${sizeBytes} bytes of ${path}`,
  );
}
