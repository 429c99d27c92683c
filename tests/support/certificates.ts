/**
 * Certificates of a test's own authority, made with node:crypto alone: X.509 in the few bytes of
 * DER that TLS needs, signed with ECDSA over P-256.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface CertificateRequest {
  /** What the certificate is for: DNS names and IPv4 addresses. */
  readonly names: readonly string[];
  /** Default: a day ago. */
  readonly notBefore?: Date;
  /** Default: in a day. */
  readonly notAfter?: Date;
}

/** Key and certificate as `tls.createServer` takes them. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

const DAY_MS = 86_400_000;
const COMMON_NAME = '2.5.4.3';
const BASIC_CONSTRAINTS = '2.5.29.19';
const ALTERNATIVE_NAMES = '2.5.29.17';
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';

export class CertificateAuthority {
  readonly #name = 'ringload test authority';
  readonly #keys = newKeys();
  #serial = 0;
  /** PEM, for NODE_EXTRA_CA_CERTS. */
  readonly cert = this.#certify(this.#keys.publicKey, this.#name, new Date(0), [
    extension(BASIC_CONSTRAINTS, sequence(boolean(true)), true),
  ]);

  issue({ names, notBefore, notAfter }: CertificateRequest): Identity {
    const keys = newKeys();
    const from = notBefore ?? new Date(Date.now() - DAY_MS);
    const extensions = [extension(ALTERNATIVE_NAMES, sequence(...names.map(alternativeName)))];
    return {
      key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      cert: this.#certify(keys.publicKey, names[0] ?? 'nobody', from, extensions, notAfter),
    };
  }

  #certify(
    subjectKey: KeyObject,
    subject: string,
    notBefore: Date,
    extensions: readonly Buffer[],
    notAfter = new Date(Date.now() + DAY_MS),
  ): string {
    const algorithm = sequence(oid(ECDSA_WITH_SHA256));
    const body = sequence(
      tlv(0xa0, integer(2)),
      integer(++this.#serial),
      algorithm,
      distinguishedName(this.#name),
      sequence(time(notBefore), time(notAfter)),
      distinguishedName(subject),
      subjectKey.export({ type: 'spki', format: 'der' }),
      tlv(0xa3, sequence(...extensions)),
    );
    const certificate = sequence(
      body,
      algorithm,
      bitString(sign('sha256', body, this.#keys.privateKey)),
    );
    const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  }
}

function newKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function tlv(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size =
    length < 0x80
      ? [length]
      : length < 0x100
        ? [0x81, length]
        : [0x82, Math.floor(length / 256), length % 256];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...contents: readonly Buffer[]): Buffer => tlv(0x30, ...contents);
const boolean = (value: boolean): Buffer => tlv(0x01, Buffer.from([value ? 0xff : 0]));
/** Small and positive is all that is needed. */
const integer = (value: number): Buffer => tlv(0x02, Buffer.from([value]));
const bitString = (bytes: Buffer): Buffer => tlv(0x03, Buffer.from([0]), bytes);

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const digits = [part % 128];
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128)) {
      digits.unshift(128 + (left % 128));
    }
    bytes.push(...digits);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid(COMMON_NAME), tlv(0x0c, Buffer.from(commonName)))));
}

/** GeneralizedTime: verifiers take it for every year. */
function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  return tlv(0x18, Buffer.from(digits));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [boolean(true)] : [];
  return sequence(oid(id), ...critical, tlv(0x04, value));
}

function alternativeName(name: string): Buffer {
  const isAddress = /^\d+(\.\d+){3}$/.test(name);
  return isAddress
    ? tlv(0x87, Buffer.from(name.split('.').map(Number)))
    : tlv(0x82, Buffer.from(name));
}
