/**
 * A request target, read from its raw bytes.
 *
 * No URL parser: one would turn `/b/a/../c` into `/b/c`. Bucket and key are what stands there,
 * percent-decoded exactly once; whoever checks signatures needs the same text, so both come from
 * here.
 */
import { S3Error, type Field } from './s3-error.ts';

export interface Target {
  /** As received, up to the question mark. */
  readonly rawPath: string;
  /** Empty: the request is about all buckets. */
  readonly bucket: string;
  /** Empty: the request is about the bucket. */
  readonly key: string;
  /** Decoded, in the order received. */
  readonly query: readonly Field[];
}

/** What stands for itself. */
const PLAIN = /^[ -$&-~]*$/;
const KEY_MAX_BYTES = 1024;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @param target one byte per character, as `node:http` hands it out. @throws S3Error */
export function parseTarget(target: string): Target {
  const mark = target.indexOf('?');
  const rawPath = mark < 0 ? target : target.slice(0, mark);
  if (!rawPath.startsWith('/')) throw new S3Error('InvalidURI');
  const slash = rawPath.indexOf('/', 1);
  const bucket = decodeText(rawPath.slice(1, slash < 0 ? undefined : slash));
  const key = slash < 0 ? '' : decodeText(rawPath.slice(slash + 1));
  if (key.includes('\0')) throw new S3Error('InvalidURI');
  const keyBytes = Buffer.byteLength(key);
  if (keyBytes > KEY_MAX_BYTES) {
    const fields: Field[] = [
      ['Size', String(keyBytes)],
      ['MaxSizeAllowed', String(KEY_MAX_BYTES)],
    ];
    throw new S3Error('KeyTooLongError', undefined, { fields });
  }
  return { rawPath, bucket, key, query: parseQuery(mark < 0 ? '' : target.slice(mark + 1)) };
}

function parseQuery(text: string): Field[] {
  if (text === '') return [];
  return text
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      const name = equals < 0 ? pair : pair.slice(0, equals);
      const value = equals < 0 ? '' : pair.slice(equals + 1);
      return [decodeQuery(name), decodeQuery(value)];
    });
}

function decodeQuery(text: string): string {
  return decodeText(text.replaceAll('+', ' '));
}

/** Percent signs once, then UTF-8. @throws S3Error for anything that is neither. */
function decodeText(raw: string): string {
  if (PLAIN.test(raw)) return raw;
  try {
    return UTF8.decode(decodePercent(raw));
  } catch (cause) {
    throw new S3Error('InvalidURI', undefined, { cause });
  }
}

/** @throws RangeError */
export function decodePercent(raw: string): Buffer {
  if (!raw.includes('%')) return Buffer.from(raw, 'latin1');
  const bytes = raw.replace(/%(?:([0-9A-Fa-f]{2})|)/g, (_all, hex: string | undefined) => {
    if (hex === undefined) throw new RangeError('a percent sign stands alone');
    return String.fromCharCode(Number.parseInt(hex, 16));
  });
  return Buffer.from(bytes, 'latin1');
}

/** The value of the first parameter of that name. */
export function queryValue({ query }: Pick<Target, 'query'>, name: string): string | undefined {
  return query.find(([known]) => known === name)?.[1];
}
