/**
 * Page-aligned buffers, as direct I/O wants them, that are used again and again: the one that was
 * given back last is taken first, since it is still in the processor's cache.
 */
export const PAGE_BYTES = 4096;
export const LARGE_BUFFER_BYTES = 1024 * 1024;
const SMALL_BUFFER_BYTES = 64 * 1024;

const WASM_PAGE_BYTES = 64 * 1024;

/** What of it is used; the types of Node leave it out. */
declare const WebAssembly: {
  Memory: new (descriptor: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

export class PageBuffers {
  readonly #large: Buffer[] = [];
  readonly #small: Buffer[] = [];

  /** One of 64 KiB where that is enough, else of 1 MiB. */
  take(neededBytes: number): Buffer {
    if (neededBytes <= SMALL_BUFFER_BYTES)
      return this.#small.pop() ?? this.#allocate(SMALL_BUFFER_BYTES);
    return this.#large.pop() ?? this.#allocate(LARGE_BUFFER_BYTES);
  }

  giveBack(buffer: Buffer): void {
    (buffer.length === LARGE_BUFFER_BYTES ? this.#large : this.#small).push(buffer);
  }

  /** Why WebAssembly: its memory is the only one in Node that begins on a page. */
  #allocate(sizeBytes: number): Buffer {
    const memory = new WebAssembly.Memory({ initial: sizeBytes / WASM_PAGE_BYTES });
    return Buffer.from(memory.buffer);
  }
}
