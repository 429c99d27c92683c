/** Presigned links, written from the specification, apart from the product. */
import { createHash, createHmac } from 'node:crypto';

export interface Link {
  readonly host: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly keyId: string;
  readonly secret: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Default an hour. */
  readonly expiresS?: number;
  /** How long ago it was signed. Default 0. */
  readonly ageMs?: number;
}

/** The target of the request. */
export function presign(link: Link): string {
  const at = new Date(Date.now() - (link.ageMs ?? 0));
  const time = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const query = Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${link.keyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': String(link.expiresS ?? 3600),
    'X-Amz-SignedHeaders': 'host',
    ...link.query,
  })
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  // As signers have it: unreserved characters and slashes stand for themselves, nothing else does.
  const path = link.path
    .split('/')
    .map((part) => encodePath(decodeURIComponent(part)))
    .join('/');
  const canonical = `GET\n${path}\n${query}\nhost:${link.host}\n\nhost\nUNSIGNED-PAYLOAD`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  let key: Buffer = Buffer.from(`AWS4${link.secret}`);
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const signature = createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash}`)
    .digest('hex');
  return `${link.path}?${query}&X-Amz-Signature=${signature}`;
}

/** Slashes stay. */
export function encodePath(key: string): string {
  return key.split('/').map(encode).join('/');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
