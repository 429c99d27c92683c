/**
 * One kept-alive connection that carries one exchange after another. The kernel reads straight into
 * the buffer that the exchange names; there is no stream in between.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { DirectEndpoint } from '../../../ufs/under-store.ts';
import type { Exchange } from './exchange.ts';
import { HEAD_MAX_BYTES } from './response-head.ts';

export interface LaneEvents {
  /** The exchange is over; the lane takes the next one, or has closed. */
  onFree(lane: Lane): void;
}

export class Lane {
  /** For heads, and for what a server says unasked. */
  readonly scratch: Buffer = Buffer.allocUnsafeSlow(HEAD_MAX_BYTES);
  readonly #socket: Socket;
  readonly #events: LaneEvents;
  #exchange: Exchange | undefined;
  #isConnected = false;
  #isClosed = false;
  #connectDeadlineMs = Infinity;
  #carriedCount = 0;

  constructor(endpoint: DirectEndpoint, events: LaneEvents) {
    this.#events = events;
    this.#socket = this.#connect(endpoint);
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#close(error.code ?? 'ECONNRESET');
    });
    this.#socket.on('end', () => {
      this.#close('ECONNRESET');
    });
    this.#socket.on('close', () => {
      this.#close('ECONNRESET');
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Exchanges before the present one: a reused connection may have been closed meanwhile. */
  get carriedCount(): number {
    return this.#carriedCount;
  }

  /** One at a time. */
  carry(exchange: Exchange, nowMs: number): void {
    this.#exchange = exchange;
    this.#socket.ref();
    if (this.#isConnected) this.#send(exchange);
    else this.#connectDeadlineMs = nowMs + exchange.order.watch.connectTimeoutMs;
  }

  /** Ends what takes too long. */
  check(nowMs: number): void {
    if (!this.#exchange) return;
    if (!this.#isConnected) {
      if (nowMs >= this.#connectDeadlineMs) this.close('ETIMEDOUT');
    } else if (this.#exchange.check(nowMs)) {
      this.close('ETIMEDOUT');
    }
  }

  /** Whether that order is on this lane; then it is given up, and the connection with it. */
  cancel(id: number): boolean {
    if (this.#exchange?.order.id !== id) return false;
    this.#exchange.cancel();
    this.close('ECANCELED');
    return true;
  }

  /** Whether that order is on this lane; then it rests no more. */
  hurry(id: number): boolean {
    if (this.#exchange?.order.id !== id) return false;
    this.#exchange.hurry();
    return true;
  }

  /** Whether that order is on this lane; then others follow it from now on. */
  follow(id: number, trail: SharedArrayBuffer): boolean {
    if (this.#exchange?.order.id !== id) return false;
    this.#exchange.follow(trail);
    return true;
  }

  close(systemCode: string): void {
    this.#close(systemCode);
  }

  #connect({ address, port, tls }: DirectEndpoint): Socket {
    const onread = {
      buffer: () => this.#room(),
      callback: (byteCount: number) => this.#read(byteCount),
    };
    const onReady = (): void => {
      this.#isConnected = true;
      if (this.#exchange) this.#send(this.#exchange);
    };
    if (!tls) return connectPlain({ host: address, port, onread }, onReady);
    const options = { host: address, port, servername: tls.serverName, onread };
    return connectTls({ ...options, ALPNProtocols: ['http/1.1'] }, onReady);
  }

  #send(exchange: Exchange): void {
    exchange.sent();
    this.#socket.write(exchange.order.request.head, 'latin1');
  }

  #room(): Buffer {
    const exchange = this.#exchange;
    return exchange && !exchange.isOver ? exchange.room : this.scratch;
  }

  /** @returns false to read nothing more for now. */
  #read(byteCount: number): boolean {
    const exchange = this.#exchange;
    if (!exchange) {
      // Nothing was asked: whatever this is, the next answer must not begin with it.
      this.#close('EPROTO');
      return true;
    }
    const busy = exchange.received(byteCount);
    if (exchange.isOver) {
      this.#end(exchange);
      return true;
    }
    if (!busy) return true;
    void busy.then(() => {
      exchange.resumed();
      if (!this.#isClosed) this.#socket.resume();
    });
    return false;
  }

  #end(exchange: Exchange): void {
    this.#exchange = undefined;
    this.#carriedCount += 1;
    if (exchange.mayReuse && !this.#isClosed) {
      // Why: an idle connection must not keep the thread alive.
      this.#socket.unref();
      this.#events.onFree(this);
    } else {
      this.#close('ECONNRESET');
    }
  }

  #close(systemCode: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.broke(systemCode);
    this.#events.onFree(this);
  }
}
