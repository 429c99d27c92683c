/**
 * Paths by file id, for requests that have no path: older clients ask for pages by id alone. What
 * this peer told of is remembered, and what is cached in the cluster is looked through for others.
 */
import type { FileService } from '../services.ts';
import { fileIdOf } from './file-id.ts';

const KNOWN_MAX_COUNT = 200_000;
const PAGE_MAX_COUNT = 1000;
/** An id that is unknown is not looked for again and again. */
const LOOK_INTERVAL_MS = 5_000;

export class KnownIds {
  readonly #files: FileService;
  readonly #mounts: readonly string[];
  readonly #nowMs: () => number;
  readonly #paths = new Map<string, string>();
  #lookedMs = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(files: FileService, mounts: readonly string[], nowMs: () => number) {
    this.#files = files;
    this.#mounts = mounts;
    this.#nowMs = nowMs;
  }

  remember(path: string): void {
    const id = fileIdOf(path);
    this.#paths.delete(id);
    this.#paths.set(id, path);
    for (const oldest of this.#paths.keys()) {
      if (this.#paths.size <= KNOWN_MAX_COUNT) return;
      this.#paths.delete(oldest);
    }
  }

  async pathOf(id: string): Promise<string | undefined> {
    const known = this.#paths.get(id);
    if (known !== undefined) return known;
    if (this.#nowMs() - this.#lookedMs >= LOOK_INTERVAL_MS) this.#looking ??= this.#look();
    await this.#looking;
    return this.#paths.get(id);
  }

  async #look(): Promise<void> {
    try {
      for (const root of this.#mounts) await this.#lookBelow(root);
    } finally {
      this.#lookedMs = this.#nowMs();
      this.#looking = undefined;
    }
  }

  async #lookBelow(root: string): Promise<void> {
    let after: string | undefined;
    let count = 0;
    do {
      const request = { root, limit: PAGE_MAX_COUNT, ...(after !== undefined && { after }) };
      const { files, next } = await this.#files.list(request);
      for (const { path } of files) this.remember(path);
      count += files.length;
      after = next;
    } while (after !== undefined && count < KNOWN_MAX_COUNT);
  }
}
