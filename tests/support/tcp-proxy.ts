/**
 * A TCP proxy that spoils what passes through it: latency and jitter, bandwidth, small slices, a
 * cut after so many bytes, late closing, silence in one or both directions, resets, refusal.
 *
 * Faults are decided per connection and direction by asking `faultsOf` anew for every chunk, so
 * that a test changes the weather for open connections too. A silent direction holds its bytes and
 * delivers them when the silence ends, as TCP's retransmission does after a partition.
 *
 * Invariant: bytes of one direction keep their order, and at most {@link HELD_MAX_BYTES} are held
 * per direction: beyond that the sender feels back-pressure.
 */
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

const HELD_MAX_BYTES = 1024 * 1024;
/** A limited direction passes on a twentieth of a second's worth at a time. */
const BANDWIDTH_STEPS_PER_SECOND = 20;
/**
 * Between the last bytes and a reset: Node reports a reset that comes together with bytes as an
 * orderly end.
 */
const RESET_AFTER_BYTES_MS = 20;
/** How often a silent direction looks whether the silence is over. */
const SILENCE_POLL_MS = 10;

/** What happens to the bytes of one direction. Absent fields change nothing. */
export interface Faults {
  /** Each chunk arrives that much later. */
  readonly latencyMs?: number;
  /** Uniformly up to that much more or less; order is kept. */
  readonly jitterMs?: number;
  readonly bandwidthBytesPerSecond?: number;
  /** Chunks are cut into slices of that many bytes, each written by itself. */
  readonly sliceBytes?: number;
  /** Pause between two slices. Default 0. */
  readonly sliceDelayMs?: number;
  /** After that many bytes of this direction the connection ends as `limitEnding` says. */
  readonly limitBytes?: number;
  /** Default `close`. */
  readonly limitEnding?: 'close' | 'reset';
  /** The end of the stream is passed on that much later. */
  readonly slowCloseMs?: number;
  /** Nothing passes, neither bytes nor the end, until this is false again. */
  readonly silent?: boolean;
}

/** `up` runs from the client to the target, `down` back. */
export type Direction = 'up' | 'down';

export interface ProxyConnection {
  /** 1 for the first connection that the proxy accepted. */
  readonly number: number;
  /** The client's port: tells connections of one host apart. */
  readonly clientPort: number;
}

export interface TcpProxyOptions {
  readonly target: { readonly host: string; readonly port: number };
  /** Where the proxy listens. Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Overrides what {@link TcpProxy.set} sets. */
  readonly faultsOf?: (connection: ProxyConnection, direction: Direction) => Faults;
  /** In [0, 1), for jitter. Default Math.random. */
  readonly random?: () => number;
}

export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: TcpProxyOptions;
  readonly #links = new Set<Link>();
  readonly #faults: Record<Direction, Faults> = { up: {}, down: {} };
  readonly #passedBytes: Record<Direction, number> = { up: 0, down: 0 };
  #target: { readonly host: string; readonly port: number };
  #acceptedCount = 0;
  #refusing = false;

  private constructor(options: TcpProxyOptions) {
    this.#options = options;
    this.#target = options.target;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      this.#accept(client);
    });
  }

  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options);
    proxy.#server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `host:port` */
  get address(): string {
    return `${this.#options.host ?? '127.0.0.1'}:${this.port}`;
  }

  /** Connections accepted so far, those refused not counted. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  get openCount(): number {
    return this.#links.size;
  }

  passedBytes(direction: Direction): number {
    return this.#passedBytes[direction];
  }

  /** Replaces the faults of one direction, or of both; `{}` heals. */
  set(direction: Direction | 'both', faults: Faults): void {
    if (direction !== 'down') this.#faults.up = faults;
    if (direction !== 'up') this.#faults.down = faults;
  }

  /** Heals everything: open connections go on. */
  heal(): void {
    this.set('both', {});
    this.#refusing = false;
  }

  /** New connections are reset at once until {@link heal}; open ones go on. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Open connections end with RST on both sides. */
  resetAll(): void {
    for (const link of this.#links) link.reset();
  }

  /** New connections go there; open ones stay where they are. */
  retarget(target: { readonly host: string; readonly port: number }): void {
    this.#target = target;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const link of this.#links) link.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on('error', ignore);
      client.resetAndDestroy();
      return;
    }
    const connection = { number: ++this.#acceptedCount, clientPort: client.remotePort ?? 0 };
    const link = new Link(client, this.#target, {
      faults: (direction) =>
        this.#options.faultsOf?.(connection, direction) ?? this.#faults[direction],
      passed: (direction, count) => (this.#passedBytes[direction] += count),
      closed: () => this.#links.delete(link),
      random: this.#options.random ?? Math.random,
    });
    this.#links.add(link);
  }
}

interface LinkHooks {
  faults(direction: Direction): Faults;
  passed(direction: Direction, count: number): void;
  closed(): void;
  random(): number;
}

/** One client connection and its connection to the target. */
class Link {
  readonly #sockets: readonly Socket[];
  readonly #streams: readonly SpoiltStream[];
  readonly #hooks: LinkHooks;
  #open = true;

  constructor(client: Socket, target: { host: string; port: number }, hooks: LinkHooks) {
    this.#hooks = hooks;
    const server = connect({ ...target, allowHalfOpen: true });
    this.#sockets = [client, server];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      // A reset or a failed connection of one side is a reset for the other.
      socket.on('error', () => this.reset());
      socket.on('close', () => {
        if (this.#sockets.every((each) => each.destroyed)) this.destroy();
      });
    }
    const parts = { hooks, end: (how: 'close' | 'reset') => this.#end(how) };
    this.#streams = [
      new SpoiltStream({ source: client, sink: server, direction: 'up', ...parts }),
      new SpoiltStream({ source: server, sink: client, direction: 'down', ...parts }),
    ];
  }

  reset(): void {
    if (!this.#open) return;
    for (const socket of this.#sockets) reset(socket);
    this.destroy();
  }

  destroy(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const stream of this.#streams) stream.stop();
    for (const socket of this.#sockets) socket.destroy();
    this.#hooks.closed();
  }

  #end(how: 'close' | 'reset'): void {
    if (how === 'reset') this.reset();
    else this.destroy();
  }
}

/**
 * Why not always: Node loses sight of a socket that is reset while its end is on its way, and the
 * process never ends (EINVAL of uv_tcp_close_reset).
 */
function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

interface SpoiltStreamParts {
  readonly source: Socket;
  readonly sink: Socket;
  readonly direction: Direction;
  readonly hooks: LinkHooks;
  readonly end: (how: 'close' | 'reset') => void;
}

/** One direction of a link: a queue of chunks, each with the time at which it may go on. */
class SpoiltStream {
  readonly #parts: SpoiltStreamParts;
  readonly #queue: { bytes: Buffer; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #passedBytes = 0;
  /** Nothing goes on before that time: pays for bandwidth and slice pauses. */
  #freeAtMs = 0;
  #lastDueMs = 0;
  #sourceEnded = false;
  #sinkFull = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: SpoiltStreamParts) {
    this.#parts = parts;
    const { source, sink } = parts;
    source.on('data', (bytes: Buffer) => this.#enqueue(bytes));
    source.on('end', () => {
      this.#sourceEnded = true;
      const nowMs = performance.now();
      this.#lastDueMs = Math.max(this.#lastDueMs, nowMs) + (this.#faults.slowCloseMs ?? 0);
      this.#advance();
    });
    sink.on('drain', () => {
      this.#sinkFull = false;
      this.#advance();
    });
    source.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  get #faults(): Faults {
    return this.#parts.hooks.faults(this.#parts.direction);
  }

  #enqueue(bytes: Buffer): void {
    const { latencyMs = 0, jitterMs = 0 } = this.#faults;
    const jitter = jitterMs * (2 * this.#parts.hooks.random() - 1);
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + latencyMs + jitter);
    this.#queue.push({ bytes, dueMs: this.#lastDueMs });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= HELD_MAX_BYTES) this.#parts.source.pause();
    this.#advance();
  }

  /** Passes on all that may go now, and sets one timer for the next piece. */
  #advance(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const waitMs = this.#waitMs();
      if (waitMs === undefined || this.#parts.sink.destroyed) return;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#advance(), Math.ceil(waitMs));
        return;
      }
      if (!this.#passOne()) return;
    }
  }

  /** Until the next piece may go; undefined when an event, not time, brings it. */
  #waitMs(): number | undefined {
    const head = this.#queue[0];
    if (this.#sinkFull || (head === undefined && !this.#sourceEnded)) return undefined;
    if (this.#faults.silent) return SILENCE_POLL_MS;
    return Math.max(head?.dueMs ?? this.#lastDueMs, this.#freeAtMs) - performance.now();
  }

  /** False when there is nothing to go on with. */
  #passOne(): boolean {
    const head = this.#queue[0];
    if (head === undefined) {
      this.#parts.sink.end();
      return false;
    }
    const piece = head.bytes.subarray(0, this.#pieceBytes(head.bytes.length));
    head.bytes = head.bytes.subarray(piece.length);
    if (head.bytes.length === 0) this.#queue.shift();
    return this.#write(piece);
  }

  #pieceBytes(availableBytes: number): number {
    const { sliceBytes, bandwidthBytesPerSecond, limitBytes } = this.#faults;
    const bounds = [availableBytes, sliceBytes ?? Infinity];
    if (bandwidthBytesPerSecond !== undefined) {
      bounds.push(Math.ceil(bandwidthBytesPerSecond / BANDWIDTH_STEPS_PER_SECOND));
    }
    if (limitBytes !== undefined) bounds.push(limitBytes - this.#passedBytes);
    return Math.max(0, Math.min(...bounds));
  }

  #write(piece: Buffer): boolean {
    const { sink, source, direction, hooks, end } = this.#parts;
    const faults = this.#faults;
    this.#passedBytes += piece.length;
    hooks.passed(direction, piece.length);
    this.#heldBytes -= piece.length;
    if (this.#heldBytes < HELD_MAX_BYTES && source.isPaused()) source.resume();

    const pauseMs =
      (1_000 * piece.length) / (faults.bandwidthBytesPerSecond ?? Infinity) +
      (faults.sliceBytes === undefined ? 0 : (faults.sliceDelayMs ?? 0));
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + pauseMs;

    if (faults.limitBytes !== undefined && this.#passedBytes >= faults.limitBytes) {
      this.#sinkFull = true;
      sink.write(piece, () => {
        if (faults.limitEnding !== 'reset') end('close');
        else this.#timer = setTimeout(() => end('reset'), RESET_AFTER_BYTES_MS);
      });
      return false;
    }
    this.#sinkFull = !sink.write(piece);
    return !this.#sinkFull;
  }
}

function ignore(): void {}
