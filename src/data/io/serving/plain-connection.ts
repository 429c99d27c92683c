/**
 * A connection of a client that asks plainly, one request after another. At the first request that
 * is anything else the connection, with that request, becomes one of `node:http`, for good: it has
 * read none of it, and we read nothing of it any more.
 */
import type { Socket } from 'node:net';
import { type PlainRequest, PLAIN_HEAD_MAX_BYTES, readPlainRequest } from './plain-request.ts';
import { KEEP_ALIVE_S, PlainResponse, type ResponseOutlet } from './plain-response.ts';

interface ConnectionUses {
  readonly headersTimeoutMs: number;
  readonly nowMs: () => number;
  readonly keepsAlive: () => boolean;
  readonly onRequest: (request: PlainRequest, response: PlainResponse) => void;
  /** It is to be read by somebody else, from its next byte on; it is not ours any more. */
  readonly onOther: () => void;
  readonly onClose: () => void;
}

const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n';

export class PlainConnection {
  readonly #socket: Socket;
  readonly #uses: ConnectionUses;
  /** Not read yet. */
  #bytes: Buffer | undefined;
  #response: PlainResponse | undefined;
  /** Since when the head that is not whole, or the next request, is waited for. */
  #sinceMs: number;
  /** Whether it has asked for anything yet. */
  #isUsed = false;
  #hasEnded = false;
  /** Of the answer under way: how long the client may take nothing. */
  #stallMs = 0;
  #isTimed = false;
  /** Of all its answers: there is one at a time. */
  readonly #outlet: ResponseOutlet = {
    write: (pieces, done) => {
      this.#write(pieces, done);
    },
    setTimeout: (ms) => {
      this.#stallMs = ms;
      if (this.#isTimed) this.#time(ms);
    },
    destroy: () => {
      this.#socket.destroy();
    },
  };
  readonly #responseUses = {
    keepsAlive: () => this.#keepsAlive,
    onEnd: () => {
      this.#answered();
    },
  };
  readonly #listeners = {
    data: (bytes: Buffer): void => {
      this.#received(bytes);
    },
    end: (): void => {
      this.#hasEnded = true;
      if (!this.#response) this.#socket.end();
    },
    timeout: (): void => {
      this.#socket.destroy();
    },
    error: (): void => undefined,
    close: (): void => {
      this.#response?.over();
      this.#uses.onClose();
    },
  };

  constructor(socket: Socket, uses: ConnectionUses) {
    this.#socket = socket;
    this.#uses = uses;
    this.#sinceMs = uses.nowMs();
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener);
  }

  closeIfIdle(): void {
    if (this.#isUsed && !this.#response && !this.#bytes) this.#socket.destroy();
  }

  /** To be called now and then: a timer for each request would cost more than the request. */
  check(nowMs: number): void {
    if (this.#response) {
      if (this.#stallMs > 0 && !this.#isTimed) this.#time(this.#stallMs);
      return;
    }
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#isUsed && !this.#bytes) {
      if (waitedMs > 1000 * KEEP_ALIVE_S) this.#socket.destroy();
    } else if (waitedMs > this.#uses.headersTimeoutMs) {
      this.#socket.end(TIMED_OUT, () => this.#socket.destroy());
    }
  }

  #time(ms: number): void {
    this.#isTimed = ms > 0;
    this.#socket.setTimeout(ms);
  }

  #received(bytes: Buffer): void {
    if (!this.#bytes && !this.#response && this.#isUsed) this.#sinceMs = this.#uses.nowMs();
    this.#bytes = this.#bytes ? Buffer.concat([this.#bytes, bytes]) : bytes;
    if (!this.#response) this.#next();
    else if (this.#bytes.length > PLAIN_HEAD_MAX_BYTES) this.#socket.pause();
  }

  #next(): void {
    const bytes = this.#bytes;
    if (!bytes) return;
    const request = readPlainRequest(bytes);
    if (request === 'more') return;
    if (request === 'other') {
      this.#handOver(bytes);
      return;
    }
    const { lengthBytes, method } = request;
    this.#bytes = lengthBytes === bytes.length ? undefined : bytes.subarray(lengthBytes);
    this.#isUsed = true;
    this.#stallMs = 0;
    const response = new PlainResponse(this.#outlet, this.#responseUses, method === 'HEAD');
    this.#response = response;
    this.#uses.onRequest(request, response);
  }

  get #keepsAlive(): boolean {
    return this.#uses.keepsAlive() && !this.#hasEnded;
  }

  #write(pieces: readonly Uint8Array[], done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    const last = pieces.at(-1);
    if (pieces.length > 1) socket.cork();
    for (const piece of pieces) {
      if (piece === last) socket.write(piece, done);
      else socket.write(piece);
    }
    if (pieces.length > 1) socket.uncork();
    if (!last) done();
  }

  #answered(): void {
    this.#response = undefined;
    this.#sinceMs = this.#uses.nowMs();
    if (this.#isTimed) this.#time(0);
    if (!this.#keepsAlive && !this.#bytes) {
      this.#socket.end();
      return;
    }
    if (this.#socket.isPaused()) this.#socket.resume();
    if (this.#bytes) this.#next();
  }

  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    for (const [event, listener] of Object.entries(this.#listeners)) socket.off(event, listener);
    socket.pause();
    socket.unshift(bytes);
    this.#bytes = undefined;
    this.#uses.onOther();
    socket.resume();
  }
}
