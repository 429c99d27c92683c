/**
 * Ports for programs that cannot be told to take port 0 and say which one they got.
 *
 * Each process walks through a part of the range of its own: a peer that is down for a moment, to
 * be started again, must not find its port with the cluster of another test.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { threadId } from 'node:worker_threads';

/** Below the range that Linux hands out by itself, so that nobody gets one by chance meanwhile. */
const LOWEST = 20_000;
const PART_COUNT = 100;
const PART_SIZE = 120;

const part = (process.pid + 37 * threadId) % PART_COUNT;
let taken = Math.floor(Math.random() * PART_SIZE);

/** A port that is free on 127.0.0.1 now, and `port + offset` too for each of `offsets`. */
export async function freePort(offsets: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < PART_SIZE; attempt++) {
    const port = LOWEST + part * PART_SIZE + (taken++ % PART_SIZE);
    const wanted = [port, ...offsets.map((offset) => port + offset)];
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return port;
  }
  throw new Error(`found no free port from ${LOWEST + part * PART_SIZE} on`);
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
