/** What every answer begins with. */
import { randomBytes } from 'node:crypto';
import type { Field } from './s3-error.ts';

export function commonHeaders(requestId: string): Field[] {
  return [
    ['x-amz-request-id', requestId],
    ['server', 'Ringload'],
  ];
}

export function newRequestId(): string {
  return randomBytes(8).toString('hex').toUpperCase();
}
