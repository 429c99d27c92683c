/** Clients that read a large body at a kilobyte a second. */
import { KIB } from '../../src/base/units.ts';
import type { Peer } from '../support/peer-process.ts';
import type { Asserts } from './expect.ts';
import type { Stage } from './stage.ts';
import { StormClient } from './storm.ts';

const SLOW_BYTES_PER_SECOND = KIB;

/** Slow readers, each of which takes a little every second until the storm is over. */
export class SlowReaders implements Disposable {
  readonly clients: readonly StormClient[];
  readonly #timer: NodeJS.Timeout;
  readonly #key: string;
  readonly #stage: Stage;

  constructor(stage: Stage, peer: Peer, key: string, count: number) {
    this.#stage = stage;
    this.#key = key;
    this.clients = Array.from({ length: count }, () => StormClient.reading(peer, key));
    this.#timer = setInterval(() => {
      for (const client of this.clients) client.take(SLOW_BYTES_PER_SECOND);
    }, 1_000);
  }

  /** All have got a part, and what they got is right. */
  async expectServed(t: Asserts): Promise<void> {
    const { clients } = this;
    await this.#stage.cluster.waitFor(
      () => clients.every(({ bodyBytes, isClosed }) => bodyBytes > 0 || isClosed),
      'every slow reader to get a part',
    );
    t.deepEqual([...new Set(clients.map(({ status }) => status))], [200]);
    t.is(clients.filter(({ isClosed }) => isClosed).length, 0, 'slow readers were cut off');
    const expected = this.#stage.origin.expectedBytes(this.#key, 0, 64 * KIB);
    const isRight = ({ body, bodyBytes }: StormClient): boolean =>
      Buffer.concat(body).equals(expected.subarray(0, bodyBytes));
    t.is(clients.filter((client) => !isRight(client)).length, 0, 'other bytes');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { socket } of this.clients) socket.destroy();
  }
}
