/**
 * Orders to the failpoints of one peer, given and changed while it runs, and the hits that it
 * noted. See `src/node/failpoints.ts` for the form of both.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

export class PeerFailpoints {
  readonly #path: string;
  #orderCount = 0;

  constructor(path: string) {
    this.#path = path;
    this.arm('');
  }

  /** For the environment of the peer. */
  get setting(): string {
    return `@${this.#path}`;
  }

  /** Takes the place of earlier orders; counting begins again. */
  arm(orders: string): void {
    this.#orderCount += 1;
    // Why a rename: the peer must never read half of them.
    writeFileSync(`${this.#path}.new`, `${orders}\n${this.#mark}`);
    renameSync(`${this.#path}.new`, this.#path);
  }

  disarm(): void {
    this.arm('');
  }

  /** How often each failpoint was reached since the last {@link arm}. */
  hits(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const line of this.#lines()) counts.set(line, (counts.get(line) ?? 0) + 1);
    return counts;
  }

  /** Whether an order acted since the last {@link arm}, as `kill@3`. */
  acted(name: string, action: string): boolean {
    return this.#lines().includes(`${name} ${action}`);
  }

  get #mark(): string {
    return `#${this.#orderCount}`;
  }

  #lines(): readonly string[] {
    const lines = readIfThere(`${this.#path}.hits`).split('\n');
    const start = lines.findIndex((line) => line.startsWith('= ') && line.endsWith(this.#mark));
    return start < 0 ? [] : lines.slice(start + 1, -1).filter((line) => !line.startsWith('= '));
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
