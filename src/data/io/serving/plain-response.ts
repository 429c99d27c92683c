/**
 * An answer to a plain request: head and first bytes leave in one piece. It has the length that its
 * head promises, or its connection ends.
 */
import { STATUS_CODES } from 'node:http';
import type { ClientResponse } from './client-response.ts';

/** What is needed of a connection. */
export interface ResponseOutlet {
  write(pieces: readonly Uint8Array[], done: (error?: Error | null) => void): void;
  setTimeout(ms: number): void;
  destroy(): void;
}

interface ResponseUses {
  /** Whether the connection takes another request. */
  readonly keepsAlive: () => boolean;
  /** All of it was given to the system. */
  readonly onEnd: () => void;
}

/** Told to clients. */
export const KEEP_ALIVE_S = 65;
/** What may stand in a head: whatever else there is would be another line to somebody. */
const SAFE = /^[\t -~\x80-\xff]*$/;
const DATE_MS = 1000;

export class PlainResponse implements ClientResponse {
  readonly socket: ResponseOutlet;
  readonly #uses: ResponseUses;
  readonly #isHead: boolean;
  #head: { readonly status: number; readonly headers: readonly string[] } | undefined;
  #isHeadSent = false;
  #room: Buffer | undefined;
  #unsentBytes = 0;
  #onClose: (() => void)[] = [];
  #isOver = false;

  constructor(outlet: ResponseOutlet, uses: ResponseUses, isHead: boolean) {
    this.socket = outlet;
    this.#uses = uses;
    this.#isHead = isHead;
  }

  /** Answered, or nobody waits for it any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get headersSent(): boolean {
    return this.#head !== undefined;
  }

  writeHead(status: number, headers: readonly string[]): void {
    this.#head ??= { status, headers };
  }

  write(bytes: Uint8Array, done: (error?: Error | null) => void): void {
    this.#send(bytes, false, done);
  }

  end(bytes?: Uint8Array, done?: () => void): void {
    this.#send(bytes, true, (error) => {
      if (error) return;
      done?.();
      if (this.#isOver) return;
      this.over();
      this.#uses.onEnd();
    });
  }

  useRoom(room: Buffer): void {
    this.#room = room;
  }

  writeContinue(): void {
    // Nobody who asks plainly waits for it.
  }

  destroy(): void {
    this.socket.destroy();
  }

  once(_event: 'close', listener: () => void): void {
    this.#onClose.push(listener);
  }

  on(): void {
    // Whoever writes hears of errors by the end of the connection.
  }

  /** It is answered, or the connection is gone. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const listener of this.#onClose) listener();
    this.#onClose = [];
  }

  #send(
    bytes: Uint8Array | undefined,
    isLast: boolean,
    done: (error?: Error | null) => void,
  ): void {
    if (this.#isOver) return;
    const hasBody = this.#hasBody;
    const body = hasBody && bytes && bytes.length > 0 ? bytes : undefined;
    let pieces = body ? [body] : [];
    if (!this.#isHeadSent) {
      const head = this.#begin(body?.length ?? 0);
      if (head === undefined) {
        this.destroy();
        return;
      }
      pieces = this.#withHead(head, body);
    }
    this.#unsentBytes -= body?.length ?? 0;
    // Why: whoever waits for bytes that were promised would take the next answer for them.
    if (this.#unsentBytes < 0 || (isLast && hasBody && this.#unsentBytes > 0)) this.destroy();
    else this.socket.write(pieces, done);
  }

  /** In one piece where there is room for that. */
  #withHead(head: string, body: Uint8Array | undefined): Uint8Array[] {
    const room = this.#room;
    if (!body || !room || room.length < head.length) {
      const bytes = Buffer.from(head, 'latin1');
      return body ? [bytes, body] : [bytes];
    }
    const begin = room.length - head.length;
    room.write(head, begin, 'latin1');
    return [Buffer.from(room.buffer, room.byteOffset + begin, head.length + body.length)];
  }

  get #hasBody(): boolean {
    const status = this.#head?.status ?? 0;
    return !this.#isHead && status >= 200 && status !== 204 && status !== 304;
  }

  /** Undefined: it cannot be sent. */
  #begin(bodyBytes: number): string | undefined {
    const { status, headers } = this.#head ?? { status: 200, headers: [] };
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    let lengthBytes: number | undefined;
    let isClosed = false;
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const name = headers[at] ?? '';
      const value = headers[at + 1] ?? '';
      const line = `${name}: ${value}`;
      if (!SAFE.test(line)) return undefined;
      if (isNamed(name, 'content-length')) lengthBytes = Number(value);
      else if (isNamed(name, 'connection')) isClosed = true;
      text += `${line}\r\n`;
    }
    if (lengthBytes === undefined && this.#hasBody) {
      lengthBytes = bodyBytes;
      text += `content-length: ${bodyBytes}\r\n`;
    }
    this.#unsentBytes = this.#hasBody ? (lengthBytes ?? 0) : 0;
    this.#isHeadSent = true;
    const keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${KEEP_ALIVE_S}\r\n`;
    const rest = isClosed ? '' : this.#uses.keepsAlive() ? keepAlive : 'Connection: close\r\n';
    return `${text}Date: ${dateLine()}\r\n${rest}\r\n`;
  }
}

function isNamed(name: string, known: string): boolean {
  return name.length === known.length && name.toLowerCase() === known;
}

let date = { atMs: 0, text: '' };

/** The same text for a second. */
function dateLine(): string {
  const nowMs = Date.now();
  if (Math.abs(nowMs - date.atMs) >= DATE_MS) {
    const atMs = nowMs - (nowMs % DATE_MS);
    date = { atMs, text: new Date(atMs).toUTCString() };
  }
  return date.text;
}
