/**
 * Ports for programs that cannot be told to take port 0 and say which one they got.
 *
 * Each process walks through a part of the range that nobody else has meanwhile: a peer that is down
 * for a moment, or not up yet, must not find its port with the cluster of another test.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { threadId } from 'node:worker_threads';

/** Below the range that Linux hands out by itself, so that nobody gets one by chance meanwhile. */
const LOWEST = 20_000;
const PART_COUNT = 100;
const PART_SIZE = 120;
/** Whoever listens on this port plus its number has a part: the system lets go of it at the end. */
const LOWEST_GUARD = LOWEST - PART_COUNT;

/** A part of the range, until it is disposed of or the process ends. */
export class PortPart implements Disposable {
  readonly number: number;
  readonly #guard: Server;
  #taken = Math.floor(Math.random() * PART_SIZE);

  private constructor(number: number, guard: Server) {
    this.number = number;
    this.#guard = guard;
  }

  /** The preferred one, or the next that nobody has. */
  static async take(preferred: number): Promise<PortPart> {
    for (let attempt = 0; attempt < PART_COUNT; attempt++) {
      const number = (preferred + attempt) % PART_COUNT;
      const guard = await listen(LOWEST_GUARD + number);
      if (guard) return new PortPart(number, guard.unref());
    }
    throw new Error(`all ${PART_COUNT} parts of the ports from ${LOWEST} on are taken`);
  }

  /** A port that is free on 127.0.0.1 now, and `port + offset` too for each of `offsets`. */
  async freePort(offsets: readonly number[] = []): Promise<number> {
    const first = LOWEST + this.number * PART_SIZE;
    for (let attempt = 0; attempt < PART_SIZE; attempt++) {
      const port = first + (this.#taken++ % PART_SIZE);
      const wanted = [port, ...offsets.map((offset) => port + offset)];
      const free = await Promise.all(wanted.map(isFree));
      if (free.every(Boolean)) return port;
    }
    throw new Error(`found no free port from ${first} on`);
  }

  [Symbol.dispose](): void {
    this.#guard.close();
  }
}

let own: Promise<PortPart> | undefined;

/** As {@link PortPart.freePort}, of this process's part. */
export async function freePort(offsets: readonly number[] = []): Promise<number> {
  own ??= PortPart.take((process.pid + 37 * threadId) % PART_COUNT);
  return (await own).freePort(offsets);
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  server?.close();
  return server !== undefined;
}

/** Undefined: somebody else does. */
async function listen(port: number): Promise<Server | undefined> {
  const server = createServer();
  try {
    server.listen({ port, host: '127.0.0.1', exclusive: true });
    await once(server, 'listening');
    return server;
  } catch {
    return undefined;
  }
}
