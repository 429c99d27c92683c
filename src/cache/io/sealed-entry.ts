/**
 * A JSON value with a checksum in front that covers the key it belongs to as well: what was
 * damaged on its way, or is read under another key, does not open.
 */
import { nativeCrc32c } from './native-crc32c.ts';

const SEAL_LENGTH = 8;

export function sealEntry(key: string, value: unknown): string {
  const text = JSON.stringify(value);
  return sealOf(key, text) + text;
}

/** Undefined when the seal does not fit. */
export function openEntry(key: string, sealed: string): unknown {
  const text = sealed.slice(SEAL_LENGTH);
  return sealed.startsWith(sealOf(key, text)) ? (JSON.parse(text) as unknown) : undefined;
}

function sealOf(key: string, text: string): string {
  // Why a zero byte between: it tells a longer key from a longer text.
  const crc = nativeCrc32c(Buffer.from(`${key}\0${text}`));
  return crc.toString(16).padStart(SEAL_LENGTH, '0');
}
