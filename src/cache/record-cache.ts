/**
 * Sidecar records of segments that were read lately, so that a hot segment is opened without
 * touching the disk. Bounded in bytes, the least recently used goes first.
 */
import type { SegmentBody } from './sidecar-format.ts';

/** Maps and objects around one record, estimated. */
const OVERHEAD_BYTES = 256;

export class RecordCache {
  readonly #maxBytes: number;
  readonly #bodies = new Map<string, SegmentBody>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(name: string): SegmentBody | undefined {
    const body = this.#bodies.get(name);
    if (!body) return undefined;
    this.#bodies.delete(name);
    this.#bodies.set(name, body);
    return body;
  }

  set(name: string, body: SegmentBody): void {
    this.delete(name);
    this.#bodies.set(name, body);
    this.#bytes += weightOf(body);
    for (const oldest of this.#bodies.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.delete(oldest);
    }
  }

  delete(name: string): void {
    const body = this.#bodies.get(name);
    if (!body) return;
    this.#bodies.delete(name);
    this.#bytes -= weightOf(body);
  }
}

function weightOf(body: SegmentBody): number {
  const textBytes = 2 * (body.key.path.length + body.key.version.length);
  return OVERHEAD_BYTES + textBytes + body.blockCrc32c.byteLength;
}
