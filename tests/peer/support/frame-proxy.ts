/**
 * A proxy that knows WebSocket frames: it passes the handshake and what the called peer says as it
 * is, and hands every whole frame of the caller to a test, which says what becomes of it.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What goes on in place of a frame: nothing, it, or several. */
export type Fate = (frame: Buffer) => readonly Buffer[];

export class FrameProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Every frame that came, of all connections. */
  readonly seen: Buffer[] = [];
  /** Asked for each frame, in order. */
  fate: Fate = (frame) => [frame];
  /** What is passed on is written byte by byte. */
  inBytes = false;

  private constructor(target: string) {
    const [host, port] = target.split(':');
    this.#server = createServer((near) => {
      const far = connect(Number(port), host);
      for (const socket of [near, far]) this.#watch(socket);
      const frames = new FrameCutter();
      near.on('data', (chunk) => {
        for (const piece of frames.add(chunk)) {
          if (piece.kind === 'frame') this.seen.push(piece.bytes);
          const passed = piece.kind === 'frame' ? this.fate(piece.bytes) : [piece.bytes];
          for (const bytes of passed) this.#write(far, bytes);
        }
      });
      far.on('data', (chunk) => this.#write(near, chunk));
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    });
  }

  static async to(target: string): Promise<FrameProxy> {
    const proxy = new FrameProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #write(socket: Socket, bytes: Buffer): void {
    if (!this.inBytes) socket.write(bytes);
    else for (let at = 0; at < bytes.length; at++) socket.write(bytes.subarray(at, at + 1));
  }
}

/** Cuts what a caller says into its request and frames, whatever pieces it comes in. */
class FrameCutter {
  #waiting = Buffer.alloc(0);
  #isUpgraded = false;

  add(chunk: Buffer): { readonly kind: 'request' | 'frame'; readonly bytes: Buffer }[] {
    this.#waiting = Buffer.concat([this.#waiting, chunk]);
    const pieces: { kind: 'request' | 'frame'; bytes: Buffer }[] = [];
    for (;;) {
      const kind = this.#isUpgraded ? 'frame' : 'request';
      const length = this.#isUpgraded ? this.#frameLength() : this.#requestLength();
      if (length === undefined || length > this.#waiting.length) return pieces;
      pieces.push({ kind, bytes: this.#waiting.subarray(0, length) });
      this.#waiting = this.#waiting.subarray(length);
      this.#isUpgraded = true;
    }
  }

  #requestLength(): number | undefined {
    const end = this.#waiting.indexOf('\r\n\r\n');
    return end < 0 ? undefined : end + 4;
  }

  /** Frames of a caller are masked: four bytes more. */
  #frameLength(): number | undefined {
    if (this.#waiting.length < 2) return undefined;
    const short = (this.#waiting[1] ?? 0) & 0x7f;
    if (short < 126) return 2 + 4 + short;
    const lengthBytes = short === 126 ? 2 : 8;
    if (this.#waiting.length < 2 + lengthBytes) return undefined;
    const length =
      short === 126 ? this.#waiting.readUInt16BE(2) : Number(this.#waiting.readBigUInt64BE(2));
    return 2 + lengthBytes + 4 + length;
  }
}
