/** Opening and closing the REST port. */
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RingloadError } from '../base/errors.ts';

/** @throws address_in_use naming host and port. */
export function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const taken = error.code === 'EADDRINUSE';
      const reason = taken ? 'the port is taken by another process' : error.message;
      const code = taken ? 'address_in_use' : 'config_invalid';
      reject(
        new RingloadError(code, `listen on ${host}:${String(port)}: ${reason}`, { cause: error }),
      );
    };
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/**
 * Stops taking connections and waits for the answers under way, `graceMs` at most. Links between
 * peers are sockets of the same server and are not waited for.
 * @returns to be called once, before the server listens.
 */
export function closerOf(server: Server, graceMs: number): () => Promise<void> {
  const open = new Set<ServerResponse>();
  let onEmpty = (): void => undefined;
  server.on('request', (_request, response: ServerResponse) => {
    open.add(response);
    response.once('close', () => {
      open.delete(response);
      if (open.size === 0) onEmpty();
    });
  });
  return async () => {
    server.close();
    server.closeIdleConnections();
    if (open.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    server.closeAllConnections();
  };
}
