/**
 * Stands in front of an S3 server and counts what is read from it: an amplification that the
 * peers did not compute themselves. Requests and answers pass unchanged, so signatures hold.
 */
import { once } from 'node:events';
import {
  Agent,
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';

export class CountingProxy implements AsyncDisposable {
  readonly #target: URL;
  readonly #bucket: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server: Server;
  /** By `key`, the Range headers it was read with; '' for the whole object. */
  readonly #reads = new Map<string, string[]>();
  #objectBytes = 0;

  private constructor(target: string, bucket: string) {
    this.#target = new URL(target);
    this.#bucket = bucket;
    this.#server = createServer({ keepAliveTimeout: 120_000 }, (incoming, outgoing) => {
      this.#forward(incoming, outgoing);
    });
  }

  /** @param bucket whose objects' reads are counted. */
  static async start(target: string, bucket: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(target, bucket);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Body bytes of successful reads of objects, as the server sent them. */
  get objectBytes(): number {
    return this.#objectBytes;
  }

  get readCount(): number {
    return [...this.#reads.values()].reduce((sum, ranges) => sum + ranges.length, 0);
  }

  /** Ranges that were read more than once, `key range`. */
  repeatedReads(): string[] {
    return [...this.#reads].flatMap(([key, ranges]) =>
      ranges.filter((range, at) => ranges.indexOf(range) !== at).map((range) => `${key} ${range}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
    await once(this.#server, 'close');
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method, url = '/', headers } = incoming;
    const { hostname, port } = this.#target;
    const upstream = request({ agent: this.#agent, hostname, port, method, path: url, headers });
    upstream.on('response', (answer) => {
      const status = answer.statusCode ?? 502;
      if (method === 'GET' && status < 300) this.#count(url, headers.range ?? '', answer);
      outgoing.writeHead(status, answer.rawHeaders);
      pipeline(answer, outgoing, () => undefined);
    });
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) upstream.destroy();
    });
    incoming.pipe(upstream);
  }

  #count(url: string, range: string, answer: IncomingMessage): void {
    const key = url.split('?')[0]?.slice(this.#bucket.length + 2) ?? '';
    if (!url.startsWith(`/${this.#bucket}/`) || key === '') return;
    const ranges = this.#reads.get(key) ?? [];
    this.#reads.set(key, [...ranges, range]);
    answer.on('data', (chunk: Buffer) => (this.#objectBytes += chunk.length));
  }
}
