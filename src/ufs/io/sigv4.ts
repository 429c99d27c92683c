/**
 * AWS Signature Version 4 of a GET without a body, in the header form
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
 *
 * Only what identifies the request is signed: host and the `x-amz-` headers. The signing key of a
 * day is derived once.
 */
import { createHash, createHmac } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface GetRequest {
  readonly host: string;
  /** Percent-encoded, as it stands in the request line. */
  readonly path: string;
  readonly region: string;
  readonly atMs: number;
  /** Further `x-amz-` headers, lower-case. */
  readonly amzHeaders?: Readonly<Record<string, string>>;
}

const EMPTY_SHA256 = createHash('sha256').digest('hex');

export class Sigv4Signer {
  #key: { readonly of: string; readonly bytes: Buffer } | undefined;

  /** All headers that the signature speaks of, and `authorization`. */
  sign(request: GetRequest, credentials: Credentials): Record<string, string> {
    const { host, path, region, atMs } = request;
    const time = new Date(atMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = time.slice(0, 8);
    const headers: Record<string, string> = {
      host,
      'x-amz-content-sha256': EMPTY_SHA256,
      'x-amz-date': time,
      ...request.amzHeaders,
      ...(credentials.sessionToken !== undefined && {
        'x-amz-security-token': credentials.sessionToken,
      }),
    };
    const names = Object.keys(headers).sort();
    const lines = names.map((name) => `${name}:${headers[name] ?? ''}\n`).join('');
    const signed = names.join(';');
    const canonical = `GET\n${path}\n\n${lines}\n${signed}\n${EMPTY_SHA256}`;
    const scope = `${day}/${region}/s3/aws4_request`;
    const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`;
    const key = this.#signingKey(credentials.secretAccessKey, day, region);
    const signature = createHmac('sha256', key).update(toSign).digest('hex');
    const credential = `${credentials.accessKeyId}/${scope}`;
    headers['authorization'] =
      `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${signed},Signature=${signature}`;
    return headers;
  }

  #signingKey(secret: string, day: string, region: string): Buffer {
    const of = `${day} ${region} ${secret}`;
    if (this.#key?.of !== of) {
      const parts = [day, region, 's3', 'aws4_request'];
      let bytes = Buffer.from(`AWS4${secret}`);
      for (const part of parts) bytes = createHmac('sha256', bytes).update(part).digest();
      this.#key = { of, bytes };
    }
    return this.#key.bytes;
  }
}

/** Percent-encodes each segment of a key as S3 wants it; slashes stay. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodeSegment).join('/');
}

function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
