/** What was opened, closed again in reverse order, each part within a deadline. */
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

const PART_DEADLINE_MS = 10_000;

export class Closer {
  readonly #logger: Logger;
  readonly #parts: { readonly name: string; readonly close: () => Promise<void> | void }[] = [];
  #closing: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(name: string, close: () => Promise<void> | void): void {
    this.#parts.push({ name, close });
  }

  /** Closes everything once; a part that fails or hangs does not keep the others open. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) {
      const { name, close } = part;
      try {
        await withDeadline(Promise.resolve(close()));
      } catch (error) {
        this.#logger.warn('part not closed cleanly', {
          part: name,
          reason: toRingloadError(error).message,
        });
      }
    }
  }
}

async function withDeadline(closed: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`still open after ${String(PART_DEADLINE_MS)} ms`));
    }, PART_DEADLINE_MS);
  });
  try {
    await Promise.race([closed, late]);
  } finally {
    clearTimeout(timer);
  }
}
