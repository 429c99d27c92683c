/** Clients over raw sockets, as many as are wanted: they take their time, leave, or say nothing. */
import { connect, type Socket } from 'node:net';
import type { Peer } from '../support/peer-process.ts';
import { pathOf } from './expect.ts';

const HEAD_MAX_BYTES = 16 * 1024;

export class StormClient {
  readonly socket: Socket;
  /** What came of the body; all of it is kept, so for slow readers only. */
  readonly body: Buffer[] = [];
  bodyBytes = 0;
  status = 0;
  isClosed = false;
  #head = '';

  constructor(peer: Peer, text: string) {
    this.socket = connect(peer.restPort, '127.0.0.1');
    this.socket.on('error', () => undefined);
    this.socket.once('close', () => (this.isClosed = true));
    this.socket.write(text);
  }

  static reading(peer: Peer, key: string): StormClient {
    const target = `/v1/files/content?path=${encodeURIComponent(pathOf(key))}`;
    return new StormClient(peer, `GET ${target} HTTP/1.1\r\nHost: storm\r\n\r\n`);
  }

  /** Takes at most so many bytes of what has come, and nothing else. */
  take(maxBytes: number): void {
    const chunk = this.socket.read(
      Math.min(maxBytes, this.socket.readableLength || maxBytes),
    ) as Buffer | null;
    if (chunk) this.#use(chunk);
  }

  /** Takes everything as fast as it comes, until so many bytes of the body are there; then leaves. */
  leaveAfter(byteCount: number): Promise<void> {
    return new Promise((resolve) => {
      this.socket.once('close', () => {
        resolve();
      });
      this.socket.on('data', (chunk: Buffer) => {
        this.#use(chunk);
        this.body.length = 0;
        if (this.status !== 0 && this.bodyBytes >= byteCount) this.socket.destroy();
      });
    });
  }

  /** The body, once so many bytes of it are there; then leaves. */
  takeAll(byteCount: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.socket.once('close', () => {
        if (this.bodyBytes === byteCount) resolve(Buffer.concat(this.body));
        else reject(new Error(`cut after ${this.bodyBytes} of ${byteCount} bytes`));
      });
      this.socket.on('data', (chunk: Buffer) => {
        this.#use(chunk);
        if (this.bodyBytes >= byteCount) this.socket.destroy();
      });
    });
  }

  #use(chunk: Buffer): void {
    if (this.status !== 0) {
      this.body.push(chunk);
      this.bodyBytes += chunk.length;
      return;
    }
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length > HEAD_MAX_BYTES)
        throw new Error('an answer without an end of its head');
      return;
    }
    this.status = Number(this.#head.split(' ', 2)[1]);
    const rest = Buffer.from(this.#head.slice(end + 4), 'latin1');
    if (rest.length > 0) this.#use(rest);
  }
}
