/**
 * One answer of another peer on its way to a client: received into buffers that are used again, and
 * sent from them. At most two of them are on their way to the client; then nothing is received, and
 * the connection may be given to another reader: what is missing is asked for anew.
 *
 * Invariant: the last byte is sent only when exactly the promised length has come.
 */
import { RingloadError, toRingloadError } from '../../../base/errors.ts';
import type { ReadRoom } from '../../../cache/read-room.ts';
import type { BodyTaker, OpenedAnswer } from './peer-connection.ts';
import type { SendBuffers } from './send-buffers.ts';

export interface HeldParts {
  readonly buffers: SendBuffers;
  readonly room: ReadRoom;
  readonly nowMs: () => number;
}

/** Where bytes are sent to. */
export interface Outlet {
  /** `done` is called when the kernel has taken them; or never, when the client is gone. */
  write(bytes: Buffer, done: (error?: Error | null) => void): void;
}

interface HeldUses {
  /** The body must make progress at least so often while it is wanted. */
  readonly patienceMs: number;
  /** Another answer from that byte on. @throws peer_unreachable, … */
  readonly askAgain: (fromBytes: number) => Promise<OpenedAnswer>;
  /** All of it was received: the connection is free. */
  readonly onRead: (opened: OpenedAnswer) => void;
  readonly onEnd: () => void;
}

/** Received at once. */
const PIECE_BYTES = 128 * 1024;
const UNSENT_MAX_COUNT = 2;

export class HeldRead implements BodyTaker {
  readonly lengthBytes: number;
  readonly #parts: HeldParts;
  readonly #uses: HeldUses;
  #opened: OpenedAnswer | undefined;
  #outlet: Outlet | undefined;
  #onEnd: (failure?: RingloadError) => void = () => undefined;
  /** The kernel reads into it, or will. */
  #room: Buffer | undefined;
  #receivedBytes = 0;
  #takenBytes = 0;
  #first: Buffer | undefined;
  #unsentCount = 0;
  #heldBytes = 0;
  /** Undefined while nothing is read on purpose. */
  #waitsSinceMs: number | undefined;
  #isOver = false;

  constructor(opened: OpenedAnswer, parts: HeldParts, uses: HeldUses) {
    this.lengthBytes = opened.lengthBytes;
    this.#opened = opened;
    this.#first = opened.first;
    this.#parts = parts;
    this.#uses = uses;
    this.#rest(opened);
  }

  /** What was given to the outlet: it leaves, whatever becomes of the rest. */
  get sentBytes(): number {
    return this.#receivedBytes;
  }

  /** `onEnd` is called once, unless the read is dropped before. */
  sendTo(outlet: Outlet, onEnd: (failure?: RingloadError) => void): void {
    this.#outlet = outlet;
    this.#onEnd = onEnd;
    if (this.lengthBytes === 0) this.#end();
    else this.#goOn();
  }

  /** Nobody wants it any more. */
  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // What is on its way to the client is not used again.
    this.#parts.room.giveBack(this.#heldBytes);
    this.#letGo();
    this.#uses.onEnd();
  }

  check(nowMs: number): void {
    if (this.#waitsSinceMs === undefined) return;
    if (nowMs - this.#waitsSinceMs < this.#uses.patienceMs) return;
    this.#end(new RingloadError('deadline_exceeded', 'a peer stalled in a body'));
  }

  room(): Buffer {
    this.#room ??= this.#take(PIECE_BYTES);
    return this.#room;
  }

  took(bytes: Buffer): boolean {
    let buffer = this.#room;
    if (buffer?.buffer === bytes.buffer) {
      this.#room = undefined;
    } else {
      buffer = this.#take(bytes.length);
      bytes.copy(buffer);
    }
    return this.#received(buffer, bytes.length);
  }

  broke(reason: string): void {
    if (!this.#opened) return;
    this.#end(new RingloadError('peer_unreachable', `a peer broke off: ${reason}`));
  }

  #take(byteCount: number): Buffer {
    const { buffers, room } = this.#parts;
    const buffer = buffers.take(Math.min(byteCount, Math.max(room.chunkBytes, byteCount >> 1)));
    room.take(buffer.length);
    this.#heldBytes += buffer.length;
    return buffer;
  }

  #giveBack(buffer: Buffer): void {
    const { buffers, room } = this.#parts;
    room.giveBack(buffer.length);
    this.#heldBytes -= buffer.length;
    buffers.giveBack(buffer);
  }

  /** @returns whether more is wanted now. */
  #received(buffer: Buffer, byteCount: number): boolean {
    if (this.#receivedBytes + byteCount > this.lengthBytes) {
      this.#end(new RingloadError('peer_unreachable', 'a peer sent more than it promised'));
      return false;
    }
    this.#receivedBytes += byteCount;
    const isLast = this.#receivedBytes === this.lengthBytes;
    const opened = this.#opened;
    if (isLast && opened) {
      this.#opened = undefined;
      this.#waitsSinceMs = undefined;
      this.#uses.onRead(opened);
    }
    this.#unsentCount++;
    this.#outlet?.write(buffer.subarray(0, byteCount), (error) => {
      if (error || this.#isOver) return;
      this.#giveBack(buffer);
      this.#takenBytes += byteCount;
      this.#unsentCount--;
      if (this.#takenBytes === this.lengthBytes) this.#end();
      else this.#goOn();
    });
    if (isLast) return true;
    if (this.#unsentCount < UNSENT_MAX_COUNT) {
      this.#waitsSinceMs = this.#parts.nowMs();
      return true;
    }
    if (this.#opened) this.#rest(this.#opened);
    return false;
  }

  /** Nothing is read for now: whoever waits for a connection may have this one. */
  #rest({ connection, lease }: OpenedAnswer): void {
    this.#waitsSinceMs = undefined;
    lease.rest(() => {
      this.#opened = undefined;
      connection.close('it was called back');
    });
  }

  #goOn(): void {
    if (this.#isOver || this.#waitsSinceMs !== undefined) return;
    if (this.#receivedBytes === this.lengthBytes) return;
    if (this.#opened?.lease.resume() === true) {
      this.#flow(this.#opened);
      return;
    }
    this.#opened = undefined;
    // Asking has deadlines of its own.
    this.#waitsSinceMs = Infinity;
    this.#uses.askAgain(this.#receivedBytes).then(
      (again) => {
        this.#opened = again;
        this.#first = again.first;
        if (this.#isOver) this.#letGo();
        else this.#flow(again);
      },
      (thrown: unknown) => {
        this.#end(toRingloadError(thrown));
      },
    );
  }

  #flow({ connection }: OpenedAnswer): void {
    this.#waitsSinceMs = this.#parts.nowMs();
    const first = this.#first;
    this.#first = undefined;
    const wantsMore = first === undefined || first.length === 0 || this.took(first);
    if (wantsMore && this.#opened) connection.flow(this);
  }

  #letGo(): void {
    const opened = this.#opened;
    this.#opened = undefined;
    opened?.connection.close('nobody wants the rest');
    opened?.lease.end();
  }

  #end(failure?: RingloadError): void {
    if (this.#isOver) return;
    this.drop();
    this.#onEnd(failure);
  }
}
