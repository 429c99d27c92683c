/** An answer that is a document. */
import type { S3Answer } from './message.ts';
import type { Field } from './s3-error.ts';

export function xmlAnswer(status: number, xml: string): S3Answer {
  const body = Buffer.from(xml);
  const headers: Field[] = [
    ['content-type', 'application/xml'],
    ['content-length', String(body.length)],
  ];
  return { status, headers, body };
}
