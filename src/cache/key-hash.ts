/**
 * The 128-bit name under which the index knows a segment. SHA-256 cut short: keys come from
 * outside, and nobody may be able to make two of them collide.
 */
import { hash } from 'node:crypto';

import { readUint32Le } from '../base/binary-text.ts';
import { RingloadError } from '../base/errors.ts';
import type { SegmentKey } from './segment-store.ts';

/** Four 32-bit words. */
export type KeyHash = Uint32Array;
export type HashKey = (key: SegmentKey) => KeyHash;

/** Longest path and longest version, in bytes of UTF-8: S3 allows 1,024 for a key. */
export const KEY_TEXT_MAX_BYTES = 8 * 1024;

export const hashSegmentKey: HashKey = (key) => {
  const pathBytes = Buffer.byteLength(key.path);
  const text = `${pathBytes}\0${key.path}\0${key.segmentSizeBytes}\0${key.index}\0${key.version}`;
  const bytes = hash('sha256', text, 'binary');
  const words = new Uint32Array(4);
  for (let word = 0; word < 4; word++) words[word] = readUint32Le(bytes, word * 4);
  return words;
};

export function isSameHash(left: KeyHash, right: KeyHash): boolean {
  return left.every((word, position) => word === right[position]);
}

export function isSameKey(left: SegmentKey, right: SegmentKey): boolean {
  return (
    left.path === right.path &&
    left.version === right.version &&
    left.segmentSizeBytes === right.segmentSizeBytes &&
    left.index === right.index
  );
}

/** @throws invalid_argument when the key can never be stored. */
export function checkKey(key: SegmentKey): void {
  for (const [name, text] of [
    ['path', key.path],
    ['version', key.version],
  ] as const) {
    const bytes = Buffer.byteLength(text);
    if (bytes > KEY_TEXT_MAX_BYTES) {
      throw new RingloadError(
        'invalid_argument',
        `store a segment whose ${name} has ${bytes} bytes, more than ${KEY_TEXT_MAX_BYTES}`,
      );
    }
  }
  if (!Number.isSafeInteger(key.index) || key.index < 0) {
    throw new RingloadError('invalid_argument', `store segment number ${key.index}`);
  }
  if (!Number.isSafeInteger(key.segmentSizeBytes) || key.segmentSizeBytes < 0) {
    throw new RingloadError(
      'invalid_argument',
      `store a segment cut to ${key.segmentSizeBytes} bytes`,
    );
  }
}
