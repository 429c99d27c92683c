/** Ports for programs that cannot be told to take port 0 and say which one they got. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the range that Linux hands out by itself, so that nobody gets one by chance meanwhile. */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** A port that is free on 127.0.0.1 now, and `port + offset` too for each of `offsets`. */
export async function freePort(offsets: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    const wanted = [port, ...offsets.map((offset) => port + offset)];
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return port;
  }
  throw new Error(`found no free port between ${LOWEST} and ${HIGHEST}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
