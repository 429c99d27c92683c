/**
 * A peer as the CLI meets it: the real HTTP routes over a {@link World}, on a real socket, with a
 * hook in front where a test plants faults.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../../../src/base/logger.ts';
import { createHttpApp } from '../../../src/http/app.ts';
import type { World } from './world.ts';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

/** True: the request is dealt with, the routes do not see it. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export class TestPeer implements AsyncDisposable {
  readonly port: number;
  readonly address: string;
  readonly seen: SeenRequest[] = [];
  fault: Fault | undefined;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.address = `127.0.0.1:${this.port}`;
  }

  /** @param port 0 for any; a former port to come back on it. */
  static async start(world: World, port = 0): Promise<TestPeer> {
    const routes = createHttpApp(world.services(), { logger: silentLogger }).callback();
    const server = createServer();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const peer = new TestPeer(server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { method = '', url = '', headers } = request;
      peer.seen.push({ method, url, headers });
      if (peer.fault?.(request, response)) return;
      void routes(request, response);
    });
    return peer;
  }

  /** Requests to `path`, whatever their query. */
  countOf(method: string, path: string): number {
    return this.seen.filter((one) => one.method === method && one.url.split('?')[0] === path)
      .length;
  }

  /** As a kill: every connection is cut, nobody listens any more. */
  async die(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.die();
  }
}

/** Answers with a problem document. */
export function problem(response: ServerResponse, status: number, code: string): true {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(
    JSON.stringify({ status, code, detail: `told ${code}`, requestId: 'request-1', title: 'x' }),
  );
  return true;
}

/** A port on which nobody listens, so that connections are refused. */
export async function deadAddress(): Promise<string> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}
