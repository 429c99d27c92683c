/** A queue with O(1) amortised push and shift; arrays' own `shift` is linear. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (this.length === 0) return undefined;
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let at = this.#head; at < this.#items.length; at += 1) yield this.#items[at] as T;
  }
}

/** Two queues in one: whatever is urgent goes first, each kind in its own order. */
export class UrgentFirst<T> {
  readonly #urgent = new Fifo<T>();
  readonly #others = new Fifo<T>();

  get length(): number {
    return this.#urgent.length + this.#others.length;
  }

  push(item: T, isUrgent: boolean): void {
    (isUrgent ? this.#urgent : this.#others).push(item);
  }

  peek(): T | undefined {
    return this.#urgent.peek() ?? this.#others.peek();
  }

  shift(): T | undefined {
    return this.#urgent.shift() ?? this.#others.shift();
  }

  clear(): void {
    this.#urgent.clear();
    this.#others.clear();
  }

  *[Symbol.iterator](): IterableIterator<T> {
    yield* this.#urgent;
    yield* this.#others;
  }
}
