/** Passes TCP on, until told to stop, and keeps or changes what the caller says on the way. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #frozen = false;
  /** Of each connection, what its caller said. */
  readonly recordings: Buffer[][] = [];
  /** Changes what callers say; undefined swallows it. */
  alter: (chunk: Buffer) => Buffer | undefined = (chunk) => chunk;

  private constructor(target: string) {
    const [host, port] = target.split(':');
    this.#server = createServer((near) => {
      const far = connect(Number(port), host);
      const recording: Buffer[] = [];
      this.recordings.push(recording);
      this.#join(near, far, (chunk) => {
        recording.push(chunk);
        return this.alter(chunk);
      });
      this.#join(far, near, (chunk) => chunk);
    });
  }

  static async to(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Connections stay open, bytes and ends go nowhere: a power cut, or a forgetful NAT. */
  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(from: Socket, to: Socket, pass: (chunk: Buffer) => Buffer | undefined): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      const passed = this.#frozen ? undefined : pass(chunk);
      if (passed) to.write(passed);
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!this.#frozen) to.destroy();
    });
  }
}
