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

export interface Asking {
  readonly resolve: (answered: Answered) => void;
  readonly reject: (error: Error) => void;
  /** The head is given with all of the body, where that is short. */
  readonly isWhole?: boolean;
}

/** Of a body, that may come in one read with the head: short ranges come whole. */
const FIRST_BYTES = 64 * 1024;
/** In front of what is read, for whoever sends it on with a head of his own. */
const ROOM_BYTES = 1024;
const SCRATCH_BYTES = ROOM_BYTES + HEAD_MAX_BYTES + FIRST_BYTES;
const FREE_MAX_COUNT = 32;

const freeScratches: Buffer[] = [];

export class PeerConnection {
  readonly endpoint: string;
  #scratch = freeScratches.pop() ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #socket: Socket;
  readonly #onClosed: () => void;
  #asking: Asking | undefined;
  #taker: BodyTaker | undefined;
  #usedBytes = ROOM_BYTES;
  /** Of an answer that is given whole, what has been read of it, and where it ends. */
  #answered: Answered | undefined;
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
      this.begin(request, { resolve, reject });
    });
  }

  begin(request: string, asking: Asking): void {
    this.#asking = asking;
    this.#usedBytes = ROOM_BYTES;
    this.#socket.ref();
    this.#socket.write(request, 'latin1');
    this.#socket.resume();
  }

  /** The memory of the answer that was just given is the caller's: see {@link giveBackScratch}. */
  takeScratch(): Buffer {
    const scratch = this.#scratch;
    this.#scratch = freeScratches.pop() ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    return scratch;
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
    return this.#scratch.subarray(this.#asking ? this.#usedBytes : ROOM_BYTES);
  }

  #read(bytes: Buffer): boolean {
    if (this.#taker) return this.#taker.took(bytes);
    if (!this.#asking) {
      // Nothing was asked: whatever this is, the next answer must not begin with it.
      this.close('it said what nobody asked');
      return false;
    }
    const before = this.#usedBytes - ROOM_BYTES;
    this.#usedBytes += bytes.length;
    if (this.#answered) return this.#takeRest(this.#asking, this.#answered);
    return this.#takeHead(this.#asking, before);
  }

  #takeHead(asking: Asking, before: number): boolean {
    const filled = this.#scratch.subarray(ROOM_BYTES, this.#usedBytes);
    const length = headLength(filled, before);
    if (length < 0) {
      if (filled.length < HEAD_MAX_BYTES) return true;
      this.close('the head of its answer is too large');
      return false;
    }
    const parsed = parseHead(filled.toString('latin1', 0, length - 4));
    if (parsed.kind === 'unfit') {
      this.close(parsed.why);
      return false;
    }
    const { head, bodyBytes } = parsed;
    const rest = filled.subarray(length);
    this.#keepAlive = parsed.keepAlive && rest.length <= bodyBytes;
    const answered = { head, bodyBytes, rest };
    if (asking.isWhole === true) return this.#takeRest(asking, answered);
    this.#asking = undefined;
    asking.resolve(answered);
    return false;
  }

  /** @returns whether more is read: also when all is there, for what nobody asked is an end. */
  #takeRest(asking: Asking, { head, bodyBytes, rest }: Answered): boolean {
    const begin = rest.byteOffset - this.#scratch.byteOffset;
    const come = this.#scratch.subarray(begin, this.#usedBytes);
    if (bodyBytes > FIRST_BYTES || come.length > bodyBytes) {
      this.close('its answer has another length than what was asked for');
      return false;
    }
    this.#answered = { head, bodyBytes, rest: come };
    if (come.length < bodyBytes) return true;
    const answered = this.#answered;
    this.#answered = undefined;
    this.#asking = undefined;
    asking.resolve(answered);
    return !this.#isClosed;
  }
}

/** What {@link PeerConnection.takeScratch} gave and nobody reads any more. */
export function giveBackScratch(scratch: Buffer): void {
  if (freeScratches.length < FREE_MAX_COUNT) freeScratches.push(scratch);
}
