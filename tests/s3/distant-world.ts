/**
 * Two peers: one that is home to all files and holds their segments, behind a real data endpoint,
 * and one through whose S3 endpoint they are read. Between them lies a wire that can break.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { hashOfText } from '../../src/base/change-marks.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { peerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { startSegmentServer, type SegmentServer } from '../../src/data/io/segment-server.ts';
import { SELF, StandingWorld, TOKEN, type Others } from './standing-world.ts';

const HOME = peerId('home');
const BOUNDS = { limit: Infinity, refuseFrom: Infinity, dropFrom: Infinity };

/** What becomes of the bytes that the home sends. */
export type Wire = (bytes: Buffer, client: Socket) => void;

export class DistantWorld implements AsyncDisposable {
  readonly home: StandingWorld;
  readonly reader: StandingWorld;
  readonly #parts: Parts;

  private constructor(home: StandingWorld, reader: StandingWorld, parts: Parts) {
    this.home = home;
    this.reader = reader;
    this.#parts = parts;
  }

  /** Segments that the home's main thread was asked for. */
  get openedCount(): number {
    return this.#parts.openedCount;
  }

  /** Reads that it was told of afterwards. */
  get notedCount(): number {
    return this.#parts.notedCount;
  }

  /** Connections to the home that were made so far. */
  get connectionCount(): number {
    return this.#parts.connectionCount;
  }

  /** Undefined: it is whole. The main thread of the reader finds nobody while it is not. */
  break(wire: Wire | undefined): void {
    this.#parts.wire = wire;
  }

  /** @param options.capacityBytes of the home's cache */
  static async open({
    capacityBytes,
    shortMaxMs = 60_000,
  }: { capacityBytes?: number; shortMaxMs?: number } = {}): Promise<DistantWorld> {
    const home = await StandingWorld.open(capacityBytes);
    const parts: Parts = { openedCount: 0, notedCount: 0, connectionCount: 0, wire: undefined };
    const server = await startSegmentServer({
      ...{ host: '127.0.0.1', port: 0, token: () => TOKEN },
      open: ({ key, length }) => {
        if (length === undefined) parts.notedCount++;
        else parts.openedCount++;
        return home.store.open(key).then((reader) => reader?.placed);
      },
      ...{ bounds: BOUNDS, openFileMaxCount: 4, marks: home.marks, logger: silentLogger },
      onRefused: () => undefined,
    });
    parts.server = server;
    parts.relay = await relayTo(server.port, parts);
    const { port } = parts.relay.address() as AddressInfo;
    const others = { ...othersOf(home, `http://127.0.0.1:${port}`, parts), shortMaxMs };
    return new DistantWorld(home, await StandingWorld.open(undefined, others), parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader[Symbol.asyncDispose]();
    this.#parts.relay?.close();
    await this.#parts.server?.close();
    await this.home[Symbol.asyncDispose]();
  }
}

interface Parts {
  openedCount: number;
  notedCount: number;
  connectionCount: number;
  wire: Wire | undefined;
  server?: SegmentServer;
  relay?: Server;
}

function othersOf(home: StandingWorld, endpoint: string, parts: Parts): Omit<Others, 'shortMaxMs'> {
  const nobody = (): never => {
    throw new RingloadError('peer_unreachable', 'nobody asks for that here');
  };
  return {
    under: home.under,
    network: {
      ...{ listAt: nobody, isLoading: nobody },
      recordAt: (_peer, path) => home.catalog.get(path),
      tellingRecordAt: async (_peer, path) => {
        const mark = home.marks.now(hashOfText(path));
        const record = await home.catalog.get(path);
        return record && { record, stands: home.marks.tell(mark) };
      },
      holds: (_peer, keys) => Promise.resolve(keys.map(() => false)),
      openSegment: (_peer, request, signal, { via, ...watch } = {}) => {
        if (parts.wire || !via || request.fill) return nobody();
        return via.open(endpoint, request, signal, watch);
      },
    },
    placement: {
      ...{ self: SELF, members: [SELF, HOME] },
      ownersOf: () => [HOME],
      isReachable: () => true,
    },
  };
}

async function relayTo(port: number, parts: Parts): Promise<Server> {
  const relay = createServer((client) => {
    parts.connectionCount++;
    const upstream = connect(port, '127.0.0.1');
    client.on('data', (bytes: Buffer) => upstream.write(bytes));
    upstream.on('data', (bytes: Buffer) => {
      if (parts.wire) parts.wire(bytes, client);
      else client.write(bytes);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => undefined);
      one.once('close', () => other.destroy());
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return relay;
}

/** Nothing of it arrives. */
export const mute: Wire = () => undefined;
export const cut: Wire = (bytes, client) => {
  client.end(bytes.subarray(0, bytes.length >> 1));
};
export const garbage: Wire = (bytes, client) => {
  client.write(Buffer.alloc(bytes.length, 'x'));
};
/** A byte more than was promised. */
export const more: Wire = (bytes, client) => {
  client.write(Buffer.concat([bytes, Buffer.from('!')]));
};
/** A good answer to something else. */
export const shorter: Wire = (_bytes, client) => {
  client.write('HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx-ringload-crc32c: 1\r\n\r\nabc');
};
