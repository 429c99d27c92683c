/**
 * Two ends of a wire in one process. Frames go through the real codec, so nothing but JSON
 * passes and both sides never share an object. When a frame arrives, if at all, is the carrier's
 * business.
 */
import type { PeerCounters } from './counters.ts';
import { decodeFrame, encodeFrame } from './frame.ts';
import type { Frame } from './frame.ts';
import type { PeerLimits } from './limits.ts';
import { SendBudget } from './send-budget.ts';
import type { SendUrgency, Wire, WireEnd, WireEvents } from './wire.ts';

export interface Parcel {
  /** The bytes left the sender's buffer; at most once. */
  leave(): void;
  /** Hands the content to the other end; any number of times. */
  arrive(): void;
}

/** Takes parcels one way; it may lose, delay, repeat and reorder them. */
export type Carrier = (parcel: Parcel) => void;

export interface WireEndOptions {
  readonly carrier: Carrier;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
}

export function createWirePair(near: WireEndOptions, far: WireEndOptions): [Wire, Wire] {
  const nearWire = new MemoryWire(near);
  const farWire = new MemoryWire(far);
  nearWire.connect(farWire);
  farWire.connect(nearWire);
  return [nearWire, farWire];
}

class MemoryWire implements Wire {
  readonly #options: WireEndOptions;
  #other: MemoryWire | undefined;
  #events: WireEvents | undefined;
  readonly #budget: SendBudget;
  #ended = false;

  constructor(options: WireEndOptions) {
    this.#options = options;
    this.#budget = new SendBudget(options.limits);
  }

  connect(other: MemoryWire): void {
    this.#other = other;
  }

  bind(events: WireEvents): void {
    this.#events = events;
  }

  send(frame: Frame, urgency: SendUrgency): boolean {
    const { counters, carrier } = this.#options;
    const text = encodeFrame(frame);
    this.#budget.checkSize(text.length);
    if (this.#ended || !this.#budget.fits(text.length, urgency)) return false;
    this.#budget.take(text.length);
    counters.bytesSent += text.length;
    carrier({
      leave: () => {
        this.#budget.giveBack(text.length);
      },
      arrive: () => this.#other?.receive(text),
    });
    return true;
  }

  close(reason: WireEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.carrier({ leave() {}, arrive: () => this.#other?.endFromOther(reason) });
  }

  receive(text: string): void {
    if (this.#ended) return;
    this.#options.counters.bytesReceived += text.length;
    let frame: Frame;
    try {
      frame = decodeFrame(text, this.#options.limits.nestingMax);
    } catch {
      this.#options.counters.badFrames++;
      this.close('bad_frame');
      this.#events?.onEnd('bad_frame');
      return;
    }
    this.#events?.onHeard();
    this.#events?.onFrame(frame);
  }

  endFromOther(reason: WireEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events?.onEnd(reason === 'drained' ? 'drained' : 'lost');
  }
}
