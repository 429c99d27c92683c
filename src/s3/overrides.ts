/** `response-*` parameters: headers that a client wants to see in place of the object's own. */
import type { Caller } from './authenticator.ts';
import { S3Error, type Field } from './s3-error.ts';
import type { Target } from './target.ts';

const PREFIX = 'response-';
const NAMES = new Set([
  'content-type',
  'content-language',
  'expires',
  'cache-control',
  'content-disposition',
  'content-encoding',
]);

/**
 * Why only of those who signed: a link that anyone may make would let a foreign page decide as
 * what the bytes pass. @throws S3Error
 */
export function overridesOf({ query }: Target, caller: Caller): Field[] {
  const overrides: Field[] = [];
  for (const [parameter, value] of query) {
    const name = parameter.slice(PREFIX.length);
    if (!parameter.startsWith(PREFIX) || !NAMES.has(name)) continue;
    if (caller.kind === 'anonymous') {
      const message =
        'Request specific response headers cannot be used for anonymous GET requests.';
      throw new S3Error('InvalidRequest', message);
    }
    if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) {
      throw new S3Error('InvalidArgument', `${parameter} is no value of a header`);
    }
    overrides.push([name, Buffer.from(value).toString('latin1')]);
  }
  return overrides;
}
