/**
 * Page-aligned buffers, as direct I/O wants them, that are used again and again: the one that was
 * given back last is taken first, since it is still in the processor's cache.
 */
export const PAGE_BYTES = 4096;
export const LARGE_BUFFER_BYTES = 1024 * 1024;
/** Smallest first: a small segment takes no large buffer away. */
const SIZES_BYTES = [64 * 1024, 256 * 1024, LARGE_BUFFER_BYTES];

const WASM_PAGE_BYTES = 64 * 1024;

/** What of it is used; the types of Node leave it out. */
declare const WebAssembly: {
  Memory: new (descriptor: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

export class PageBuffers {
  readonly #free = new Map<number, Buffer[]>(SIZES_BYTES.map((size) => [size, []]));

  /** The smallest one that is enough, 1 MiB at most. */
  take(neededBytes: number): Buffer {
    const sizeBytes = SIZES_BYTES.find((size) => neededBytes <= size) ?? LARGE_BUFFER_BYTES;
    return this.#free.get(sizeBytes)?.pop() ?? this.#allocate(sizeBytes);
  }

  giveBack(buffer: Buffer): void {
    this.#free.get(buffer.length)?.push(buffer);
  }

  /** Why WebAssembly: its memory is the only one in Node that begins on a page. */
  #allocate(sizeBytes: number): Buffer {
    const memory = new WebAssembly.Memory({ initial: sizeBytes / WASM_PAGE_BYTES });
    return Buffer.from(memory.buffer);
  }
}
