/** Paths that were written while a member could not be reached, until it is told. */
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';

/** Of one member; a few hundred bytes each. */
const PATH_MAX_COUNT = 100_000;

export class UntoldNews {
  readonly #logger: Logger;
  readonly #paths = new Map<PeerId, Set<string>>();
  readonly #full = new Set<PeerId>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(peer: PeerId, paths: readonly string[]): void {
    const waiting = this.#paths.get(peer) ?? new Set();
    if (waiting.size === 0) {
      this.#logger.warn('a member cannot be told of writes: it serves what it has until it is', {
        member: peer,
      });
    }
    this.#paths.set(peer, waiting);
    for (const path of paths) waiting.add(path);
    if (waiting.size <= PATH_MAX_COUNT) return;
    const [oldest] = waiting;
    if (oldest !== undefined) waiting.delete(oldest);
    if (this.#full.has(peer)) return;
    this.#full.add(peer);
    this.#logger.error('too many writes wait for a member: it may serve old versions for long', {
      member: peer,
    });
  }

  /** All that waits for it, in parts: it waits no more. */
  take(peer: PeerId, partMaxCount: number): string[][] {
    const waiting = [...(this.#paths.get(peer) ?? [])];
    this.#paths.delete(peer);
    this.#full.delete(peer);
    const parts: string[][] = [];
    for (let at = 0; at < waiting.length; at += partMaxCount) {
      parts.push(waiting.slice(at, at + partMaxCount));
    }
    return parts;
  }

  /** Who has left the cluster is not told. */
  keepOnly(members: ReadonlySet<PeerId>): void {
    for (const peer of this.#paths.keys()) if (!members.has(peer)) this.#paths.delete(peer);
  }
}
