/** Dials peers that are wanted and not linked, with a growing back-off. */
import type { Clock } from '../base/clock.ts';
import type { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { nextDialDelayMs } from './back-off.ts';
import { countRefusal } from './counters.ts';
import type { PeerCounters } from './counters.ts';
import type { PeerLimits } from './limits.ts';
import { stopDialling } from './peer-slot.ts';
import type { PeerSlot } from './peer-slot.ts';
import { refusalOf, refusedError, REFUSALS } from './refusal.ts';
import type { RefusalReason } from './refusal.ts';
import type { Dialler, Hello, RemotePeer, Wire } from './wire.ts';

export interface LinkDiallerOptions {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly dialler: Dialler;
  /** What to say to a peer; each dial has a number of its own. */
  readonly hello: (to: PeerId) => Hello;
  /** Somebody answered: a link, or why not. */
  readonly open: (
    slot: PeerSlot,
    remote: RemotePeer,
    wire: Wire,
    dialNumber: number,
  ) => RefusalReason | undefined;
}

export class LinkDialler {
  readonly #options: LinkDiallerOptions;
  #isClosed = false;

  constructor(options: LinkDiallerOptions) {
    this.#options = options;
  }

  /** The peer is wanted, at this address. */
  want(slot: PeerSlot, address: string): void {
    const moved = slot.address !== address;
    slot.address = address;
    if (moved && !slot.current) {
      slot.failuresCount = 0;
      stopDialling(slot);
    }
    this.plan(slot);
  }

  /** No dial begins any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Unless there is a link or a dial already. */
  plan(slot: PeerSlot): void {
    const idle = !slot.current && !slot.dial && !slot.redial;
    if (this.#isClosed || slot.address === undefined || !idle) return;
    const refusal = slot.lastFailure && refusalOf(slot.lastFailure);
    const delayMs = nextDialDelayMs(
      {
        failuresCount: slot.failuresCount,
        lastingRefusal: refusal !== undefined && REFUSALS[refusal].lasting,
        courtesy: slot.id < this.#options.self,
      },
      this.#options.limits,
      this.#options.random,
    );
    slot.redial = this.#options.clock.setTimer(delayMs, () => {
      slot.redial = undefined;
      this.#dial(slot);
    });
  }

  #dial(slot: PeerSlot): void {
    const { address } = slot;
    if (this.#isClosed || address === undefined || slot.current) return;
    this.#options.counters.dials++;
    const hello = this.#options.hello(slot.id);
    slot.dial = this.#options.dialler.dial(
      { address, hello },
      {
        onOpen: (remote, wire) => {
          slot.dial = undefined;
          const refusal = this.#options.open(slot, remote, wire, hello.dialNumber);
          if (refusal !== undefined) this.#failed(slot, refusedError(refusal, address));
        },
        onFailure: (error) => {
          slot.dial = undefined;
          this.#failed(slot, error);
        },
      },
    );
  }

  #failed(slot: PeerSlot, error: RingloadError): void {
    const { counters, logger } = this.#options;
    const refusal = refusalOf(error);
    counters.dialFailures++;
    if (refusal !== undefined) countRefusal(counters.refusedDials, refusal);
    // Why: the other side dialled meanwhile, and that dial won.
    if (slot.current) return;
    if (slot.unconfirmed && refusal === 'duplicate_link') {
      this.plan(slot);
      return;
    }
    if (slot.lastFailure?.message !== error.message && refusal !== 'duplicate_link') {
      logger.warn('dial failed', { peerId: slot.id, address: slot.address, error: error.message });
    }
    slot.lastFailure = error;
    slot.failuresCount++;
    this.plan(slot);
  }
}
