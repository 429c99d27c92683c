/**
 * Whether somebody waits for a fill. One that was begun ahead of readers becomes urgent when the
 * first of them joins it, and stays so.
 */
export class Urgency {
  #isUrgent: boolean;
  #listeners: (() => void)[] = [];

  constructor(isUrgent: boolean) {
    this.#isUrgent = isUrgent;
  }

  get isUrgent(): boolean {
    return this.#isUrgent;
  }

  raise(): void {
    if (this.#isUrgent) return;
    this.#isUrgent = true;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  /** Calls back once, unless it is urgent already. @returns what takes that back */
  onRaised(listener: () => void): () => void {
    if (this.#isUrgent) return () => undefined;
    this.#listeners.push(listener);
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener);
    };
  }
}
