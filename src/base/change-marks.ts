/**
 * What one thread was told stays true until another one changes it: marks in memory that threads
 * share. Whoever changes something raises its mark before it does; whoever acts on what it was told
 * looks afterwards whether the mark is still the same, and has acted on the truth if it is. Nobody
 * waits for anybody.
 *
 * Marks are shared by what has the same number by chance: that costs a look at the truth, and never
 * hides a change.
 */

/** 256 KiB: with so many a change of one thing rarely spoils what is known of others. */
const MARK_COUNT = 2 ** 16;
/** Raised by what changes everything. */
const ALL = MARK_COUNT;
/** Two words that no other memory of marks has: see {@link ChangeMarks.tell}. */
const NAME = MARK_COUNT + 1;
const WORD_COUNT = MARK_COUNT + 3;
const TOLD = /^([0-9a-f]{16})\.(\d{1,5})\.(-?\d{1,10})\.(-?\d{1,10})$/;

/** A moment of one thing. Plain, so that it may be sent to a thread. */
export interface Mark {
  readonly number: number;
  readonly value: number;
  readonly all: number;
}

export class ChangeMarks {
  /** To be handed to threads. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  #name: string | undefined;

  constructor(memory = new SharedArrayBuffer(4 * WORD_COUNT)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** To be called once, with random numbers, before anything is told to other processes. */
  name(high: number, low: number): void {
    Atomics.store(this.#words, NAME, high);
    Atomics.store(this.#words, NAME + 1, low);
    this.#name = undefined;
  }

  /** A mark for another process, to be given back to this one. */
  tell({ number, value, all }: Mark): string {
    return `${this.#ownName()}.${number}.${value}.${all}`;
  }

  /** Of what {@link tell} gave, here and since this process began. */
  isToldStill(told: string): boolean {
    const [, name, number, value, all] = TOLD.exec(told) ?? [];
    if (name !== this.#ownName() || Number(number) >= MARK_COUNT) return false;
    return this.isStill({ number: Number(number), value: Number(value), all: Number(all) });
  }

  /** To be taken before what it stands for is looked at. @param hash any 32 bits of the thing's name */
  now(hash: number): Mark {
    const number = (hash >>> 0) % MARK_COUNT;
    const value = Atomics.load(this.#words, number);
    return { number, value, all: Atomics.load(this.#words, ALL) };
  }

  /** To be called before a change; and after it where somebody may look meanwhile. */
  raise(hash: number): void {
    Atomics.add(this.#words, (hash >>> 0) % MARK_COUNT, 1);
  }

  raiseAll(): void {
    Atomics.add(this.#words, ALL, 1);
  }

  isStill({ number, value, all }: Mark): boolean {
    return Atomics.load(this.#words, number) === value && Atomics.load(this.#words, ALL) === all;
  }

  #ownName(): string {
    this.#name ??= [NAME, NAME + 1]
      .map((at) => (Atomics.load(this.#words, at) >>> 0).toString(16).padStart(8, '0'))
      .join('');
    return this.#name;
  }
}

/** FNV-1a of the text's UTF-16 units. */
export function hashOfText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
