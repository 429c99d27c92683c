/**
 * Writes an async iterable to a response: with back-pressure, without buffering, whole or visibly
 * broken.
 *
 * Invariant: the last byte of the promised length is written only after the source has ended
 * properly. A source that fails, or yields too little or too much, costs the client its connection,
 * so that no wrong body looks complete. A client that leaves closes the source.
 */
import type { ServerResponse } from 'node:http';
import { RingloadError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { HttpContext, HttpDeps } from './context.ts';

/** A client that takes nothing for so long is gone; its source and buffers are released. */
export const WRITE_STALL_MAX_MS = 60_000;

export interface StreamedBody {
  readonly lengthBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Told of each chunk that was sent. */
  readonly recycle?: (chunk: Uint8Array) => void;
}

/**
 * Sends headers that are set on `ctx` and then the body. Until the first chunk is there nothing is
 * sent, so that errors of the opening still become problems.
 * @throws what the source throws before its first chunk; later faults only cut the connection.
 */
export async function streamBody(
  ctx: HttpContext,
  body: StreamedBody,
  deps: HttpDeps,
): Promise<void> {
  const source = new CheckedSource(body);
  const client = new Client(ctx.res, deps.clock);
  let headersSent = false;
  try {
    for (;;) {
      const chunk = await client.orGone(source.next());
      if (chunk === 'gone') return;
      if (!headersSent) {
        headersSent = true;
        // The head goes out with the first chunk.
        ctx.respond = false;
      }
      if (chunk === undefined) break;
      if ((await client.write(chunk)) === 'gone') return;
      body.recycle?.(chunk);
    }
    ctx.res.end();
  } catch (thrown) {
    if (!headersSent) throw thrown;
    deps.logger.warn('cut a response off: its source failed', {
      requestId: ctx.state.requestId,
      error: thrown instanceof Error ? thrown.message : String(thrown),
    });
    ctx.res.destroy();
  } finally {
    client.release();
    if (!headersSent && client.isGone) ctx.respond = false;
    source.close();
  }
}

/** Yields exactly the promised bytes, or throws before the last chunk is given out. */
class CheckedSource {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #lengthBytes: number;
  #receivedBytes = 0;
  #isDone = false;

  constructor(body: StreamedBody) {
    this.#iterator = body.chunks[Symbol.asyncIterator]();
    this.#lengthBytes = body.lengthBytes;
  }

  /** Undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#isDone) return undefined;
    const step = await this.#iterator.next();
    if (step.done) {
      this.#finish();
      return undefined;
    }
    this.#receivedBytes += step.value.length;
    if (this.#receivedBytes >= this.#lengthBytes) await this.#expectEnd();
    return step.value;
  }

  close(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    // Why not awaited: a source may be stuck in a wait of its own, which has its own deadline.
    Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
  }

  async #expectEnd(): Promise<void> {
    for (let step = await this.#iterator.next(); ; step = await this.#iterator.next()) {
      if (step.done) break;
      this.#receivedBytes += step.value.length;
      if (this.#receivedBytes > this.#lengthBytes) break;
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#receivedBytes !== this.#lengthBytes) {
      throw new RingloadError(
        'internal',
        `read body: expected ${this.#lengthBytes} bytes, got ${this.#receivedBytes} or more`,
      );
    }
    this.#isDone = true;
  }
}

/** The receiving end: tells when it drains, leaves, or stalls. */
class Client {
  isGone: boolean;
  readonly #res: ServerResponse;
  readonly #clock: Clock;
  /** Ends the one wait that is under way. */
  #wake: () => void = ignore;

  constructor(res: ServerResponse, clock: Clock) {
    this.#res = res;
    this.#clock = clock;
    this.isGone = res.closed || res.destroyed;
    res.on('close', this.#onClose).on('error', ignore);
  }

  /**
   * What `work` gives, or `gone` as soon as the connection is closed.
   *
   * Why not Promise.race with one lasting promise: each race would leave a reaction on it until the
   * connection ends, and a body has millions of chunks.
   */
  orGone<T>(work: Promise<T>): Promise<T | 'gone'> {
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        resolve('gone');
      };
      work.then(resolve, reject);
      if (this.isGone) this.#wake();
    });
  }

  /** Resolves with `ok` when the kernel has all of it: then its memory may be used again. */
  async write(chunk: Uint8Array): Promise<'ok' | 'gone'> {
    if (this.isGone) return 'gone';
    const sent = new Promise<'ok'>((resolve) => {
      this.#res.write(chunk, (error) => {
        // What a broken connection did with it is not known.
        if (!error) resolve('ok');
      });
    });
    const timer = this.#clock.setTimer(WRITE_STALL_MAX_MS, () => this.#res.destroy());
    try {
      return await this.orGone(sent);
    } finally {
      timer.cancel();
    }
  }

  /** Stays deaf to late errors of the socket: they have nobody left to tell. */
  release(): void {
    this.#res.off('close', this.#onClose);
    this.#wake = ignore;
  }

  readonly #onClose = (): void => {
    this.isGone = true;
    this.#wake();
  };
}

function ignore(): void {
  // Nothing to do.
}
