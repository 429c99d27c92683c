/**
 * What a process does that may open only so many files: openings wait for a while, and connections
 * are refused while there is still room for what must go on.
 */

/** Who opens a file when none may be opened asks again for so long. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 20;
const PAUSE_MAX_MS = 320;

export function isOutOfDescriptors(code: unknown): boolean {
  return code === 'EMFILE' || code === 'ENFILE';
}

/**
 * Runs `open` again while the process may open nothing; every other error is passed on. For calls
 * that have done nothing when they fail so, as those that open.
 */
export async function whenDescriptorsAllow<T>(
  open: () => Promise<T>,
  pause: (ms: number) => Promise<unknown>,
): Promise<T> {
  let waitedMs = 0;
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(PAUSE_MAX_MS, 2 * pauseMs)) {
    try {
      return await open();
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (!isOutOfDescriptors(code) || waitedMs >= PATIENCE_MS) throw error;
    }
    await pause(pauseMs);
    waitedMs += pauseMs;
  }
}

export interface GateBounds {
  /** Descriptors that the process may have. */
  readonly limit: number;
  /** Connections with this number, and above it, are refused. */
  readonly refuseFrom: number;
  /** These are not even heard. */
  readonly dropFrom: number;
  /** Connections beyond so many are refused, too. Default: any number. */
  readonly maxCount?: number;
}

/** What the gate needs of a connection: when it ends. */
export interface Connection {
  once(event: 'close', listener: () => void): unknown;
}

/**
 * Which connections are answered. The system gives the lowest number that is free, so a descriptor
 * with the number n says that n others are open, whoever opened them. What others will yet open it
 * does not say: room for that is kept by a number of connections that are used at once.
 */
export class DescriptorGate {
  readonly #bounds: GateBounds;
  readonly #refused = new WeakSet<object>();
  #usedCount = 0;

  constructor(bounds: GateBounds) {
    this.#bounds = bounds;
  }

  /**
   * To be called as soon as a connection was accepted. `refuse`: its requests are answered with an
   * error; `drop`: there is no time to wait for one.
   */
  enter(socket: Connection): 'use' | 'refuse' | 'drop' {
    const { _handle: handle } = socket as { _handle?: { fd?: number } | null };
    const number = handle?.fd ?? -1;
    const { refuseFrom, dropFrom, maxCount = Infinity } = this.#bounds;
    if (number >= dropFrom) return 'drop';
    if (number >= refuseFrom || this.#usedCount >= maxCount) {
      this.#refused.add(socket);
      return 'refuse';
    }
    this.#usedCount++;
    socket.once('close', () => this.#usedCount--);
    return 'use';
  }

  /** Whether what comes over this connection is answered. */
  admits(socket: object): boolean {
    return !this.#refused.has(socket);
  }

  get reason(): string {
    return `too many connections for the limit of ${this.#bounds.limit} open files: try again`;
  }
}
