import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { WebSocket } from 'ws';
import { MIB } from '../../src/base/units.ts';
import { errorOf, linkedPair } from './support/peer-network-compliance.ts';
import { openRawLink } from './support/raw-peer.ts';
import { TcpProxy } from './support/tcp-proxy.ts';
import { allLinked, idOf, isLinked, mesh, SocketWorld, waitFor } from './support/world.ts';
import type { StartSpec } from './support/world.ts';

function story(
  title: string,
  run: (t: ExecutionContext, world: SocketWorld) => Promise<void>,
  defaults: Partial<StartSpec> = {},
): void {
  // Serial: some keep the process busy for longer than others can afford to be silent.
  test.serial(`sockets: ${title}`, async (t) => {
    const world = new SocketWorld(defaults);
    try {
      await run(t, world);
    } finally {
      await world.close();
    }
  });
}

function closeCodeOf(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once('close', resolve));
}

const BAD: readonly [string, string | Buffer, number][] = [
  ['text that is no JSON', 'hello', 1008],
  ['truncated JSON', '{"kind":"message","type":"no', 1008],
  ['an unknown kind', '{"kind":"sudo"}', 1008],
  ['a wrong type of field', '{"kind":"request","id":"1","type":"x"}', 1008],
  ['deep nesting', '['.repeat(100_000), 1008],
  ['a __proto__ key', '{"kind":"message","type":"x","payload":{"__proto__":{}}}', 1008],
  ['a binary frame too short for a part', Buffer.from([1, 2, 3]), 1008],
  ['a part of garbage', Buffer.from([0, 0, 0, 1, 1, 123, 9, 9]), 1008],
  ['a frame of 9 MB', Buffer.alloc(9 * MIB), 1009],
];

for (const [title, data, code] of BAD) {
  story(`${title} closes that link and no other`, async (t, world) => {
    const [a, b] = await linkedPair(world);
    const hostile = await openRawLink(a.address, 'x');
    await world.until('its link', () => a.network.links().length === 2);
    const closed = closeCodeOf(hostile);
    hostile.send(data);
    t.is(await closed, code);
    await world.until('the end here', () => a.network.links().length === 1);
    t.is(a.network.counters.badFrames, 1);
    a.network.onRequest('ok', () => Promise.resolve('fine'));
    t.is(await b.network.request(a.id, 'ok', 1, 5_000), 'fine');
  });
}

story('parts beyond the largest message close the link', async (t, world) => {
  const a = await world.start({ name: 'a', limits: { messageMaxBytes: MIB } });
  const hostile = await openRawLink(a.address, 'x');
  const closed = closeCodeOf(hostile);
  const part = Buffer.alloc(256 * 1024);
  part.writeUInt32BE(1);
  for (let i = 0; i < 5; i++) hostile.send(part);
  t.is(await closed, 1008);
});

story('a transient caller that sends messages is cut off', async (t, world) => {
  const a = await world.start({ name: 'a' });
  a.network.onMessage('note', () => t.fail('heard'));
  const b = await world.start({ name: 'b' });
  b.network.setPeers([a]);
  await world.until('the link', () => isLinked(b, a));
  const hostile = await openRawLink(a.address, 'x');
  const closed = closeCodeOf(hostile);
  hostile.send('{"kind":"request","id":1,"type":"a"}');
  hostile.send('{"kind":"request","id":1,"type":"b"}');
  hostile.send('{"kind":"nothing"}');
  t.is(await closed, 1008);
});

story('a repeated request id is not handled twice while the first is open', async (t, world) => {
  const a = await world.start({ name: 'a' });
  let calls = 0;
  a.network.onRequest('count', () => {
    calls++;
    return new Promise(() => {});
  });
  const raw = await openRawLink(a.address, 'x');
  for (let i = 0; i < 3; i++) raw.send('{"kind":"request","id":7,"type":"count"}');
  await world.until('the repeats', () => a.network.counters.duplicateRequests === 2);
  t.is(calls, 1);
  raw.terminate();
});

story(
  'a reader that stops reading fills a bounded buffer, and only its own',
  async (t, world) => {
    const [a, b] = await linkedPair(world);
    const slow = await openRawLink(a.address, 'x');
    await world.until('its link', () => a.network.links().length === 2);
    slow.pause();
    const text = 'x'.repeat(64 * 1024);
    let sentBytes = 0;
    while (a.network.send(idOf('x'), 'note', text)) {
      sentBytes += text.length;
      t.assert(sentBytes < 64 * MIB, 'unbounded');
      if (sentBytes % (8 * text.length) === 0) await new Promise(setImmediate);
    }
    t.is((await errorOf(a.network.request(idOf('x'), 'ask', text, 5_000))).code, 'overloaded');
    t.true(a.network.counters.sendsDropped >= 2);
    b.network.onRequest('ok', () => Promise.resolve('fine'));
    t.is(await a.network.request(b.id, 'ok', 1, 5_000), 'fine');
    await world.until('the silent one to be dropped', () => a.network.links().length === 1);
    slow.terminate();
  },
  { limits: { sendBufferMaxBytes: MIB, pingIntervalMs: 100, deadAfterMs: 1_000 } },
);

story(
  'a caller that does not take its answers is cut off',
  async (t, world) => {
    const a = await world.start({ name: 'a' });
    const text = 'x'.repeat(64 * 1024);
    a.network.onRequest('fat', () => Promise.resolve(text));
    const greedy = await openRawLink(a.address, 'x');
    greedy.pause();
    let id = 0;
    const timer = setInterval(() => {
      for (let i = 0; i < 20; i++) {
        greedy.send(JSON.stringify({ kind: 'request', id: ++id, type: 'fat' }), () => undefined);
      }
    }, 1);
    await world.until('the end', () => a.network.links().length === 0);
    clearInterval(timer);
    t.is(a.network.counters.silentLinks, 0);
    greedy.terminate();
  },
  { limits: { sendBufferMaxBytes: MIB } },
);

story(
  'a half-open link is found by its silence, on both sides, and replaced after',
  async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b' });
    const proxy = await TcpProxy.to(b.address);
    a.network.setPeers([{ id: b.id, address: proxy.address }]);
    await world.until('the link', () => isLinked(a, b) && isLinked(b, a));
    b.network.onRequest('hang', () => new Promise(() => {}));
    const pending = errorOf(a.network.request(b.id, 'hang', 1, 60_000));
    proxy.freeze();
    t.like(await pending, { code: 'peer_unreachable', details: { reason: 'silent' } });
    await world.until('the other side', () => !isLinked(b, a));
    t.deepEqual([a.network.counters.silentLinks, b.network.counters.silentLinks], [1, 1]);
    proxy.thaw();
    await world.until('a new link', () => isLinked(a, b) && isLinked(b, a));
    await proxy.close();
  },
  { limits: { pingIntervalMs: 50, deadAfterMs: 300, dialTimeoutMs: 300 } },
);

story(
  'a link that is only quiet stays up',
  async (t, world) => {
    const [a, b] = await linkedPair(world);
    const heard = () => a.network.links()[0]?.lastHeardMs ?? 0;
    const startMs = heard();
    await world.until('five times the deadline', () => heard() - startMs > 1_500);
    t.deepEqual([a.network.counters.linksOpened, b.network.counters.linksOpened], [1, 1]);
  },
  { limits: { pingIntervalMs: 50, deadAfterMs: 300 } },
);

story('ten thousand requests at once are all answered', async (t, world) => {
  const [a, b] = await linkedPair(world);
  b.network.onRequest('twice', (_from, payload) => Promise.resolve((payload as number) * 2));
  const answers = await Promise.all(
    Array.from({ length: 10_000 }, (_, n) => a.network.request(b.id, 'twice', n, 30_000)),
  );
  t.true(answers.every((answer, n) => answer === n * 2));
  t.is(b.network.counters.requestsShed, 0);
});

story('small frames pass a long message that is on its way', async (t, world) => {
  const [a, b] = await linkedPair(world);
  const order: string[] = [];
  b.network.onMessage('snapshot', () => order.push('snapshot'));
  b.network.onMessage('heartbeat', () => order.push('heartbeat'));
  t.true(a.network.send(b.id, 'snapshot', 'x'.repeat(24 * MIB)));
  t.true(a.network.send(b.id, 'heartbeat', 1));
  await world.until('both', () => order.length === 2);
  t.deepEqual(order, ['heartbeat', 'snapshot']);
});

story('a peer killed and restarted over and over is always linked again', async (t, world) => {
  const a = await world.start({ name: 'a' });
  let b = await world.start({ name: 'b' });
  const addresses = [a, b].map(({ id, address }) => ({ id, address }));
  a.network.setPeers(addresses);
  b.network.setPeers(addresses);
  for (let generation = 2; generation <= 6; generation++) {
    await world.until('the link', () => allLinked([a, b]));
    await b.stop();
    b = await world.start({ name: 'b', generation, address: b.address });
    b.network.setPeers(addresses);
  }
  await world.until('the last link', () => allLinked([a, b]));
  t.is(a.network.links()[0]?.generation, 6);
});

story(
  'both sides dialling at the same moment lose no request',
  async (t, world) => {
    for (let round = 1; round <= 10; round++) {
      const peers = [
        await world.start({ name: `a${round}` }),
        await world.start({ name: `b${round}` }),
        await world.start({ name: `c${round}` }),
      ];
      for (const peer of peers) peer.network.onRequest('id', () => Promise.resolve(peer.id));
      const failures: string[] = [];
      const asked: Promise<void>[] = [];
      for (const peer of peers) {
        peer.network.onLinkChange(({ peerId, connected }) => {
          if (!connected) failures.push(`link to ${peerId} closed`);
          for (let i = 0; i < 50; i++) {
            const note = (answer: unknown): void => {
              if (answer !== peerId) failures.push(String(answer));
            };
            asked.push(peer.network.request(peerId, 'id', i, 10_000).then(note, note));
          }
        });
      }
      mesh(peers);
      await waitFor('all links', () => allLinked(peers));
      await Promise.all(asked);
      t.deepEqual(failures, []);
      t.true(asked.length >= 6 * 50);
      await Promise.all(peers.map((peer) => peer.stop()));
    }
  },
  { limits: { dialCourtesyMs: 1 } },
);

story(
  'a stall of this process is not blamed on the others',
  async (t, world) => {
    const [a, b] = await linkedPair(world);
    const untilMs = performance.now() + 700;
    while (performance.now() < untilMs);
    const heardMs = a.network.links()[0]?.lastHeardMs ?? 0;
    await world.until('a sign of life', () => (a.network.links()[0]?.lastHeardMs ?? 0) > heardMs);
    t.deepEqual([a.network.counters.silentLinks, b.network.counters.silentLinks], [0, 0]);
  },
  { limits: { pingIntervalMs: 50, deadAfterMs: 300 } },
);
