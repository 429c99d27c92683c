/** The open WebSockets of a peer, so that closing it can wait until the last one is gone. */
import type { WebSocket } from 'ws';

export class SocketSet {
  readonly #sockets = new Set<WebSocket>();
  #onEmpty: (() => void) | undefined;

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: WebSocket): void {
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onEmpty?.();
    });
  }

  /** Resolves when none is open; each must have been told to close, which takes bounded time. */
  async drained(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }
}
