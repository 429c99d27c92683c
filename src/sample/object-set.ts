/**
 * The virtual objects that a sample store serves: names, sizes and versions, in the order of the
 * keys' UTF-8 bytes.
 */
import { createHash } from 'node:crypto';

import { invariant } from '../base/invariant.ts';
import { KIB, MIB } from '../base/units.ts';
import { compareKeys } from './key-order.ts';
import { virtualBytes } from './virtual-bytes.ts';

export interface VirtualObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** 1 or more; another version has other bytes and another ETag. */
  readonly version: number;
  /** Milliseconds since 1970, whole seconds. */
  readonly mtimeMs: number;
}

/** What a sample store needs to know; small enough to be computed for a hundred million keys. */
export interface ObjectSource {
  find(key: string): VirtualObject | undefined;
  /** Objects with a key greater than `after` (UTF-8 bytes), in order; '' gives all. */
  following(after: string): Iterable<VirtualObject>;
}

const EPOCH_MS = Date.UTC(2026, 0, 1);

/** Objects that can be added, changed and removed one by one. */
export class ObjectSet implements ObjectSource {
  readonly #objects = new Map<string, VirtualObject>();
  #sortedKeys: string[] | undefined;

  constructor(sizes: Iterable<readonly [key: string, sizeBytes: number]> = []) {
    for (const [key, sizeBytes] of sizes) this.put(key, sizeBytes);
  }

  /** Adds an object or replaces it by its next version, one second younger. */
  put(key: string, sizeBytes: number): VirtualObject {
    invariant(key !== '', 'an object has a key');
    const version = (this.#objects.get(key)?.version ?? 0) + 1;
    const object = { key, sizeBytes, version, mtimeMs: EPOCH_MS + version * 1000 };
    if (version === 1) this.#sortedKeys = undefined;
    this.#objects.set(key, object);
    return object;
  }

  delete(key: string): boolean {
    this.#sortedKeys = undefined;
    return this.#objects.delete(key);
  }

  get size(): number {
    return this.#objects.size;
  }

  find(key: string): VirtualObject | undefined {
    return this.#objects.get(key);
  }

  *following(after: string): Generator<VirtualObject> {
    this.#sortedKeys ??= [...this.#objects.keys()].sort(compareKeys);
    const keys = this.#sortedKeys;
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(keys[middle] ?? '', after) <= 0) low = middle + 1;
      else high = middle;
    }
    for (; low < keys.length; low++) {
      const object = this.#objects.get(keys[low] ?? '');
      if (object) yield object;
    }
  }
}

/** `count` objects of one size, `<prefix>00000000`, `<prefix>00000001`, …: none is stored. */
export class NumberedObjects implements ObjectSource {
  static readonly DIGITS = 10;
  readonly #prefix: string;
  readonly #count: number;
  readonly #sizeBytes: number;

  constructor(options: { prefix: string; count: number; sizeBytes: number }) {
    this.#prefix = options.prefix;
    this.#count = options.count;
    this.#sizeBytes = options.sizeBytes;
  }

  find(key: string): VirtualObject | undefined {
    const digits = key.slice(this.#prefix.length);
    const isNumber = digits.length === NumberedObjects.DIGITS && /^\d+$/.test(digits);
    const number = key.startsWith(this.#prefix) && isNumber ? Number(digits) : Number.NaN;
    return number < this.#count ? this.#object(number) : undefined;
  }

  *following(after: string): Generator<VirtualObject> {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (compareKeys(this.#key(middle), after) <= 0) low = middle + 1;
      else high = middle;
    }
    for (; low < this.#count; low++) yield this.#object(low);
  }

  #key(number: number): string {
    return this.#prefix + String(number).padStart(NumberedObjects.DIGITS, '0');
  }

  #object(number: number): VirtualObject {
    return { key: this.#key(number), sizeBytes: this.#sizeBytes, version: 1, mtimeMs: EPOCH_MS };
  }
}

/** Looks like the MD5 of a single-part upload; it names the version, not the bytes. */
export function etagOf({ key, version, sizeBytes }: VirtualObject): string {
  return createHash('md5').update(`${version}/${sizeBytes}/${key}`).digest('hex');
}

/** Bytes `[offset, offset + length)` of an object in one piece. */
export function bytesOf(object: VirtualObject, offset = 0, length = object.sizeBytes): Buffer {
  return Buffer.concat([...virtualBytes(object.key, object.version, offset, length)]);
}

/** Hex digest of the whole object, computed in pieces. */
export function sha256Of(object: VirtualObject): string {
  const hash = createHash('sha256');
  for (const piece of virtualBytes(object.key, object.version, 0, object.sizeBytes)) {
    hash.update(piece);
  }
  return hash.digest('hex');
}

/** What the demo loads: about 300 MB of large, middle and small objects, odd names, an empty one. */
export function demoObjects(): ObjectSet {
  const objects = new ObjectSet();
  const add = (count: number, name: (number: string) => string, sizeBytes: number): void => {
    for (let i = 0; i < count; i++) objects.put(name(String(i).padStart(4, '0')), sizeBytes);
  };
  add(3, (number) => `models/llama/part-${number}.safetensors`, 64 * MIB);
  add(8, (number) => `datasets/images/shard-${number}.tar`, 8 * MIB);
  add(20, (number) => `datasets/events/2026-01/part-${number}.parquet`, MIB + 12_345);
  add(200, (number) => `datasets/labels/${number}.json`, 24 * KIB + 17);
  objects.put('datasets/_SUCCESS', 0);
  objects.put('datasets/labels/Grüße aus Köln 🙂.txt', 1_234);
  objects.put('datasets/labels/a+b & c=d?.csv', 4_321);
  objects.put('datasets/labels/100%/50%25.csv', 77);
  objects.put('readme.txt', 512);
  return objects;
}
