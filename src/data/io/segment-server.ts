/**
 * The data endpoint of a peer: plain HTTP/1.1 on a port of its own, for peers only. It serves
 * verified ranges of segments, and reads a segment through for a reader elsewhere.
 *
 * A thread of its own listens, reads and sends (`serving/`), so that bulk bytes do not pass this
 * one. Here it is decided what is sent: who may ask, which copy it is, and what damage means; and a
 * segment keeps its place until the thread has done with it, however the connection ends.
 */
import { timingSafeEqual } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { GateBounds } from '../../base/descriptors.ts';
import { RingloadError, toRingloadError, toWireError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { CHECKSUM_BLOCK_BYTES, type PlacedSegment } from '../../cache/segment-store.ts';
import { parseSegmentRequest, SEGMENT_PATH, type SegmentRequest } from '../segment-request.ts';
import type {
  FromServing,
  ServedRange,
  ServingOptions,
  ToServing,
} from './serving/serving-messages.ts';

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
/** A thread that broke is started again so much later. */
const RESTART_MS = 1000;
/** Its memory is buffers, which do not count here; without a limit its heap grows before it collects. */
const YOUNG_GENERATION_MB = 16;

/** What the thread was told to send, or waits to hear about. */
interface Asked {
  readonly gone: AbortController;
  segment?: PlacedSegment;
}

/** @throws address_in_use */
export async function startSegmentServer(options: SegmentServerOptions): Promise<SegmentServer> {
  const server = new ServingThread(options);
  const port = await server.start(options.port);
  return { port, close: () => server.close() };
}

class ServingThread {
  readonly #options: SegmentServerOptions;
  readonly #asked = new Map<number, Asked>();
  #worker: Worker | undefined;
  #answers: ToServing[] = [];
  #restart: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: SegmentServerOptions) {
    this.#options = options;
  }

  /** Resolves when it listens. @throws address_in_use */
  start(port: number): Promise<number> {
    const { host, bounds, openFileMaxCount, writeStallMs = WRITE_STALL_MAX_MS } = this.#options;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const file = new URL(`./serving/serving-worker.${extension}`, import.meta.url);
    const workerData: ServingOptions = { host, port, bounds, openFileMaxCount, writeStallMs };
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB };
    const worker = new Worker(file, { workerData, resourceLimits, name: 'serving' });
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      worker.on('message', (messages: readonly FromServing[]) => {
        for (const message of messages) {
          if (message.kind === 'listening') resolve(message.port);
          else if (message.kind === 'deaf') reject(asListenError(port, message));
          else this.#hear(message);
        }
      });
      worker.once('error', (error) => {
        this.#options.logger.error('the serving thread broke', { reason: error.message });
        reject(error);
      });
      worker.once('exit', () => {
        reject(new RingloadError('internal', 'the serving thread ended'));
        this.#lost(worker, port);
      });
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    await this.#worker?.terminate();
    this.#releaseAll();
  }

  /** Peers read from others until it is back. */
  #lost(worker: Worker, port: number): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#releaseAll();
    if (this.#isClosed || port === 0) return;
    this.#restart = setTimeout(() => {
      this.start(port).catch((error: unknown) => {
        const { message } = toRingloadError(error);
        this.#options.logger.error('the data endpoint does not listen', { reason: message });
        void this.#worker?.terminate();
      });
    }, RESTART_MS);
  }

  #hear(message: Exclude<FromServing, { kind: 'listening' | 'deaf' }>): void {
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
      case 'done':
        this.#release(message.id);
    }
  }

  async #open({ id, target, authorization }: Extract<FromServing, { kind: 'ask' }>): Promise<void> {
    const asked: Asked = { gone: new AbortController() };
    this.#asked.set(id, asked);
    try {
      authorize(target, authorization, this.#options.token());
      const wanted = parseSegmentRequest(target);
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
      this.#post({ kind: 'serve', id, range: rangeOf(segment, wanted) });
    } catch (thrown) {
      if (!asked.gone.signal.aborted) this.#refuse(id, thrown);
    }
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
    this.#post({ kind: 'refuse', id, status: error.httpStatus, body });
  }

  #release(id: number): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    asked?.gone.abort(new RingloadError('cancelled', 'the reader went away'));
    asked?.segment?.close();
  }

  #releaseAll(): void {
    for (const id of [...this.#asked.keys()]) this.#release(id);
  }

  #post(answer: ToServing): void {
    if (this.#answers.length === 0) {
      queueMicrotask(() => {
        this.#worker?.postMessage(this.#answers);
        this.#answers = [];
      });
    }
    this.#answers.push(answer);
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

/** @throws range_not_satisfiable */
function rangeOf(segment: PlacedSegment, wanted: SegmentRequest): ServedRange {
  const { lengthBytes: segmentBytes, crc32c } = segment;
  const { offset: from } = wanted;
  const length = wanted.length ?? segmentBytes - from;
  if (length < 0 || from + length > segmentBytes) {
    const message = `the segment has ${String(segmentBytes)} bytes`;
    throw new RingloadError('range_not_satisfiable', message);
  }
  const { path, offset, blockCrc32c } = segment.place();
  const first = Math.floor(from / CHECKSUM_BLOCK_BYTES);
  const last = Math.ceil((from + length) / CHECKSUM_BLOCK_BYTES);
  const blocks = blockCrc32c.slice(first, last);
  return { path, offset, segmentBytes, crc32c, from, length, blocks };
}

function asListenError(
  port: number,
  { systemCode, message }: Extract<FromServing, { kind: 'deaf' }>,
): RingloadError {
  const code = systemCode === 'EADDRINUSE' ? 'address_in_use' : 'internal';
  return new RingloadError(code, `listen on data port ${String(port)}: ${message}`);
}
