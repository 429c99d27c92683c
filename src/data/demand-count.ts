/**
 * How many fills readers of this peer wait for, in memory that lane threads share: while there are
 * any, they let what is loaded ahead rest.
 */
export class DemandCount {
  readonly memory: SharedArrayBuffer;
  readonly #count: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#count = new Int32Array(memory);
  }

  get value(): number {
    return Atomics.load(this.#count, 0);
  }

  /** Fills that readers ever waited for; wraps around. */
  get begunCount(): number {
    return Atomics.load(this.#count, 1);
  }

  /** A reader waits for a fill. @returns what tells that it is over */
  begin(): () => void {
    Atomics.add(this.#count, 0, 1);
    Atomics.add(this.#count, 1, 1);
    let isOver = false;
    return () => {
      if (!isOver) Atomics.sub(this.#count, 0, 1);
      isOver = true;
    };
  }
}
