/**
 * Verifies Signature Version 4, in the Authorization header and in presigned URLs.
 *
 * The canonical request is made from the raw target: each segment of the path is decoded once and
 * encoded again, nothing is collapsed; query parameters are sorted as they are encoded. Exactly
 * the headers named in SignedHeaders are taken, as received, so that it does not matter which ones
 * a client likes to sign.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { ChunkSigning } from './chunk-signatures.ts';
import type { HeaderMap } from './message.ts';
import { S3Error, type Field, type S3ErrorCode } from './s3-error.ts';
import { decodePercent, type Target } from './target.ts';

/** What a request says about its own signature. */
export interface SignedParts {
  readonly form: 'header' | 'query';
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly date: string | undefined;
  /** Of a presigned URL, seconds. */
  readonly expires?: string;
}

interface Signable {
  readonly method: string;
  readonly target: Target;
  readonly headers: HeaderMap;
}

export interface VerifierOptions {
  readonly accessKeys: ReadonlyMap<string, string>;
  readonly region?: string;
  readonly wallMs: () => number;
}

/** Who signed, and what the chunks of the body are signed with, if they are. */
export interface Verified {
  readonly accessKeyId: string;
  readonly chunks: ChunkSigning;
}

interface Scope {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  /** As it stands in the string to sign. */
  readonly text: string;
}

const SKEW_MAX_MS = 15 * 60 * 1000;
const EXPIRES_MAX_S = 604_800;
/** Keys of a few days and regions; a bound, since the day is what a client says. */
const SIGNING_KEY_MAX_COUNT = 1_000;
const HEX_SHA256 = /^[0-9a-f]{64}$/;
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

export class SignatureVerifier {
  readonly #options: VerifierOptions;
  /** By access key, day and region; only those that signed something well. */
  readonly #signingKeys = new Map<string, Buffer>();

  constructor(options: VerifierOptions) {
    this.#options = options;
  }

  /** @throws S3Error */
  verify(request: Signable, parts: SignedParts): Verified {
    const malformed = (message: string): S3Error => new S3Error(malformedCode(parts), message);
    const scope = this.#scopeOf(parts, malformed);
    const signedAtMs = timeOf(parts.date);
    if (signedAtMs === undefined) {
      throw parts.form === 'query'
        ? malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        : new S3Error(
            'AccessDenied',
            'AWS authentication requires a valid Date or x-amz-date header',
          );
    }
    const time = basicTime(signedAtMs);
    if (time.slice(0, 8) !== scope.day) {
      throw malformed(`Invalid credential date "${scope.day}": it is not the day of the request.`);
    }
    const names = signedNames(request, parts, malformed);
    const payload = payloadOf(request, parts);
    const secret = this.#options.accessKeys.get(scope.accessKeyId);
    if (secret === undefined) throw new S3Error('InvalidAccessKeyId');
    const canonical = canonicalRequest(request, names, payload);
    const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope.text}\n${sha256(canonical)}`;
    const { key, remember } = this.#signingKey(scope, secret);
    const expected = createHmac('sha256', key).update(toSign, 'latin1').digest('hex');
    if (!isSame(expected, parts.signature)) {
      const fields: Field[] = [
        ['AWSAccessKeyId', scope.accessKeyId],
        ['StringToSign', toSign],
        ['CanonicalRequest', Buffer.from(canonical, 'latin1').toString('utf8')],
      ];
      throw new S3Error('SignatureDoesNotMatch', undefined, { fields });
    }
    remember();
    // Why after the signature: only who may ask is told how the clocks differ.
    this.#checkTime(parts, signedAtMs);
    const chunks = { key, time, scope: scope.text, seed: expected };
    return { accessKeyId: scope.accessKeyId, chunks };
  }

  #scopeOf({ credential }: SignedParts, malformed: (message: string) => S3Error): Scope {
    const pieces = credential.split('/');
    const [day = '', region = '', service, end] = pieces.slice(-4);
    const accessKeyId = pieces.slice(0, -4).join('/');
    if (pieces.length < 5 || accessKeyId === '' || !/^\d{8}$/.test(day)) {
      throw malformed('The credential must be <access key>/<yyyyMMdd>/<region>/s3/aws4_request.');
    }
    if (service !== 's3') throw malformed(`Incorrect service "${service}": expected "s3".`);
    if (end !== 'aws4_request')
      throw malformed(`Incorrect terminal "${end}": expected "aws4_request".`);
    const expected = this.#options.region;
    if (!/^[A-Za-z0-9-]{1,64}$/.test(region) || (expected !== undefined && region !== expected)) {
      throw malformed(`The region "${region}" is wrong; expecting "${expected ?? 'us-east-1'}".`);
    }
    return { accessKeyId, day, region, text: `${day}/${region}/s3/aws4_request` };
  }

  #checkTime({ form, expires }: SignedParts, signedAtMs: number): void {
    const nowMs = this.#options.wallMs();
    const times: Field[] = [
      ['RequestTime', basicTime(signedAtMs)],
      ['ServerTime', new Date(nowMs).toISOString()],
    ];
    if (form === 'header') {
      if (Math.abs(nowMs - signedAtMs) <= SKEW_MAX_MS) return;
      const fields: Field[] = [...times, ['MaxAllowedSkewMilliseconds', String(SKEW_MAX_MS)]];
      throw new S3Error('RequestTimeTooSkewed', undefined, { fields });
    }
    const lifetimeS = /^\d{1,9}$/.test(expires ?? '') ? Number(expires) : 0;
    if (lifetimeS < 1 || lifetimeS > EXPIRES_MAX_S) {
      const message = `X-Amz-Expires must be a number of seconds from 1 to ${EXPIRES_MAX_S}`;
      throw new S3Error('AuthorizationQueryParametersError', message, { status: 403 });
    }
    if (signedAtMs - nowMs > SKEW_MAX_MS) {
      throw new S3Error('AccessDenied', 'Request is not yet valid', { fields: times });
    }
    if (nowMs >= signedAtMs + lifetimeS * 1000) {
      const fields: Field[] = [['X-Amz-Expires', String(lifetimeS)], ...times];
      throw new S3Error('AccessDenied', 'Request has expired', { fields });
    }
  }

  #signingKey(
    scope: Scope,
    secret: string,
  ): { readonly key: Buffer; readonly remember: () => void } {
    const name = `${scope.accessKeyId}/${scope.text}`;
    const known = this.#signingKeys.get(name);
    if (known) return { key: known, remember: () => undefined };
    let key = Buffer.from(`AWS4${secret}`);
    for (const part of scope.text.split('/')) key = createHmac('sha256', key).update(part).digest();
    const remember = (): void => {
      if (this.#signingKeys.size >= SIGNING_KEY_MAX_COUNT) this.#signingKeys.clear();
      this.#signingKeys.set(name, key);
    };
    return { key, remember };
  }
}

function malformedCode({ form }: SignedParts): S3ErrorCode {
  return form === 'header' ? 'AuthorizationHeaderMalformed' : 'AuthorizationQueryParametersError';
}

/** Checks that what matters is signed. @throws S3Error */
function signedNames(
  { headers }: Signable,
  { signedHeaders }: SignedParts,
  malformed: (message: string) => S3Error,
): readonly string[] {
  const names = signedHeaders.split(';');
  const isOrdered = names.every((name, i) => i === 0 || (names[i - 1] ?? '') < name);
  if (!isOrdered || names.some((name) => name === '' || name !== name.toLowerCase())) {
    throw malformed('SignedHeaders must be lower-case names in order, separated by semicolons.');
  }
  const unsigned = ['host', ...[...headers.names()].filter((name) => name.startsWith('x-amz-'))];
  const missing = unsigned.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    const fields: Field[] = [['HeadersNotSigned', missing.join(', ')]];
    const message = 'There were headers present in the request which were not signed';
    throw new S3Error('AccessDenied', message, { fields });
  }
  if (headers.find('x-amz-security-token') !== undefined) throw new S3Error('InvalidToken');
  return names;
}

/** The payload's hash as it was signed. @throws S3Error */
function payloadOf({ method, target, headers }: Signable, { form }: SignedParts): string {
  if (form === 'query') {
    if (target.query.some(([name]) => name === 'X-Amz-Security-Token')) {
      throw new S3Error('InvalidToken');
    }
    return UNSIGNED_PAYLOAD;
  }
  const given = headers.find('x-amz-content-sha256');
  if (given === undefined) {
    const message = 'Missing required header for this request: x-amz-content-sha256';
    throw new S3Error('InvalidRequest', message);
  }
  const isChunked = given.startsWith('STREAMING-');
  if (isChunked && (method === 'GET' || method === 'HEAD')) {
    throw new S3Error('InvalidRequest', 'Chunk signing is of no use for a request without a body.');
  }
  if (!isChunked && given !== UNSIGNED_PAYLOAD && !HEX_SHA256.test(given)) {
    const message = 'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, or a valid sha256 value.';
    throw new S3Error('InvalidArgument', message);
  }
  return given;
}

/** One byte per character, as what it is made of. */
function canonicalRequest(request: Signable, names: readonly string[], payload: string): string {
  const { method, target, headers } = request;
  const path = target.rawPath
    .split('/')
    .map((part) => encode(decodePercent(part)))
    .join('/');
  const query = target.query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encode(Buffer.from(name)), encode(Buffer.from(value))] as const)
    .sort((a, b) => order(a[0], b[0]) || order(a[1], b[1]))
    .map((pair) => pair.join('='))
    .join('&');
  const lines = names.map((name) => `${name}:${headers.all(name).map(fold).join(',')}\n`).join('');
  return `${method}\n${path}\n${query}\n${lines}\n${names.join(';')}\n${payload}`;
}

/** Everything but unreserved characters as upper-case percent escapes. */
function encode(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(
      /[^A-Za-z0-9._~-]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
}

/** Repeated headers are joined by a bare comma, blanks are folded. */
function fold(value: string): string {
  return value.trim().replace(/ +/g, ' ');
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function sha256(latin1: string): string {
  return createHash('sha256').update(latin1, 'latin1').digest('hex');
}

function isSame(expected: string, given: string): boolean {
  if (!HEX_SHA256.test(given)) return false;
  return timingSafeEqual(Buffer.from(expected, 'hex'), Buffer.from(given, 'hex'));
}

/** `20260131T120000Z`, or any date of HTTP. */
function timeOf(date: string | undefined): number | undefined {
  if (date === undefined) return undefined;
  const basic = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  const iso = basic && `${basic.slice(1, 4).join('-')}T${basic.slice(4).join(':')}Z`;
  const ms = Date.parse(iso ?? date);
  return Number.isNaN(ms) ? undefined : ms;
}

function basicTime(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}
