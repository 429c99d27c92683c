/**
 * The answer to a ranged GetObject: is it what was asked for, and does it keep coming?
 *
 * The SDK checks neither status, range, length nor version, and no timer of its own covers a body
 * that trickles. Here the head is compared with the request before a byte is given out, and the
 * body is counted and watched: too few bytes per window of waiting, and it is destroyed. Time that
 * the consumer takes does not count.
 */
import type { Readable } from 'node:stream';

import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';

import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import { cancellation } from '../cancel.ts';
import type { RangeRequest } from '../under-store.ts';
import { compareVersion } from './s3-version.ts';

/** @throws ufs_changed, ufs_bad_response when the head is not that of `[start, end)`. */
export function checkHead(
  output: GetObjectCommandOutput,
  request: RangeRequest,
  start: number,
): void {
  const { path, sizeBytes } = request;
  const end = request.offset + request.length;
  const version = compareVersion(request, output);
  if (version === 'other') {
    throw new RingloadError(
      'ufs_changed',
      `${path} has the ETag ${output.ETag ?? 'none'} now, not that of version ${request.version}`,
    );
  }
  if (version === 'unclear') throw badHead(request, 'it has no strong ETag');

  const status = output.$metadata.httpStatusCode;
  if (status === 206) {
    const expected = `bytes ${start}-${end - 1}/${sizeBytes}`;
    if (output.ContentRange !== expected) {
      throw badHead(request, `Content-Range is not ${expected}`);
    }
  } else if (status !== 200 || start !== 0 || end !== sizeBytes) {
    throw badHead(request, `HTTP ${status ?? 'without status'} in place of a partial answer`);
  }
  const length = output.ContentLength;
  if (length !== undefined && length !== end - start) {
    throw badHead(request, `Content-Length is ${length}, expected ${end - start}`);
  }
}

function badHead(request: RangeRequest, finding: string): RingloadError {
  return new RingloadError(
    'ufs_bad_response',
    `cannot use the answer for ${request.path}: ${finding}`,
  );
}

export interface BodyWatch {
  readonly clock: Clock;
  readonly windowMs: number;
  readonly minBytesPerWindow: number;
  /** What the body should bring; bounds what a last window can be asked for. */
  readonly expectedBytes: number;
  /** Waiting allowed in all, in milliseconds. */
  readonly waitMaxMs: number;
  /** Told how long the consumer waited for each chunk. */
  readonly onWaited: (waitedMs: number) => void;
  readonly signal: AbortSignal;
  /** For messages: `read s3://bucket/key`. */
  readonly action: string;
}

const TICKS_PER_WINDOW = 4;

/**
 * The body's chunks as they come. Leaving early, for whatever reason, destroys the body and with
 * it the connection.
 * @throws ufs_unavailable when it is too slow; cancelled; or the stream's own error.
 */
export async function* watchBody(body: Readable, watch: BodyWatch): AsyncGenerator<Uint8Array> {
  const { clock, signal, action } = watch;
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let waitStartMs: number | undefined;
  let waitedMs = 0;
  let windowWaitedMs = 0;
  let windowBytes = 0;
  let missingBytes = watch.expectedBytes;
  let reason: RingloadError | undefined;

  const give = (error: RingloadError): void => {
    reason ??= error;
    body.destroy(reason);
  };
  const check = (): void => {
    timer = clock.setTimer(watch.windowMs / TICKS_PER_WINDOW, check);
    const currentMs = waitStartMs === undefined ? 0 : clock.nowMs() - waitStartMs;
    if (waitedMs + currentMs >= watch.waitMaxMs) {
      give(tooSlow(`${action}: gave up after waiting ${watch.waitMaxMs} ms`));
    } else if (windowWaitedMs + currentMs >= watch.windowMs) {
      if (windowBytes < Math.min(watch.minBytesPerWindow, missingBytes + windowBytes)) {
        give(tooSlow(`${action}: ${windowBytes} bytes within ${watch.windowMs} ms`));
      }
      windowWaitedMs = -currentMs;
      windowBytes = 0;
    }
  };
  const onAbort = (): void => {
    give(cancellation(signal));
  };
  let timer = clock.setTimer(watch.windowMs / TICKS_PER_WINDOW, check);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal.aborted) throw cancellation(signal);
    for (;;) {
      const startMs = clock.nowMs();
      waitStartMs = startMs;
      const step = await chunks.next();
      const tookMs = clock.nowMs() - startMs;
      waitStartMs = undefined;
      waitedMs += tookMs;
      windowWaitedMs += tookMs;
      watch.onWaited(tookMs);
      if (step.done === true) return;
      windowBytes += step.value.length;
      missingBytes = Math.max(0, missingBytes - step.value.length);
      yield step.value;
    }
  } catch (thrown) {
    throw reason ?? thrown;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
    body.destroy();
  }
}

function tooSlow(message: string): RingloadError {
  return new RingloadError('ufs_unavailable', message);
}
