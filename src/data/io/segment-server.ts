/**
 * The data endpoint of a peer: plain HTTP/1.1 on a port of its own, for peers only. It serves
 * verified ranges of segments, and reads a segment through for a reader elsewhere.
 *
 * A thread of its own listens, reads and sends (`serving/`), so that bulk bytes do not pass this
 * one. Here it is decided what is sent: who may ask, which copy it is, and what damage means; and a
 * segment keeps its place until the thread has done with it, however the connection ends.
 */
import { timingSafeEqual } from 'node:crypto';
import type { GateBounds } from '../../base/descriptors.ts';
import type { ChangeMarks } from '../../base/change-marks.ts';
import { RingloadError, toRingloadError, toWireError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { PlacedSegment, SegmentKey } from '../../cache/segment-store.ts';
import type { Following } from '../fill-trail.ts';
import { parseSegmentRequest, SEGMENT_PATH, type SegmentRequest } from '../segment-request.ts';
import { servedRange, type ServedRange } from '../served-range.ts';
import { ServingThread } from './serving-thread.ts';
import { SEND_MAX_BYTES } from './serving/send-buffers.ts';
import type { FromServing, ServingOptions, ToServing } from './serving/serving-messages.ts';

export interface SegmentServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Bearer token that peers present; absent: no authentication. */
  readonly token: () => string | undefined;
  readonly open: (
    request: SegmentRequest,
    signal: AbortSignal,
  ) => Promise<PlacedSegment | undefined>;
  /** What says that a segment has left its place; absent: the thread asks for each request. */
  readonly marks?: ChangeMarks;
  /** A fill of that segment that can be followed now; absent: there never is one. */
  readonly follow?: (key: SegmentKey) => Following | undefined;
  /** Told of each fill that was given on to its end. */
  readonly onFollowed?: (bytes: { readonly ringBytes: number; readonly diskBytes: number }) => void;
  readonly bounds: GateBounds;
  /** Files that the thread keeps open. */
  readonly openFileMaxCount: number;
  /** A reader that takes nothing for so long is gone. Default a minute. */
  readonly writeStallMs?: number;
  /** Told of every connection that the gate did not let in. */
  readonly onRefused: () => void;
  readonly logger: Logger;
}

export interface SegmentServer {
  readonly port: number;
  close(): Promise<void>;
}

const WRITE_STALL_MAX_MS = 60_000;
/** What the thread was told to send, or waits to hear about. */
interface Asked {
  readonly gone: AbortController;
  segment?: PlacedSegment;
  following?: Following;
}

/** @throws address_in_use */
export async function startSegmentServer(options: SegmentServerOptions): Promise<SegmentServer> {
  const server = new SegmentAnswers(options);
  const port = await server.start();
  return { port, close: () => server.close() };
}

class SegmentAnswers {
  readonly #options: SegmentServerOptions;
  readonly #asked = new Map<number, Asked>();
  readonly #thread: ServingThread<ToServing, FromServing>;

  constructor(options: SegmentServerOptions) {
    this.#options = options;
    const { host, bounds, openFileMaxCount, writeStallMs = WRITE_STALL_MAX_MS, logger } = options;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#thread = new ServingThread({
      what: 'data endpoint',
      file: new URL(`./serving/serving-worker.${extension}`, import.meta.url),
      workerData: (port): ServingOptions => ({
        ...{ host, port, bounds, openFileMaxCount, writeStallMs },
        ...(options.marks && { marks: options.marks.memory }),
      }),
      hear: (message) => {
        this.#hear(message);
      },
      // Peers read from others until it is back.
      onLost: () => {
        for (const id of [...this.#asked.keys()]) this.#release(id);
      },
      logger,
    });
  }

  start(): Promise<number> {
    return this.#thread.start(this.#options.port);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  #hear(message: FromServing): void {
    switch (message.kind) {
      case 'turned-away':
        this.#options.onRefused();
        break;
      case 'ask':
        void this.#open(message);
        break;
      case 'damaged':
        this.#failed(message.id, (segment) => segment.damaged());
        break;
      case 'unread':
        this.#failed(message.id, (segment) => segment.unread(message.systemCode, message.message));
        break;
      case 'read':
        for (const target of message.targets) void this.#noteRead(target);
        break;
      case 'followed':
        this.#options.onFollowed?.(message);
        break;
      case 'done':
        this.#release(message.id);
    }
  }

  /** What is read is kept longer. */
  async #noteRead(target: string): Promise<void> {
    const { key } = parseSegmentRequest(target);
    const { signal } = new AbortController();
    const segment = await this.#options.open({ key, offset: 0 }, signal).catch(() => undefined);
    segment?.close();
  }

  async #open(ask: Extract<FromServing, { kind: 'ask' }>): Promise<void> {
    const { id, target, authorization, isStale } = ask;
    const asked: Asked = { gone: new AbortController() };
    this.#asked.set(id, asked);
    try {
      authorize(target, authorization, this.#options.token());
      const wanted = parseSegmentRequest(target);
      if (isStale) throw new RingloadError('conflict', 'the record is not what it was');
      const following = wanted.follows ? this.#options.follow?.(wanted.key) : undefined;
      if (following) {
        this.#follow(id, asked, following);
        return;
      }
      const segment = await this.#options.open(wanted, asked.gone.signal);
      if (!segment) {
        const message = `segment ${String(wanted.key.index)} is not resident`;
        throw new RingloadError('not_found', message);
      }
      if (asked.gone.signal.aborted) {
        segment.close();
        return;
      }
      asked.segment = segment;
      const range = rangeOf(segment, wanted);
      this.#thread.post({ kind: 'serve', id, range, ...standsOf(segment, range) });
    } catch (thrown) {
      if (!asked.gone.signal.aborted) this.#refuse(id, thrown);
    }
  }

  #follow(id: number, asked: Asked, following: Following): void {
    asked.following = following;
    const { path, offset, lengthBytes, memory, judged } = following;
    this.#thread.post({ kind: 'follow', id, fill: { path, offset, lengthBytes, memory } });
    judged.then(
      (crc32c) => {
        this.#thread.post({ kind: 'judged', id, crc32c });
      },
      (thrown: unknown) => {
        this.#refuse(id, thrown);
      },
    );
  }

  #failed(id: number, judge: (segment: PlacedSegment) => RingloadError): void {
    const segment = this.#asked.get(id)?.segment;
    if (segment) this.#refuse(id, judge(segment));
  }

  #refuse(id: number, thrown: unknown): void {
    const error = toRingloadError(thrown);
    const { code, message } = error;
    if (code === 'internal') this.#options.logger.error('data request failed', { reason: message });
    const body = JSON.stringify(toWireError(error));
    this.#thread.post({ kind: 'refuse', id, status: error.httpStatus, body });
  }

  #release(id: number): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    asked?.gone.abort(new RingloadError('cancelled', 'the reader went away'));
    asked?.segment?.close();
    asked?.following?.close();
  }
}

function authorize(target: string, authorization: string, token: string | undefined): void {
  if (!target.startsWith(`${SEGMENT_PATH}?`))
    throw new RingloadError('not_found', 'no such resource');
  if (token === undefined) return;
  const given = Buffer.from(authorization);
  const wanted = Buffer.from(`Bearer ${token}`);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new RingloadError('unauthenticated', 'the data endpoint is for peers of this cluster');
  }
}

/** For short ranges: of long ones asking is the least. */
function standsOf(
  segment: PlacedSegment,
  { length }: ServedRange,
): Pick<Extract<ToServing, { kind: 'serve' }>, 'stands'> {
  if (!segment.stands || length > SEND_MAX_BYTES) return {};
  return { stands: { mark: segment.stands.mark, blocks: segment.place().blockCrc32c } };
}

/** @throws range_not_satisfiable */
function rangeOf(segment: PlacedSegment, wanted: SegmentRequest): ServedRange {
  const { lengthBytes: segmentBytes } = segment;
  const { offset: from } = wanted;
  const length = wanted.length ?? segmentBytes - from;
  if (length < 0 || from + length > segmentBytes) {
    const message = `the segment has ${String(segmentBytes)} bytes`;
    throw new RingloadError('range_not_satisfiable', message);
  }
  return servedRange(segment, from, length);
}
