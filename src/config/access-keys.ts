/** Key pairs of S3 clients as they are written down: `id:secret`, one a line or separated by commas. */
import { configInvalid } from './layer.ts';

const PAIR = /^([A-Za-z0-9._-]{3,128}):([!-+\--~]{8,256})$/;

/** @throws config_invalid; what was written is not repeated, since it may be a secret. */
export function parseAccessKeys(text: string, key: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  const lines = text.split('\n').filter((line) => !line.trimStart().startsWith('#'));
  const pairs = lines.flatMap((line) => line.split(/[\s,]+/)).filter((pair) => pair !== '');
  for (const [position, pair] of pairs.entries()) {
    const [, id = '', secret = ''] = PAIR.exec(pair) ?? [];
    const where = `${key}: pair ${String(position + 1)}`;
    if (id === '') {
      throw configInvalid(
        `${where} is not id:secret, the id of 3 or more letters, digits, . _ -, the secret of 8 or more printable characters`,
        { key },
      );
    }
    if (keys.has(id)) throw configInvalid(`${where} repeats the id ${id}`, { key });
    keys.set(id, secret);
  }
  return keys;
}
