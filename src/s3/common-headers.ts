/** What every answer begins with. */
import { randomFillSync } from 'node:crypto';
import type { Field } from './s3-error.ts';

export function commonHeaders(requestId: string): Field[] {
  return [
    ['x-amz-request-id', requestId],
    ['server', 'Ringload'],
  ];
}

const ID_BYTES = 8;
/** Why so many at once: to ask for a few costs as much as to check a signature. */
const random = Buffer.alloc(512 * ID_BYTES);
let usedBytes = random.length;

export function newRequestId(): string {
  if (usedBytes === random.length) {
    randomFillSync(random);
    usedBytes = 0;
  }
  const at = usedBytes;
  usedBytes += ID_BYTES;
  return random.toString('hex', at, usedBytes).toUpperCase();
}
