/**
 * One kept-alive connection to another peer's data endpoint: a request, the head of its answer, and
 * its body into buffers that the reader names. The kernel reads straight into them; there is no
 * stream in between. Nothing is read unless somebody wants it.
 */
import { connect, type Socket } from 'node:net';
import type { AnswerHead } from '../../../ufs/under-store.ts';
import type { Lease } from '../connection-share.ts';
import { headLength } from '../http-head.ts';
import { HEAD_MAX_BYTES, parseHead } from '../lanes/response-head.ts';

/** Takes a body. */
export interface BodyTaker {
  /** Where the next bytes go; asked for after each of them, but not after the last. */
  room(): Buffer;
  /** `bytes` of the body have come, in that room or elsewhere. False: read nothing for now. */
  took(bytes: Buffer): boolean;
  broke(reason: string): void;
}

export interface Answered {
  readonly head: AnswerHead;
  readonly bodyBytes: number;
  /** What came with the head; its memory is used again after the next read. */
  readonly rest: Buffer;
}

/** An answer with nothing of its body read but what came with the head. */
export interface OpenedAnswer {
  readonly connection: PeerConnection;
  readonly lease: Lease;
  readonly lengthBytes: number;
  readonly crc32c: number;
  readonly first: Buffer;
}

interface Asking {
  readonly resolve: (answered: Answered) => void;
  readonly reject: (error: Error) => void;
}

/** Of a body, that may come in one read with the head: short ranges come whole. */
const FIRST_BYTES = 64 * 1024;

export class PeerConnection {
  readonly endpoint: string;
  readonly #scratch = Buffer.allocUnsafeSlow(HEAD_MAX_BYTES + FIRST_BYTES);
  readonly #socket: Socket;
  readonly #onClosed: () => void;
  #asking: Asking | undefined;
  #taker: BodyTaker | undefined;
  #usedBytes = 0;
  #isConnected = false;
  #isClosed = false;
  #keepAlive = true;
  /** Where the kernel puts what it reads next; asked for after each read, also while it rests. */
  #target: Buffer = this.#scratch;

  constructor(endpoint: string, onClosed: () => void) {
    this.endpoint = endpoint;
    this.#onClosed = onClosed;
    const { hostname, port } = new URL(endpoint);
    this.#socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 80),
      noDelay: true,
      onread: {
        buffer: () => (this.#target = this.#nextTarget()),
        callback: (byteCount: number) => this.#read(this.#target.subarray(0, byteCount)),
      },
    });
    this.#socket.once('connect', () => (this.#isConnected = true));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.close(error.code ?? error.message);
    });
    this.#socket.once('end', () => {
      this.close('the connection ended');
    });
    this.#socket.once('close', () => {
      this.close('the connection was closed');
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Whether another request may follow the body that was read. */
  get mayReuse(): boolean {
    return this.#keepAlive && !this.#isClosed;
  }

  /** Resolves when the head is there; nothing of the body is read then. */
  ask(request: string): Promise<Answered> {
    return new Promise((resolve, reject) => {
      this.#asking = { resolve, reject };
      this.#usedBytes = 0;
      this.#socket.ref();
      this.#socket.write(request, 'latin1');
      this.#socket.resume();
    });
  }

  /** Reads on, for the body. */
  flow(taker: BodyTaker): void {
    this.#taker = taker;
    this.#socket.resume();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** The answer was read to its end. */
  rest(): void {
    this.#taker = undefined;
    this.#socket.resume();
    // Why: an idle connection must not keep the thread alive.
    this.#socket.unref();
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    this.#onClosed();
    this.#asking?.reject(new Error(reason));
    this.#asking = undefined;
    this.#taker?.broke(reason);
    this.#taker = undefined;
  }

  #nextTarget(): Buffer {
    if (this.#taker) return this.#taker.room();
    return this.#asking ? this.#scratch.subarray(this.#usedBytes) : this.#scratch;
  }

  #read(bytes: Buffer): boolean {
    if (this.#taker) return this.#taker.took(bytes);
    if (!this.#asking) {
      // Nothing was asked: whatever this is, the next answer must not begin with it.
      this.close('it said what nobody asked');
      return false;
    }
    const before = this.#usedBytes;
    this.#usedBytes += bytes.length;
    return this.#takeHead(this.#asking, before);
  }

  #takeHead(asking: Asking, before: number): boolean {
    const filled = this.#scratch.subarray(0, this.#usedBytes);
    const length = headLength(filled, before);
    if (length < 0) {
      if (this.#usedBytes < HEAD_MAX_BYTES) return true;
      this.close('the head of its answer is too large');
      return false;
    }
    const parsed = parseHead(filled.toString('latin1', 0, length - 4));
    if (parsed.kind === 'unfit') {
      this.close(parsed.why);
      return false;
    }
    this.#asking = undefined;
    const { head, bodyBytes } = parsed;
    const rest = filled.subarray(length);
    this.#keepAlive = parsed.keepAlive && rest.length <= bodyBytes;
    asking.resolve({ head, bodyBytes, rest });
    return false;
  }
}
