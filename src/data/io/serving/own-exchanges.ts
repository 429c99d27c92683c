/** The requests that this thread is answering by itself. */
import type { OwnAnswer } from '../../own-answers.ts';
import type { ClientResponse } from './client-response.ts';
import { OwnExchange } from './own-exchange.ts';
import { OwnPeerExchange, type OwnPeerParts } from './own-peer-exchange.ts';
import type { SenderParts } from './range-sender.ts';

/** How often it is looked whether a peer takes too long. */
const LOOK_MS = 50;

export class OwnExchanges {
  readonly #parts: SenderParts & OwnPeerParts;
  readonly #onOver: () => void;
  readonly #running = new Set<OwnExchange>();
  readonly #asking = new Set<OwnPeerExchange>();
  #looking: NodeJS.Timeout | undefined;

  constructor(parts: SenderParts & OwnPeerParts, onOver: () => void) {
    this.#parts = parts;
    this.#onOver = onOver;
  }

  get count(): number {
    return this.#running.size + this.#asking.size;
  }

  /** @param onForward nothing was sent: somebody else is to answer */
  run(response: ClientResponse, answer: OwnAnswer, onForward: () => void): void {
    const { distant } = answer;
    if (distant) {
      const uses = this.#usesOf(() => this.#asking.delete(exchange), onForward);
      const exchange = new OwnPeerExchange(response, { ...answer, distant }, this.#parts, uses);
      this.#asking.add(exchange);
      this.#watch();
      exchange.start();
    } else {
      const uses = this.#usesOf(() => this.#running.delete(exchange), onForward);
      const exchange = new OwnExchange(response, answer, this.#parts, uses);
      this.#running.add(exchange);
      exchange.start();
    }
  }

  #usesOf(leave: () => void, onForward: () => void) {
    return {
      onForward: () => {
        leave();
        onForward();
      },
      onOver: () => {
        leave();
        this.#onOver();
      },
    };
  }

  /** While any peer is waited for: a timer for each request would cost more than the request. */
  #watch(): void {
    this.#looking ??= setInterval(() => {
      const nowMs = this.#parts.nowMs();
      for (const exchange of [...this.#asking]) exchange.check(nowMs);
      if (this.#asking.size > 0) return;
      clearInterval(this.#looking);
      this.#looking = undefined;
    }, LOOK_MS);
  }
}
