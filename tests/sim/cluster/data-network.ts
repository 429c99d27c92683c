/**
 * Segments from other peers over the simulated network: the real answer of the peer's data
 * endpoint, chunk by chunk, over a connection that may be slow, cut, or end with either process.
 */
import {
  fromWireError,
  RingloadError,
  toRingloadError,
  toWireError,
} from '../../../src/base/errors.ts';
import type { PeerSegment, PeerSegments } from '../../../src/data/peer-segments.ts';
import type { SegmentRequest } from '../../../src/data/segment-request.ts';
import type { SegmentReader } from '../../../src/cache/segment-store.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

export interface DataEndpoint {
  readonly address: string;
  readonly life: Life;
  open(request: SegmentRequest, signal: AbortSignal): Promise<SegmentReader | undefined>;
}

export interface DataClientOptions {
  readonly world: World;
  readonly address: string;
  readonly life: Life;
  /** Who listens at an endpoint now. */
  readonly endpointAt: (endpoint: string) => DataEndpoint | undefined;
  readonly headTimeoutMs: number;
  readonly stallTimeoutMs: number;
}

type Arrival =
  | { readonly kind: 'head'; readonly lengthBytes: number; readonly crc32c: number }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: RingloadError };

export class SimDataClient implements PeerSegments {
  readonly #options: DataClientOptions;

  constructor(options: DataClientOptions) {
    this.#options = options;
  }

  async open(endpoint: string, request: SegmentRequest, signal: AbortSignal): Promise<PeerSegment> {
    signal.throwIfAborted();
    const connection = new Connection(this.#options, endpoint, signal);
    connection.ask(request);
    const head = await connection.next(this.#options.headTimeoutMs);
    if (head.kind === 'error') throw head.error;
    if (head.kind !== 'head') throw connection.broken('no head');
    const { lengthBytes, crc32c } = head;
    return {
      lengthBytes,
      crc32c,
      body: connection.body(lengthBytes, this.#options.stallTimeoutMs),
    };
  }

  close(): void {}
}

class Connection {
  readonly #options: DataClientOptions;
  readonly #endpoint: string;
  readonly #signal: AbortSignal;
  readonly #gone = new AbortController();
  readonly #arrived: Arrival[] = [];
  #wake: (() => void) | undefined;
  #lastArrivalMs = 0;

  constructor(options: DataClientOptions, endpoint: string, signal: AbortSignal) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.#signal = signal;
  }

  ask(request: SegmentRequest): void {
    const { world, address, life, endpointAt } = this.#options;
    if (!life.begin()) return;
    const { copies, delayMs } = world.network.fate(address, addressOf(this.#endpoint));
    world.time.after(delayMs, () => {
      if (copies === 0) return;
      const server = endpointAt(this.#endpoint);
      if (!server || server.life.isOver) {
        this.#arrive({ kind: 'error', error: this.broken('nobody listens') });
        return;
      }
      server.life.deliver(() => void this.#serve(server, request));
    });
  }

  /** What comes next; a silence that is too long is an error, and so is an abort. */
  async next(timeoutMs: number): Promise<Arrival> {
    if (this.#arrived.length === 0) await this.#wait(timeoutMs);
    if (this.#signal.aborted) {
      this.#gone.abort(cancelled());
      throw reasonOf(this.#signal);
    }
    return (
      this.#arrived.shift() ?? {
        kind: 'error',
        error: new RingloadError('deadline_exceeded', `${this.#endpoint} is silent`),
      }
    );
  }

  async *body(lengthBytes: number, stallTimeoutMs: number): AsyncGenerator<Uint8Array> {
    let received = 0;
    try {
      for (;;) {
        const arrival = await this.next(stallTimeoutMs);
        if (arrival.kind === 'error') throw arrival.error;
        if (arrival.kind !== 'chunk') break;
        received += arrival.bytes.length;
        yield arrival.bytes;
      }
    } finally {
      this.#gone.abort(cancelled());
    }
    if (received !== lengthBytes) throw this.broken(`${received} of ${lengthBytes} bytes came`);
  }

  broken(why: string): RingloadError {
    return new RingloadError('peer_unreachable', `read from ${this.#endpoint}: ${why}`);
  }

  /** On the other side. */
  async #serve(server: DataEndpoint, request: SegmentRequest): Promise<void> {
    let reader: SegmentReader | undefined;
    let isHeadSent = false;
    const ends = this.#options.world.begins(`serve ${request.key.path}`, server.life);
    try {
      reader = await server.open(request, this.#gone.signal);
      if (!reader) throw new RingloadError('not_found', 'the segment is not resident');
      const length = request.length ?? reader.lengthBytes - request.offset;
      const chunks = reader.read(request.offset, length)[Symbol.asyncIterator]();
      let next = await chunks.next();
      const { crc32c } = reader;
      isHeadSent = true;
      this.#send(server, { kind: 'head', lengthBytes: length, crc32c });
      for (; !next.done; next = await chunks.next()) {
        this.#send(server, { kind: 'chunk', bytes: next.value });
      }
      this.#send(server, { kind: 'end' });
    } catch (thrown) {
      // An error before the head is an answer; after it only a cut connection tells the truth.
      const error = isHeadSent
        ? this.broken('the connection was cut')
        : fromWireError(toWireError(toRingloadError(thrown)));
      this.#send(server, { kind: 'error', error });
    } finally {
      reader?.close();
      ends();
    }
  }

  #send(server: DataEndpoint, arrival: Arrival): void {
    const { world, address, life } = this.#options;
    if (!server.life.begin()) {
      // The process is dead: its socket is closed for it.
      world.time.after(5, () => {
        this.#arrive({ kind: 'error', error: this.broken('the connection was reset') });
      });
      return;
    }
    const { copies, delayMs } = world.network.fate(server.address, address);
    const atMs = Math.max(this.#lastArrivalMs, world.time.nowMs + delayMs);
    this.#lastArrivalMs = atMs;
    world.time.after(atMs - world.time.nowMs, () => {
      if (copies > 0 && !life.isOver) this.#arrive(arrival);
    });
  }

  #arrive(arrival: Arrival): void {
    this.#options.life.deliver(() => {
      this.#arrived.push(arrival);
      this.#wake?.();
    });
  }

  #wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.#signal.removeEventListener('abort', done);
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#options.life.clock.setTimer(timeoutMs, done);
      this.#wake = done;
      this.#signal.addEventListener('abort', done, { once: true });
      if (this.#signal.aborted) done();
    });
  }
}

function addressOf(endpoint: string): string {
  return endpoint.slice('http://'.length);
}

function cancelled(): RingloadError {
  return new RingloadError('cancelled', 'the reader went away');
}

function reasonOf({ reason }: AbortSignal): RingloadError {
  return reason instanceof RingloadError ? reason : new RingloadError('cancelled', 'given up');
}
