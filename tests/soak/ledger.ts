/** What a soak has seen: checks that passed, failures, and counts by kind. */
export class Ledger {
  readonly failures: string[] = [];
  passedCount = 0;
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #startMs = performance.now();

  pass(): void {
    this.passedCount++;
  }

  fail(what: string): void {
    // The first ones tell the story; a thousand more of them would bury it.
    if (this.failures.length < 100) this.failures.push(what);
    this.say(`FAILED: ${what}`);
  }

  /** A named check of the run. */
  check(isRight: boolean, what: string): void {
    if (isRight) this.pass();
    else this.fail(what);
  }

  count(group: string, kind: string, by = 1): void {
    const counts = this.#counts.get(group) ?? new Map<string, number>();
    counts.set(kind, (counts.get(kind) ?? 0) + by);
    this.#counts.set(group, counts);
  }

  countOf(group: string, kind: string): number {
    return this.#counts.get(group)?.get(kind) ?? 0;
  }

  say(text: string): void {
    const seconds = Math.round((performance.now() - this.#startMs) / 1000);
    console.log(`${String(seconds).padStart(5)} s  ${text}`);
  }

  /** One line a group. */
  lines(): string[] {
    return [...this.#counts].map(([group, counts]) => {
      const kinds = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
      const total = kinds.reduce((sum, [, count]) => sum + count, 0);
      return `${group}: ${total} (${kinds.map(([kind, count]) => `${kind} ${count}`).join(', ')})`;
    });
  }
}
