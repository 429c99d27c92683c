/**
 * What the under store holds and ever held: the truth that answers of the cluster are compared
 * with. Every version of every object is kept, so that a body can be told to be exactly one of
 * them.
 */
import { randomInt, type Random } from '../../src/base/random.ts';
import { bytesOf, type ObjectSet, type VirtualObject } from '../../src/sample/object-set.ts';
import { sha256 } from '../support/faulty-origin.ts';

const SET_COUNT = 4;
const FILES_PER_SET = 10;
const SEGMENT_BYTES = 64 * 1024;
const FILE_MAX_SEGMENTS = 12;

/** Objects below one path that are loaded together. */
export interface SoakSet {
  readonly path: string;
  readonly prefix: string;
  readonly replicaCount: number;
  /** Grows with every change below the path. */
  changeCount: number;
}

interface KnownVersion {
  readonly object: VirtualObject;
  readonly sha256: string;
}

export class SoakModel {
  readonly sets: readonly SoakSet[];
  readonly #objects: ObjectSet;
  readonly #random: Random;
  readonly #versions = new Map<string, KnownVersion[]>();
  readonly #deleted = new Set<string>();

  constructor(objects: ObjectSet, random: Random) {
    this.#objects = objects;
    this.#random = random;
    this.sets = Array.from({ length: SET_COUNT }, (_unused, number) => ({
      path: `s3://origin/soak-${number}`,
      prefix: `soak-${number}/`,
      replicaCount: 1 + (number % 3),
      changeCount: 0,
    }));
    for (const set of this.sets) {
      for (let number = 0; number < FILES_PER_SET; number++) this.#put(`${set.prefix}f${number}`);
    }
  }

  /** Keys that exist now. */
  keysOf(set: SoakSet): string[] {
    return [...this.#versions.keys()].filter(
      (key) => key.startsWith(set.prefix) && !this.#deleted.has(key),
    );
  }

  current(key: string): VirtualObject {
    const object = this.#objects.find(key);
    if (object === undefined) throw new Error(`the model has no object ${key}`);
    return object;
  }

  sizeOf(set: SoakSet): number {
    return this.keysOf(set).reduce((sum, key) => sum + this.current(key).sizeBytes, 0);
  }

  isCurrent(key: string, bytes: Uint8Array): boolean {
    return this.#versions.get(key)?.at(-1)?.sha256 === sha256(bytes);
  }

  /** Whether these are the bytes from `offset` on of exactly one version that ever was. */
  isSomeVersion(key: string, bytes: Uint8Array, offset?: number): boolean {
    const versions = this.#versions.get(key) ?? [];
    if (offset === undefined) {
      const digest = sha256(bytes);
      return versions.some((version) => version.sha256 === digest);
    }
    return versions.some(({ object }) => {
      const length = Math.min(bytes.length, object.sizeBytes - offset);
      return length >= 0 && Buffer.compare(bytesOf(object, offset, length), bytes) === 0;
    });
  }

  change(): void {
    const set = this.#anySet();
    const keys = this.keysOf(set);
    const key = keys[randomInt(this.#random, keys.length)];
    if (key !== undefined) this.#put(key);
  }

  /** Resolves to what brings the object back, in another version. */
  delete(): () => void {
    const set = this.#anySet();
    const keys = this.keysOf(set);
    const key = keys[randomInt(this.#random, keys.length)];
    if (key === undefined) return () => undefined;
    this.#objects.delete(key);
    this.#deleted.add(key);
    set.changeCount++;
    return () => {
      this.#deleted.delete(key);
      this.#put(key);
    };
  }

  newestSizeOf(key: string): number {
    return this.#versions.get(key)?.at(-1)?.object.sizeBytes ?? 0;
  }

  anyKey(): string {
    const keys = [...this.#versions.keys()];
    return keys[randomInt(this.#random, keys.length)] ?? '';
  }

  #anySet(): SoakSet {
    return this.sets[randomInt(this.#random, this.sets.length)] as SoakSet;
  }

  #put(key: string): void {
    const segments = this.#random.next() ** 2 * FILE_MAX_SEGMENTS;
    const object = this.#objects.put(key, Math.floor(segments * SEGMENT_BYTES));
    const known = this.#versions.get(key) ?? [];
    known.push({ object, sha256: sha256(bytesOf(object)) });
    this.#versions.set(key, known);
    for (const set of this.sets) if (key.startsWith(set.prefix)) set.changeCount++;
  }
}
