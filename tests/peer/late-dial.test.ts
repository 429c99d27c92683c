/** Dials that the network held up and delivers when their dialler has given them up. */
import test from 'ava';
import type { PeerLimits } from '../../src/peer/limits.ts';
import { createWirePair } from '../../src/peer/memory-wire.ts';
import { resolvePeerLimits } from '../../src/peer/limits.ts';
import { createPeerCounters } from '../../src/peer/counters.ts';
import type { Hello, Wire } from '../../src/peer/wire.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { CLUSTER, drainMicrotasks, isLinked, MemoryWorld, SocketWorld } from './support/world.ts';
import type { TestPeer } from './support/world.ts';

const QUICK: Partial<PeerLimits> = {
  pingIntervalMs: 50,
  deadAfterMs: 400,
  dialTimeoutMs: 300,
  dialBackoffMaxMs: 200,
};

for (const dialler of ['a', 'b']) {
  for (const late of ['a', 'b']) {
    for (const ends of [true, false]) {
      const what = `of ${late}, ${ends ? 'with its end behind it' : 'then silence'}`;
      test(`late dial: ${what}: the link that ${dialler} dialled goes on`, async (t) => {
        const world = new MemoryWorld();
        const a = await world.start({ name: 'a' });
        const b = await world.start({ name: 'b' });
        if (dialler === 'a') a.network.setPeers([b]);
        else b.network.setPeers([a]);
        await world.until('the link', () => isLinked(a, b) && isLinked(b, a));
        const told: boolean[] = [];
        for (const peer of [a, b]) {
          peer.network.onLinkChange(({ connected }) => told.push(connected));
        }
        const [from, to] = late === 'a' ? [a, b] : [b, a];
        const wire = arriveLate(to, lateHello(from, late === 'a' ? 1 : 2));
        if (ends) wire?.close('lost');
        // Beyond the life of a silent link and of one that drains.
        for (let passedMs = 0; passedMs < 8_000; passedMs += 5) {
          world.clock.advance(5);
          await drainMicrotasks();
        }
        t.deepEqual(told, []);
        b.network.onRequest('ok', () => Promise.resolve('fine'));
        t.is(await world.settle(a.network.request(b.id, 'ok', 1, 1_000)), 'fine');
        await world.close();
      });
    }
  }
}

test('late dial: of a peer that is not linked is no sign of life', async (t) => {
  const world = new MemoryWorld();
  const a = await world.start({ name: 'a' });
  const b = await world.start({ name: 'b' });
  const late = arriveLate(a, lateHello(b, 2));
  t.truthy(late);
  t.like(a.network.links()[0], { connected: false, lastHeardMs: undefined });
  await world.until('the silence', () => a.network.links().length === 0);
  t.is(a.network.counters.linksOpened, 0);
  await world.close();
});

test('late dial: the later of two takes the place of the earlier, never the reverse', async (t) => {
  const world = new MemoryWorld();
  const a = await world.start({ name: 'a' });
  const b = await world.start({ name: 'b' });
  const later = arriveLate(a, lateHello(b, 2, 7));
  t.is(a.network.admit(lateHello(b, 2, 6)), 'stale_dial');
  later?.send({ kind: 'ping', sequence: 1 }, 'normal');
  await world.until('the link', () => isLinked(a, b));
  t.is(a.network.admit(lateHello(b, 2, 6)), 'stale_dial');
  t.is(a.network.admit(lateHello(b, 2, 8)), undefined);
  await world.close();
});

test('late dials: after a one-way cut the first link that both have is the last', async (t) => {
  const world = new SocketWorld({ limits: QUICK });
  const [a, b] = [await world.start({ name: 'a' }), await world.start({ name: 'b' })];
  let muteA = false;
  // Bytes of a mute peer are held, as retransmission does, and arrive when the cut is over.
  const proxies = await Promise.all(
    [a, b].map(({ address }, position) =>
      TcpProxy.start({
        target: { host: '127.0.0.1', port: Number(address.split(':')[1]) },
        faultsOf: (_connection, direction) => ({
          silent: muteA && (position === 0) === (direction === 'down'),
        }),
      }),
    ),
  );
  const addresses = [a, b].map(({ id }, position) => ({
    id,
    address: proxies[position]?.address ?? '',
  }));
  for (const peer of [a, b]) peer.network.setPeers(addresses);
  const bothLinked = (): boolean => isLinked(a, b) && isLinked(b, a);
  for (let round = 0; round < 5; round++) {
    await world.until('the link', bothLinked);
    muteA = true;
    const dialled = a.network.counters.dialFailures;
    await world.until('dials that fail', () => a.network.counters.dialFailures >= dialled + 3);
    muteA = false;
    await world.until('the link again', bothLinked);
    const opened = [a, b].map(({ network }) => network.counters.linksOpened);
    await new Promise((resolve) => setTimeout(resolve, 600));
    t.deepEqual(
      [a, b].map(({ network }) => network.counters.linksOpened),
      opened,
      `round ${String(round)}`,
    );
    t.true(bothLinked());
  }
  await world.close();
  for (const proxy of proxies) await proxy.close();
});

/** As `from` dialled before all others of its dials; the memory hub counts starts from 1. */
function lateHello(from: TestPeer, start: number, dialNumber = 0): Hello {
  return {
    id: from.id,
    generation: 1,
    instance: `start-${String(start)}`,
    purpose: 'link',
    dialNumber,
    clusterId: CLUSTER,
    targetId: undefined,
  };
}

/** The upgrade arrives at `to`; the caller's end, unless it is turned away. */
function arriveLate(to: TestPeer, hello: Hello): Wire | undefined {
  if ((to.network.screen(hello) ?? to.network.admit(hello)) !== undefined) return undefined;
  const end = {
    limits: resolvePeerLimits(),
    counters: createPeerCounters(),
    carrier: (parcel: { leave(): void; arrive(): void }) => {
      queueMicrotask(() => {
        parcel.leave();
        parcel.arrive();
      });
    },
  };
  const [near, far] = createWirePair(end, end);
  near.bind({ onFrame: () => undefined, onHeard: () => undefined, onEnd: () => undefined });
  to.network.accept(hello, far);
  return near;
}
