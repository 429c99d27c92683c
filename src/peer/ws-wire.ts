/**
 * A wire over one WebSocket: frames in, frames out, long messages in parts between the others.
 *
 * Unsealed, a text frame is a frame of the codec and a binary one is a part; sealed, all are
 * binary. Anything else ends this socket and nothing more.
 */
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../base/clock.ts';
import type { PeerCounters } from './counters.ts';
import { decodeFrame, encodeFrame } from './frame.ts';
import type { Frame } from './frame.ts';
import type { PeerLimits } from './limits.ts';
import { PartCutter, PartJoiner } from './parts.ts';
import type { FrameForm, FrameSeal } from './seal.ts';
import { SendBudget } from './send-budget.ts';
import type { SendUrgency, Wire, WireEnd, WireEvents } from './wire.ts';

/** Bytes of parts that may wait in the socket: more would keep small frames waiting behind them. */
const PARTS_AHEAD_BYTES = 512 * 1024;

/** How long the other side may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 500;

/** Close codes of RFC 6455, and our own above 4000. */
const CLOSE_CODES: Readonly<Record<WireEnd, number>> = {
  drained: 1000,
  closed: 1001,
  bad_frame: 1008,
  lost: 1011,
  replaced: 4001,
  silent: 4002,
  backlog: 4003,
};

export interface WsWireOptions {
  readonly socket: WebSocket;
  readonly seal: FrameSeal | undefined;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly clock: Clock;
}

interface LongMessage {
  readonly cutter: PartCutter;
  readonly sizeBytes: number;
}

export class WsWire implements Wire {
  readonly #socket: WebSocket;
  readonly #seal: FrameSeal | undefined;
  readonly #limits: PeerLimits;
  readonly #counters: PeerCounters;
  readonly #clock: Clock;
  readonly #budget: SendBudget;
  readonly #joiner: PartJoiner;
  readonly #longMessages: LongMessage[] = [];
  #partBytesInSocket = 0;
  #streamId = 0;
  #ended = false;

  constructor({ socket, seal, limits, counters, clock }: WsWireOptions) {
    this.#socket = socket;
    this.#seal = seal;
    this.#limits = limits;
    this.#counters = counters;
    this.#clock = clock;
    this.#budget = new SendBudget(limits);
    this.#joiner = new PartJoiner(limits.messageMaxBytes);
  }

  bind(events: WireEvents): void {
    this.#socket.on('message', (data, isBinary) => {
      if (!this.#ended) this.#receive(events, toBuffer(data), isBinary);
    });
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      // Why: the library's own codes mean broken or oversized frames, the others a lost socket.
      if (error.code?.startsWith('WS_ERR_') === true) this.#counters.badFrames++;
    });
    this.#socket.on('close', (code) => {
      if (this.#ended) return;
      this.#ended = true;
      events.onEnd(endOf(code));
    });
  }

  send(frame: Frame, urgency: SendUrgency): boolean {
    const content = Buffer.from(encodeFrame(frame), 'utf8');
    this.#budget.checkSize(content.length);
    if (this.#ended || !this.#budget.fits(content.length, urgency)) return false;
    this.#budget.take(content.length);
    if (this.#budget.isLong(content.length)) {
      const cutter = new PartCutter(content, this.#streamId++, this.#limits.partBytes);
      this.#longMessages.push({ cutter, sizeBytes: content.length });
      this.#sendParts();
    } else {
      this.#write('text', content, () => {
        this.#budget.giveBack(content.length);
      });
    }
    return true;
  }

  close(reason: WireEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#longMessages.length = 0;
    // Why: nobody is there to answer a close frame, or it would wait behind what is not taken.
    if (reason === 'silent' || reason === 'backlog') {
      this.#socket.terminate();
      return;
    }
    const timer = this.#clock.setTimer(CLOSE_TIMEOUT_MS, () => {
      this.#socket.terminate();
    });
    this.#socket.once('close', () => {
      timer.cancel();
    });
    this.#socket.close(CLOSE_CODES[reason], reason);
  }

  #receive(events: WireEvents, data: Buffer, isBinary: boolean): void {
    this.#counters.bytesReceived += data.length;
    let frame: Frame | undefined;
    try {
      frame = this.#decode(data, isBinary);
    } catch {
      this.#counters.badFrames++;
      this.close('bad_frame');
      events.onEnd('bad_frame');
      return;
    }
    events.onHeard();
    if (frame) events.onFrame(frame);
  }

  #decode(data: Buffer, isBinary: boolean): Frame | undefined {
    const { form, content } = this.#seal
      ? this.#seal.open(data)
      : { form: isBinary ? ('part' as const) : ('text' as const), content: data };
    if (form === 'text') return decodeFrame(content.toString('utf8'), this.#limits.nestingMax);
    const message = this.#joiner.add(content);
    if (!message) return undefined;
    const text = Buffer.from(message.buffer, message.byteOffset, message.length).toString('utf8');
    return decodeFrame(text, this.#limits.nestingMax);
  }

  #sendParts(): void {
    while (!this.#ended && this.#partBytesInSocket < PARTS_AHEAD_BYTES) {
      const message = this.#longMessages[0];
      const part = message?.cutter.next();
      if (!message || !part) return;
      if (message.cutter.remainingBytes === 0) this.#longMessages.shift();
      const isLast = message.cutter.remainingBytes === 0;
      this.#partBytesInSocket += part.length;
      this.#write('part', part, () => {
        this.#partBytesInSocket -= part.length;
        if (isLast) this.#budget.giveBack(message.sizeBytes);
        this.#sendParts();
      });
    }
  }

  #write(form: FrameForm, content: Uint8Array, written: () => void): void {
    const data = this.#seal ? this.#seal.seal(form, content) : content;
    this.#counters.bytesSent += data.length;
    this.#socket.send(data, { binary: this.#seal !== undefined || form === 'part' }, written);
  }
}

/** With the default binary type a message is always one buffer. */
function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

function endOf(code: number): WireEnd {
  const known = Object.entries(CLOSE_CODES).find(([, value]) => value === code);
  return known && known[0] !== 'bad_frame' ? (known[0] as WireEnd) : 'lost';
}
