/**
 * Connections that have said nothing yet. When there are too many connections, those that have been
 * silent for long are ended, and a crowd of silent ones at once: who talks goes before who does not.
 */

/** What is needed of a connection. */
interface Client {
  readonly bytesRead: number;
  once(event: 'close', listener: () => void): unknown;
  destroy(): unknown;
}

/** What asks for nothing ends after so long, when there are too many. */
export const SILENT_MAX_MS = 250;

export class SilentClients {
  readonly #maxCount: number;
  readonly #nowMs: () => number;
  /** Since when a connection that may have said nothing yet is there; the oldest first. */
  readonly #silent = new Map<Client, number>();

  /** @param maxCount more of them are a crowd. */
  constructor(maxCount: number, nowMs: () => number) {
    this.#maxCount = maxCount;
    this.#nowMs = nowMs;
  }

  enter(client: Client): void {
    this.#silent.set(client, this.#nowMs());
    client.once('close', () => this.#silent.delete(client));
  }

  makeRoom(): void {
    const untilMs = this.#nowMs() - SILENT_MAX_MS;
    for (const [client, sinceMs] of this.#silent) {
      if (sinceMs > untilMs && this.#silent.size <= this.#maxCount) break;
      this.#silent.delete(client);
      if (client.bytesRead === 0) client.destroy();
    }
  }
}
