/**
 * One owner behind a slow line, real processes: to the origin alone, then to everybody. Linux: it
 * is told by its sockets which peer a connection comes from.
 */
import { platform } from 'node:process';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';
import { ownerOfPort } from '../support/socket-owner.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { expectLoaded } from '../fault/expect.ts';
import { SEGMENT_BYTES, Stage } from '../fault/stage.ts';

const onLinux = requires(platform === 'linux' ? undefined : 'Linux (sockets of processes)');

/** 16 s for one segment: a share of the files would take many minutes. */
const CRAWL_BYTES_PER_SECOND = SEGMENT_BYTES / 16;
const DEADLINE_MS = 90_000;

/** The origin behind a proxy that lets one peer crawl. */
class SlowLine implements AsyncDisposable {
  readonly proxy: TcpProxy;
  #slow: Peer | undefined;
  readonly #isSlow = new Map<number, boolean>();

  private constructor(proxy: TcpProxy) {
    this.proxy = proxy;
  }

  static async start(): Promise<SlowLine> {
    const line: { opened?: SlowLine } = {};
    const proxy = await TcpProxy.start({
      // Nobody, until the stage has its origin.
      target: { host: '127.0.0.1', port: 9 },
      faultsOf: ({ number, clientPort }) =>
        line.opened?.isSlow(number, clientPort)
          ? { bandwidthBytesPerSecond: CRAWL_BYTES_PER_SECOND }
          : {},
    });
    return (line.opened = new SlowLine(proxy));
  }

  set slow(peer: Peer | undefined) {
    this.#slow = peer;
  }

  isSlow(number: number, clientPort: number): boolean {
    if (!this.#slow) return false;
    const known = this.#isSlow.get(number);
    if (known !== undefined) return known;
    const isSlow = ownerOfPort(clientPort, [this.#slow.pid]) !== undefined;
    this.#isSlow.set(number, isSlow);
    return isSlow;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
  }
}

function openStage(line: SlowLine): Promise<Stage> {
  return Stage.open({
    peers: 4,
    originAt: (endpoint) => {
      line.proxy.retarget({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
      return `http://${line.proxy.address}`;
    },
    // On a busy host a good owner needs a second, too: taken for slow, it would be spared as well.
    env: { RINGLOAD_LOAD_SLOW_AFTER_MS: 4_000 },
  });
}

for (const replicas of [2, 1]) {
  onLinux(`straggler: an owner with a slow line to the origin, ${replicas} replicas`, async (t) => {
    await using line = await SlowLine.start();
    await using stage = await openStage(line);
    const data = stage.addFiles({ count: 40 });
    const leader = await stage.cluster.waitForLeader();
    const slow = stage.cluster.peers.find((peer) => peer !== leader) as Peer;
    line.slow = slow;
    const load = await stage.load(data, { replicas });
    const { counters, digest } = await load.succeeds(DEADLINE_MS);
    t.truthy(digest);
    t.log(
      `${counters.movedTaskCount} moved, ${counters.relayedBytes} bytes relayed, amplification ${(counters.ufsBytes / counters.loadedBytes).toFixed(3)}`,
    );
    t.true(counters.movedTaskCount > 0);
    if (replicas === 1) t.true(counters.relayedBytes > 0);
    // What a crawling connection brought before it was given up is next to nothing.
    t.true(counters.ufsBytes <= 1.1 * counters.loadedBytes);
    line.slow = undefined;
    await expectLoaded(t, load);
  });
}
