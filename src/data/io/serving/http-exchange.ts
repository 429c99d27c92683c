/**
 * One request of a client and its answer: the head waits for the first bytes, pieces follow one
 * another, and whatever cannot be completed costs the client its connection.
 */
import type { IncomingMessage } from 'node:http';
import { RingloadError, toWireError } from '../../../base/errors.ts';
import type {
  FromAnswering,
  PieceEnd,
  PlainAnswer,
  SentPiece,
  ToAnswering,
} from './answer-messages.ts';
import type { ClientResponse, RequestHead } from './client-response.ts';
import type { HeldRead, Outlet } from './held-read.ts';
import { RangeSender, type SenderParts } from './range-sender.ts';

export interface ExchangeParts extends SenderParts {
  readonly writeStallMs: number;
  /** A client whose body stands still for so long while it is wanted is gone. */
  readonly bodyStallMs: number;
  readonly tell: (message: FromAnswering) => void;
  readonly heldOf: (heldId: number) => HeldRead | undefined;
  readonly onOver: (exchange: HttpExchange) => void;
}

/** Of a request's body, what may be on its way to the main thread. */
const WINDOW_BYTES = 1024 * 1024;
/** Of a body that nobody wants, what is thrown away before the client is cut off. */
const UNWANTED_MAX_BYTES = 64 * 1024 * 1024;

type RangeHead = PlainAnswer & { readonly length: number };

export class HttpExchange implements Outlet {
  readonly id: number;
  /** The request, where it has a body. */
  readonly #body: IncomingMessage | undefined;
  readonly #response: ClientResponse;
  readonly #parts: ExchangeParts;
  #head: RangeHead | undefined;
  #sentBytes = 0;
  /** Ends what is being sent. */
  #stop: (() => void) | undefined;
  #untakenBytes = 0;
  #unwantedBytes = 0;
  #wantsBody: boolean;
  /** The answer is given: what still comes is thrown away. */
  #isAnswered = false;
  #isOver = false;

  /** @param exchange.isAsked whether the client waits to hear that its body is wanted. */
  constructor(
    id: number,
    exchange: {
      readonly head: RequestHead;
      readonly body?: IncomingMessage | undefined;
      readonly response: ClientResponse;
      readonly isAsked: boolean;
    },
    parts: ExchangeParts,
  ) {
    this.id = id;
    const { head, body } = exchange;
    this.#body = body;
    this.#response = exchange.response;
    this.#parts = parts;
    this.#wantsBody = !exchange.isAsked;
    this.#response.on('error', ignore);
    this.#response.once('close', () => {
      this.#over();
    });
    parts.tell({ kind: 'request', id, ...head, hasBody: body !== undefined });
    if (body) this.#takeBody(body);
  }

  hear(message: Extract<ToAnswering, { readonly id: number }>): void {
    if (this.#isOver) return;
    switch (message.kind) {
      case 'answer':
        this.#answer(message.answer);
        break;
      case 'piece':
        if (message.head) this.#head = message.head;
        this.#send(message.piece);
        break;
      case 'cut':
        this.#response.destroy();
        break;
      case 'taken':
        this.#taken(message.bytes);
    }
  }

  write(bytes: Buffer, done: (error?: Error | null) => void): void {
    const response = this.#response;
    const head = this.#head;
    if (!head || this.#isOver) return;
    if (!response.headersSent) response.writeHead(head.status, head.headers as string[]);
    this.#sentBytes += bytes.length;
    if (this.#sentBytes === head.length) response.end(bytes, done);
    else response.write(bytes, done);
  }

  #takeBody(request: IncomingMessage): void {
    const { tell } = this.#parts;
    request.on('error', ignore);
    request.on('data', (bytes: Buffer) => {
      if (this.#isOver) return;
      if (this.#isAnswered) {
        this.#throwAway(bytes.length);
        return;
      }
      this.#untakenBytes += bytes.length;
      if (this.#untakenBytes >= WINDOW_BYTES) this.#rest();
      tell({ kind: 'body', id: this.id, bytes });
    });
    request.once('end', () => {
      if (!this.#isAnswered) this.#response.socket?.setTimeout(0);
      tell({ kind: 'body-end', id: this.id, isWhole: true });
    });
    request.once('close', () => {
      if (!request.complete) tell({ kind: 'body-end', id: this.id, isWhole: false });
    });
    request.pause();
    if (this.#wantsBody) this.#receive();
  }

  #receive(): void {
    const isWhole = this.#body?.complete === true;
    this.#response.socket?.setTimeout(isWhole ? 0 : this.#parts.bodyStallMs);
    this.#body?.resume();
  }

  /** What stands still now is not the client. */
  #rest(): void {
    this.#body?.pause();
    this.#response.socket?.setTimeout(0);
  }

  #throwAway(bytes: number): void {
    this.#unwantedBytes += bytes;
    if (this.#unwantedBytes > UNWANTED_MAX_BYTES) this.#body?.destroy();
  }

  #taken(bytes: number): void {
    if (!this.#wantsBody) {
      this.#wantsBody = true;
      this.#response.writeContinue();
    }
    this.#untakenBytes -= bytes;
    if (this.#untakenBytes < WINDOW_BYTES) this.#receive();
  }

  #answer({ status, headers, body }: PlainAnswer): void {
    const response = this.#response;
    if (response.headersSent) return void response.destroy();
    this.#watch();
    const request = this.#body;
    if (!request || request.complete) {
      response.writeHead(status, headers as string[]);
      response.end(body);
      return;
    }
    this.#isAnswered = true;
    // Who waits to hear that the body is wanted need not send it: what comes next is not known.
    const fields = this.#wantsBody ? headers : [...headers, 'connection', 'close'];
    response.writeHead(status, fields as string[]);
    if (!this.#wantsBody) {
      response.end(body);
      return;
    }
    // Who sends may look at the answer only when it has sent all, and would not see it if the
    // connection were closed before.
    if (body) response.write(body, ignore);
    request.once('end', () => response.end());
    request.resume();
  }

  #send(piece: SentPiece): void {
    this.#watch();
    if (piece.kind === 'place') this.#sendPlace(piece.range);
    else if (piece.kind === 'held') this.#sendHeld(piece.heldId);
    else this.#sendChunk(piece.bytes);
  }

  #sendPlace(range: Extract<SentPiece, { kind: 'place' }>['range']): void {
    const sender = new RangeSender(this, { range, head: '' }, this.#parts, (end) => {
      const { sentBytes } = sender;
      this.#ended(end.kind === 'sent' ? { sentBytes } : { sentBytes, fault: end });
    });
    this.#stop = () => {
      sender.stop();
    };
    sender.start();
  }

  #sendHeld(heldId: number): void {
    const held = this.#parts.heldOf(heldId);
    if (!held) {
      const gone = new RingloadError('peer_unreachable', 'the answer of the peer is gone');
      this.#ended({ sentBytes: 0, fault: { kind: 'broken', error: toWireError(gone) } });
      return;
    }
    this.#stop = () => {
      held.drop();
    };
    held.sendTo(this, (failure) => {
      const { sentBytes } = held;
      const fault = failure && ({ kind: 'broken', error: toWireError(failure) } as const);
      this.#ended({ sentBytes, ...(fault && { fault }) });
    });
  }

  #sendChunk(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.write(chunk, (error) => {
      if (!error) this.#ended({ sentBytes: chunk.length });
    });
  }

  #ended(end: PieceEnd): void {
    this.#stop = undefined;
    // Until the next piece is here it is not the client that takes its time.
    if (this.#sentBytes !== this.#head?.length) this.#response.socket?.setTimeout(0);
    this.#parts.tell({ kind: 'ended', id: this.id, end });
  }

  /** A client that takes nothing is cut off; Node sets the time of its own when it has answered. */
  #watch(): void {
    this.#response.socket?.setTimeout(this.#parts.writeStallMs);
  }

  #over(): void {
    this.#isOver = true;
    this.#stop?.();
    this.#stop = undefined;
    this.#parts.tell({ kind: 'over', id: this.id });
    this.#parts.onOver(this);
  }
}

function ignore(): void {
  // Whoever writes hears of it by the end of the connection.
}
