/**
 * One connection to the data endpoint: a request, what the main thread says to it, the answer, and
 * the next request.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { RingloadError, toWireError } from '../../../base/errors.ts';
import { CRC_HEADER, TAIL_BYTES, TAIL_HEADER } from '../../segment-request.ts';
import type { ServedRange } from '../../served-range.ts';
import { FillFollower } from './fill-follower.ts';
import type { OwnRange, OwnSegments } from './own-segments.ts';
import { RangeSender, type SendEnd, type SenderParts } from './range-sender.ts';
import { REQUEST_HEAD_MAX_BYTES, RequestHeads, type ParsedRequest } from './request-head.ts';
import type { FollowedFill, FromServing, ToServing } from './serving-messages.ts';
import type { ServingTurns } from './serving-turns.ts';

/** Told to clients, who give a connection up a little earlier. */
const KEEP_ALIVE_S = 30;
const IDLE_MAX_MS = 1000 * KEEP_ALIVE_S + 1000;
/** From the first byte of a head to its last. */
const HEAD_MAX_MS = 10_000;
/** What is refused and asks for nothing ends after so long. */
const REFUSED_MAX_MS = 1000;

export interface ConnectionParts extends SenderParts {
  readonly turns: Pick<ServingTurns, 'readers' | 'copies'>;
  readonly writeStallMs: number;
  readonly nowMs: () => number;
  readonly own: OwnSegments;
  readonly newId: () => number;
  readonly tell: (message: FromServing) => void;
  /** The connection has an answer to wait for under this id; undefined: it waits no more. */
  readonly onAsking: (id: number, connection: ServingConnection | undefined) => void;
}

export class ServingConnection {
  readonly #socket: Socket;
  readonly #parts: ConnectionParts;
  readonly #heads = new RequestHeads();
  /** Set where the gate did not let it in: what it is answered. */
  readonly #refusal: RingloadError | undefined;
  /** Of the request that is being answered. */
  #id: number | undefined;
  /** Set while the main thread knows of it. */
  #asked: { readonly target: string; readonly authorization: string } | undefined;
  #sender: RangeSender | FillFollower | undefined;
  #keepAlive = true;
  #isCopy = false;
  #headSinceMs: number | undefined;
  #isEnding = false;

  constructor(socket: Socket, parts: ConnectionParts, refusal?: RingloadError) {
    this.#socket = socket;
    this.#parts = parts;
    this.#refusal = refusal;
    socket.setTimeout(refusal ? REFUSED_MAX_MS : IDLE_MAX_MS);
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      this.#received(bytes);
    });
    // Half open connections are not told from those that are gone.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      this.#isEnding = true;
      this.#over();
    });
  }

  get isIdle(): boolean {
    return this.#id === undefined && this.#heads.heldBytes === 0;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** What the main thread says to the request. */
  hear(message: ToServing): void {
    if (message.id !== this.#id) return;
    switch (message.kind) {
      case 'serve':
        this.#learn(message);
        this.#serve(message.range);
        break;
      case 'follow':
        this.#follow(message.fill);
        break;
      case 'judged':
        if (this.#sender instanceof FillFollower) {
          this.#sender.judged(message.crc32c.toString(16).padStart(TAIL_BYTES, '0'));
        }
        break;
      case 'refuse':
        // After the head only a cut connection tells the truth.
        if (this.#sender?.hasBegun === true) this.#socket.destroy();
        else this.#answer(message.status, message.body);
    }
  }

  #received(bytes: Buffer): void {
    this.#headSinceMs ??= this.#parts.nowMs();
    this.#heads.push(bytes);
    if (this.#id === undefined) this.#next();
    else if (this.#heads.heldBytes > REQUEST_HEAD_MAX_BYTES) this.#socket.pause();
  }

  #next(): void {
    if (this.#isEnding) return;
    const request = this.#heads.take();
    if (request) {
      this.#headSinceMs = undefined;
      this.#take(request);
    } else if (
      this.#headSinceMs !== undefined &&
      this.#parts.nowMs() - this.#headSinceMs > HEAD_MAX_MS
    ) {
      this.#socket.destroy();
    }
  }

  #take(request: ParsedRequest): void {
    this.#id = this.#parts.newId();
    if (this.#refusal) {
      this.#refuse(this.#refusal);
    } else if (request.kind === 'unfit') {
      this.#refuse(new RingloadError('invalid_argument', `request: ${request.why}`));
    } else if (request.kind === 'method') {
      this.#refuse(new RingloadError('method_not_allowed', 'the data endpoint takes GET only'));
    } else {
      this.#keepAlive = request.keepAlive;
      this.#isCopy = request.isCopy;
      const own = request.isCopy ? undefined : this.#parts.own.find(request);
      if (own) this.#serveOwn(own, request);
      else this.#ask(request);
    }
  }

  #ask({ target, authorization }: { target: string; authorization: string }): void {
    const { own, onAsking, tell } = this.#parts;
    const id = this.#id ?? 0;
    this.#asked = { target, authorization };
    // A fill may take as long as it has to: the main thread has its deadlines.
    this.#socket.setTimeout(0);
    onAsking(id, this);
    tell({ kind: 'ask', id, target, authorization, isStale: !own.isTrue(target) });
  }

  /** Whatever goes wrong is asked of the main thread: nothing has left. */
  #serveOwn(
    { range, isStill, onSent }: OwnRange,
    request: { target: string; authorization: string },
  ): void {
    this.#send({ range, isStill }, (end) => {
      if (end.kind === 'sent') {
        onSent();
        this.#sent();
        return;
      }
      this.#sender = undefined;
      this.#ask(request);
    });
  }

  #learn({ range, stands }: Extract<ToServing, { kind: 'serve' }>): void {
    if (!stands || !this.#asked || this.#isCopy) return;
    this.#parts.own.learn(this.#asked, { ...range, blocks: stands.blocks }, stands.mark);
  }

  #serve(range: ServedRange): void {
    this.#send({ range }, (end) => {
      if (end.kind === 'sent') {
        this.#sent();
        return;
      }
      const { tell } = this.#parts;
      const id = this.#id ?? 0;
      const isLate = this.#sender?.hasBegun === true;
      tell(end.kind === 'damaged' ? { kind: 'damaged', id } : { ...end, id });
      // After the head only a cut connection tells the truth.
      if (isLate) this.#socket.destroy();
    });
  }

  #send(
    what: { readonly range: ServedRange; readonly isStill?: () => boolean },
    onEnd: (end: SendEnd) => void,
  ): void {
    const { range } = what;
    this.#socket.setTimeout(this.#parts.writeStallMs);
    const head =
      `HTTP/1.1 200 OK\r\ncontent-length: ${range.length}\r\n` +
      `${CRC_HEADER}: ${range.crc32c}\r\n${this.#connectionLines()}\r\n`;
    const turns = this.#isCopy ? this.#parts.turns.copies : this.#parts.turns.readers;
    this.#sender = new RangeSender(this.#socket, { ...what, head, turns }, this.#parts, onEnd);
    this.#sender.start();
  }

  #sent(): void {
    this.#over();
    this.#afterAnswer();
  }

  #follow(fill: FollowedFill): void {
    this.#socket.setTimeout(this.#parts.writeStallMs);
    const head =
      `HTTP/1.1 200 OK\r\ncontent-length: ${fill.lengthBytes + TAIL_BYTES}\r\n` +
      `${TAIL_HEADER}: ${TAIL_BYTES}\r\n${this.#connectionLines()}\r\n`;
    const turns = this.#parts.turns.copies;
    const follower = new FillFollower(this.#socket, { fill, head, turns }, this.#parts, (end) => {
      const { kind, ringBytes, diskBytes } = end;
      if (kind === 'cut') {
        this.#socket.destroy();
        return;
      }
      this.#parts.tell({ kind: 'followed', id: this.#id ?? 0, ringBytes, diskBytes });
      this.#over();
      this.#afterAnswer();
    });
    this.#sender = follower;
    follower.start();
  }

  #refuse(error: RingloadError): void {
    this.#keepAlive = false;
    this.#answer(error.httpStatus, JSON.stringify(toWireError(error)));
  }

  #answer(status: number, body: string): void {
    this.#sender?.stop();
    this.#socket.setTimeout(this.#parts.writeStallMs);
    const head =
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n${this.#connectionLines()}\r\n`;
    this.#socket.write(head + body, (error) => {
      if (error) return;
      this.#over();
      this.#afterAnswer();
    });
  }

  #connectionLines(): string {
    return this.#keepAlive
      ? `connection: keep-alive\r\nkeep-alive: timeout=${KEEP_ALIVE_S}\r\n`
      : 'connection: close\r\n';
  }

  /** The request is answered, or cannot be any more. */
  #over(): void {
    this.#sender?.stop();
    this.#sender = undefined;
    const id = this.#id;
    this.#id = undefined;
    if (id === undefined || !this.#asked) return;
    this.#asked = undefined;
    this.#parts.onAsking(id, undefined);
    this.#parts.tell({ kind: 'done', id });
  }

  #afterAnswer(): void {
    if (!this.#keepAlive) {
      this.#isEnding = true;
      this.#socket.end();
      return;
    }
    this.#socket.setTimeout(IDLE_MAX_MS);
    this.#socket.resume();
    if (this.#heads.heldBytes > 0) this.#next();
  }
}
