/**
 * Answers clients over HTTP in a thread of its own, so that neither their bytes nor their slowness
 * touch this one. Requests come here by message, answers go back: short ones whole, ranges in
 * pieces, which the thread reads, checks and sends; what it cannot read itself is sent to it in
 * chunks, one at a time. A piece keeps its place until the thread says how it ended.
 */
import { fromWireError, RingloadError, toRingloadError } from '../../base/errors.ts';
import type { GateBounds } from '../../base/descriptors.ts';
import type { Logger } from '../../base/logger.ts';
import type { HeldReads, Piece, PieceFlow, PieceReport } from '../pieces.ts';
import {
  DISTANT_MAX_BYTES,
  type DistantPlace,
  type OwnRead,
  type StandingPlace,
} from '../own-answers.ts';
import { servedRange } from '../served-range.ts';
import { RequestBody } from './request-body.ts';
import { ServingThread } from './serving-thread.ts';
import type {
  AnswerOptions,
  FromAnswering,
  PeerReadBounds,
  PieceEnd,
  PlainAnswer,
  ToAnswering,
} from './serving/answer-messages.ts';
import { SEND_MAX_BYTES } from './serving/send-buffers.ts';
import { ThreadReads } from './thread-reads.ts';

type Field = readonly [name: string, value: string];

export interface ThreadRequest {
  readonly method: string;
  /** As received. */
  readonly target: string;
  readonly headers: readonly Field[];
  /** Absent where the request has none. Ends early with an error when the client leaves. */
  readonly body?: AsyncIterable<Uint8Array>;
  /** Other peers are read by the thread that serves the client. */
  readonly via: HeldReads;
}

export interface ThreadAnswer {
  readonly status: number;
  /** With `content-length` where there is a body. */
  readonly headers: readonly Field[];
  readonly body?: Uint8Array | { readonly length: number; readonly pieces: PieceFlow };
  /** What the thread may make answers of by itself; see `serving/own-answers.ts`. */
  readonly standing?: unknown;
}

export interface ShortAnswer extends ThreadAnswer {
  readonly body?: Uint8Array;
}

export interface AnswerServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** For logs and errors: `S3 endpoint`. */
  readonly what: string;
  /** Never rejects. */
  readonly answer: (request: ThreadRequest) => Promise<ThreadAnswer>;
  /** In place of an answer whose body failed before a byte of it had left. */
  readonly failed: (error: RingloadError, request: ThreadRequest) => ThreadAnswer;
  /** What connections beyond the bounds are answered. */
  readonly tooMany: ShortAnswer;
  readonly bounds: GateBounds;
  /** Files that the thread keeps open. */
  readonly openFileMaxCount: number;
  readonly peers: PeerReadBounds & { readonly token: () => string | undefined };
  readonly headersTimeoutMs: number;
  /** A client whose body stands still for so long, while it is wanted, is gone. */
  readonly requestTimeoutMs: number;
  /** A client that takes nothing for so long is gone. Default a minute. */
  readonly writeStallMs?: number;
  /** Told of every connection that the gate did not let in. */
  readonly onRefused: () => void;
  /** Told of chunks that were sent. */
  readonly recycle?: (chunk: Uint8Array) => void;
  /** A thread that knows the protocol, beside this module's own. */
  readonly thread?: { readonly file: URL; readonly data: object };
  /** Told of what the thread answered by itself. */
  readonly onOwnReads?: (reads: readonly OwnRead[]) => void;
  readonly logger: Logger;
}

export interface AnswerServer {
  readonly port: number;
  /** Takes nothing new, and waits for what is under way, `graceMs` at most. */
  close(graceMs: number): Promise<void>;
}

const WRITE_STALL_MAX_MS = 60_000;
const GONE = new RingloadError('cancelled', 'the client went away');

/** @throws address_in_use */
export async function startAnswerServer(options: AnswerServerOptions): Promise<AnswerServer> {
  const server = new Answers(options);
  const port = await server.start();
  return { port, close: (graceMs) => server.close(graceMs) };
}

/** One request while it is answered. */
interface Call {
  readonly id: number;
  readonly request: ThreadRequest;
  readonly body: RequestBody | undefined;
  isOver: boolean;
  /** Waits for the end of the piece that was given out. */
  onEnd: ((end: PieceEnd | 'gone') => void) | undefined;
}

class Answers {
  readonly #options: AnswerServerOptions;
  readonly #thread: ServingThread<ToAnswering, FromAnswering>;
  readonly #reads: ThreadReads;
  readonly #calls = new Map<number, Call>();
  #onClosed: () => void = () => undefined;

  constructor(options: AnswerServerOptions) {
    this.#options = options;
    const { host, bounds, openFileMaxCount, headersTimeoutMs, requestTimeoutMs } = options;
    const { writeStallMs = WRITE_STALL_MAX_MS, logger, what } = options;
    const { token, ...peers } = options.peers;
    const { thread } = options;
    const tooMany = plainOf(options.tooMany);
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#thread = new ServingThread({
      what,
      file: thread?.file ?? new URL(`./serving/answer-worker.${extension}`, import.meta.url),
      workerData: (port): AnswerOptions => ({
        ...thread?.data,
        ...{ host, port, bounds, openFileMaxCount, headersTimeoutMs, requestTimeoutMs },
        ...{ writeStallMs, tooMany, peers },
      }),
      hear: (message) => {
        this.#hear(message);
      },
      onLost: () => {
        this.#lost();
      },
      logger,
    });
    this.#reads = new ThreadReads(token, (message) => {
      this.#thread.post(message);
    });
  }

  start(): Promise<number> {
    return this.#thread.start(this.#options.port);
  }

  async close(graceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#onClosed = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#thread.post({ kind: 'close' });
    });
    await this.#thread.close();
  }

  #hear(message: FromAnswering): void {
    switch (message.kind) {
      case 'turned-away':
        this.#options.onRefused();
        break;
      case 'request':
        void this.#take(message);
        break;
      case 'body':
        this.#calls.get(message.id)?.body?.push(message.bytes);
        break;
      case 'body-end':
        this.#calls.get(message.id)?.body?.end(message.isWhole ? undefined : GONE);
        break;
      case 'ended':
        this.#calls.get(message.id)?.onEnd?.(message.end);
        break;
      case 'over':
        this.#over(message.id);
        break;
      case 'read':
        this.#options.onOwnReads?.(message.reads);
        break;
      case 'closed':
        this.#onClosed();
        break;
      default:
        this.#reads.hear(message);
    }
  }

  async #take(message: Extract<FromAnswering, { kind: 'request' }>): Promise<void> {
    const { id, method, target, hasBody } = message;
    const taken = (bytes: number): void => {
      this.#thread.post({ kind: 'taken', id, bytes });
    };
    const body = hasBody ? new RequestBody(taken) : undefined;
    const headers = pairsOf(message.headers);
    const request = { method, target, headers, ...(body && { body }), via: this.#reads };
    const call: Call = { id, request, body, isOver: false, onEnd: undefined };
    this.#calls.set(id, call);
    const answer = await this.#options.answer(request);
    const ranged = answer.body && 'pieces' in answer.body ? answer.body : undefined;
    if (ranged && ranged.length > 0) await this.#sendRange(call, answer, ranged);
    else if (!call.isOver) {
      this.#post(id, answer);
      this.#tellStanding(answer.standing);
    }
    if (ranged?.length === 0) await ranged.pieces.return();
  }

  async #sendRange(
    call: Call,
    answer: ThreadAnswer,
    { length, pieces }: { readonly length: number; readonly pieces: PieceFlow },
  ): Promise<void> {
    const { id } = call;
    const { status, headers } = answer;
    let head: (PlainAnswer & { length: number }) | undefined = {
      ...{ status, headers: headers.flat(), length },
    };
    const send = (piece: Extract<ToAnswering, { kind: 'piece' }>['piece']): void => {
      this.#thread.post({ kind: 'piece', id, piece, ...(head && { head }) });
      head = undefined;
    };
    let sentBytes = 0;
    try {
      let report: PieceReport | undefined;
      for (;;) {
        const step = await pieces.next(report);
        if (step.done || call.isOver) break;
        const { value: piece } = step;
        // Why after the piece: nobody waits for it.
        const ended = this.#sendPiece(call, piece, send);
        if (isOwnable(length)) this.#tellStanding(answer.standing, piece);
        report = await ended;
        sentBytes += report.sentBytes;
      }
      if (sentBytes !== length) throw new RingloadError('internal', 'the range ended early');
    } catch (thrown) {
      if (!call.isOver) this.#fail(call, toRingloadError(thrown), sentBytes);
    } finally {
      await pieces.return();
    }
  }

  #tellStanding(facts: unknown, piece?: Piece): void {
    if (facts === undefined) return;
    const place = piece && (standingPlace(piece) ?? distantPlace(piece));
    this.#thread.post({ kind: 'standing', standing: { facts, ...(place && { place }) } });
  }

  async #sendPiece(
    call: Call,
    piece: Piece,
    send: (piece: Extract<ToAnswering, { kind: 'piece' }>['piece']) => void,
  ): Promise<PieceReport> {
    const { placed, held } = piece;
    if (!placed && !held) return this.#sendChunks(call, piece, send);
    const ended = endOf(call);
    if (placed)
      send({ kind: 'place', range: servedRange(placed.segment, placed.from, piece.length) });
    else if (held) send({ kind: 'held', heldId: held.id });
    const end = await ended;
    if (end === 'gone') return { sentBytes: 0, failure: GONE };
    const { sentBytes, fault } = end;
    if (!fault) return { sentBytes };
    if (fault.kind === 'broken') return { sentBytes, failure: fromWireError(fault.error) };
    if (!placed) return { sentBytes };
    const failure =
      fault.kind === 'damaged'
        ? placed.segment.damaged()
        : placed.segment.unread(fault.systemCode, fault.message);
    return { sentBytes, failure };
  }

  /** The last chunk waits for the end of its source, which may yet say that all was wrong. */
  async #sendChunks(
    call: Call,
    piece: Piece,
    send: (piece: { kind: 'chunk'; bytes: Uint8Array }) => void,
  ): Promise<PieceReport> {
    let sentBytes = 0;
    let takenBytes = 0;
    const chunks = piece.chunks()[Symbol.asyncIterator]();
    try {
      for (let step = await chunks.next(); !step.done;) {
        const chunk = step.value;
        takenBytes += chunk.length;
        let following: IteratorResult<Uint8Array> | undefined;
        if (takenBytes >= piece.length) following = await chunks.next();
        if (takenBytes > piece.length || following?.done === false) {
          throw new RingloadError('ufs_bad_response', 'a source sent more than was asked for');
        }
        const ended = endOf(call);
        send({ kind: 'chunk', bytes: chunk });
        if ((await ended) === 'gone') return { sentBytes, failure: GONE };
        sentBytes += chunk.length;
        this.#options.recycle?.(chunk);
        step = following ?? (await chunks.next());
      }
    } catch (thrown) {
      return { sentBytes, failure: toRingloadError(thrown) };
    }
    return { sentBytes };
  }

  /** Until a byte has left it is another answer; then only a cut connection tells the truth. */
  #fail(call: Call, error: RingloadError, sentBytes: number): void {
    const { code, message } = error;
    if (sentBytes === 0) {
      this.#post(call.id, this.#options.failed(error, call.request));
      return;
    }
    this.#options.logger.warn('cut an answer off: its source failed', { code, error: message });
    this.#thread.post({ kind: 'cut', id: call.id });
  }

  #post(id: number, answer: ThreadAnswer): void {
    this.#thread.post({ kind: 'answer', id, answer: plainOf(answer) });
  }

  #over(id: number): void {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    call.isOver = true;
    call.body?.end(GONE);
    call.onEnd?.('gone');
  }

  #lost(): void {
    for (const id of [...this.#calls.keys()]) this.#over(id);
    this.#reads.lost();
    this.#onClosed();
  }
}

function endOf(call: Call): Promise<PieceEnd | 'gone'> {
  if (call.isOver) return Promise.resolve('gone');
  return new Promise((resolve) => {
    call.onEnd = (end) => {
      call.onEnd = undefined;
      resolve(end);
    };
  });
}

/** Whether the thread would answer such a range by itself. */
function isOwnable(length: number): boolean {
  return length <= SEND_MAX_BYTES;
}

function standingPlace({ placed }: Piece): StandingPlace | undefined {
  const { segment } = placed ?? {};
  if (!segment?.stands) return undefined;
  const { stands, crc32c, lengthBytes: segmentBytes } = segment;
  const { path, offset, blockCrc32c: blocks } = segment.place();
  return { ...stands, path, offset, segmentBytes, crc32c, blocks };
}

function distantPlace({ held, peer, length }: Piece): DistantPlace | undefined {
  if (!held || peer === undefined || length > DISTANT_MAX_BYTES) return undefined;
  const { key, endpoint, token } = held;
  return { key, endpoint, token, peer };
}

function plainOf({ status, headers, body }: ThreadAnswer): PlainAnswer {
  const bytes = body && !('pieces' in body) ? body : undefined;
  return { status, headers: headers.flat(), ...(bytes && { body: bytes }) };
}

function pairsOf(flat: readonly string[]): Field[] {
  const pairs: Field[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? '']);
  return pairs;
}
