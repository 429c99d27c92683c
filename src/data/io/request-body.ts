/** The body of a request that comes from another thread, piece by piece, within its window. */
import type { RingloadError } from '../../base/errors.ts';

export class RequestBody implements AsyncIterableIterator<Uint8Array> {
  readonly #taken: (bytes: number) => void;
  readonly #pieces: Uint8Array[] = [];
  #isBegun = false;
  /** Undefined until it has ended. */
  #end: { readonly error: RingloadError | undefined } | undefined;
  #wake: () => void = () => undefined;

  /** @param taken told of every piece that its reader has taken, and first, of 0 bytes, that there is one. */
  constructor(taken: (bytes: number) => void) {
    this.#taken = taken;
  }

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#wake();
  }

  /** Nothing more comes. Only the first word counts. */
  end(error?: RingloadError): void {
    this.#end ??= { error };
    this.#wake();
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#isBegun) {
      this.#isBegun = true;
      this.#taken(0);
    }
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece) {
        this.#taken(piece.length);
        return { done: false, value: piece };
      }
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return { done: true, value: undefined };
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
