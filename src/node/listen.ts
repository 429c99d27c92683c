/** Opening and closing the REST port. */
import type { Server } from 'node:http';
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

/** Stops taking connections, lets what is being answered finish, then cuts. */
export function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.closeAllConnections();
    }, graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
