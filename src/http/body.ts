/**
 * Request bodies: small, complete, and in time. A body over its limit is read on and dropped for
 * a while, so that the refusal reaches a client that is still sending, then the connection closes.
 */
import { RefusedRequest } from './problem.ts';
import { RingloadError } from '../base/errors.ts';
import type { HttpContext, HttpDeps } from './context.ts';
import { parseJsonObject, type JsonObject } from './strict-json.ts';

/** A body of at most 1 MiB over any network that is worth waiting for. */
export const BODY_TIMEOUT_MS = 10_000;
/** How much of an oversized body is dropped before the answer, in multiples of the limit. */
const DISCARD_FACTOR = 8;

/**
 * The object in a JSON body.
 * @throws invalid_argument (400, or 415 for another content type), payload_too_large,
 *   deadline_exceeded (408), cancelled
 */
export async function readJsonObject(ctx: HttpContext, deps: HttpDeps): Promise<JsonObject> {
  const type = ctx.get('Content-Type').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type !== 'application/json' && !/^application\/[\w.-]+\+json$/.test(type)) {
    throw unsupported(
      `content type ${type === '' ? 'is missing' : `'${type}'`}: send application/json`,
    );
  }
  const coding = ctx.get('Content-Encoding').trim().toLowerCase();
  if (coding !== '' && coding !== 'identity') {
    throw unsupported(`content encoding '${coding}': send the body as it is`);
  }
  const body = await readBody(ctx, deps);
  if (body.length === 0) throw new RingloadError('invalid_argument', 'request body is missing');
  return parseJsonObject(body);
}

/** The object in a body of any content type; undefined when the body is something else. */
export async function readOptionalJsonObject(
  ctx: HttpContext,
  deps: HttpDeps,
): Promise<JsonObject | undefined> {
  const body = await readBody(ctx, deps);
  try {
    return body.length === 0 ? undefined : parseJsonObject(body);
  } catch {
    return undefined;
  }
}

/** @throws payload_too_large (413), deadline_exceeded (408), cancelled */
export function readBody(ctx: HttpContext, deps: HttpDeps): Promise<Buffer> {
  const { req } = ctx;
  const maxBytes = deps.services.limits.bodyMaxBytes;
  const collector = new Collector(maxBytes);
  return new Promise((resolve, reject) => {
    const settle = (outcome: Buffer | RingloadError): void => {
      timer.cancel();
      req.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      if (Buffer.isBuffer(outcome)) {
        resolve(outcome);
        return;
      }
      // Why: the rest of the body would be taken for the next request.
      if (!req.complete) ctx.set('Connection', 'close');
      reject(outcome);
    };
    const onData = (chunk: Buffer): void => {
      collector.add(chunk);
      if (collector.receivedBytes > maxBytes * DISCARD_FACTOR) settle(tooLarge(maxBytes));
    };
    const onEnd = (): void => {
      settle(collector.isOver ? tooLarge(maxBytes) : collector.take());
    };
    const onGone = (): void => {
      settle(new RingloadError('cancelled', 'request body was cut off by the client'));
    };
    const timer = deps.clock.setTimer(BODY_TIMEOUT_MS, () => {
      settle(
        collector.isOver
          ? tooLarge(maxBytes)
          : new RefusedRequest(
              408,
              'deadline_exceeded',
              `request body did not arrive within ${BODY_TIMEOUT_MS} ms`,
            ),
      );
    });
    if (req.destroyed) onGone();
    else req.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}

/** Keeps what fits, counts the rest. */
class Collector {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  receivedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isOver(): boolean {
    return this.receivedBytes > this.#maxBytes;
  }

  add(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    if (this.isOver) this.#chunks = [];
    else this.#chunks.push(chunk);
  }

  take(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

function tooLarge(maxBytes: number): RingloadError {
  return new RingloadError(
    'payload_too_large',
    `request body is over its limit of ${maxBytes} bytes`,
  );
}

function unsupported(message: string): RefusedRequest {
  return new RefusedRequest(415, 'invalid_argument', message);
}
