/** What every `PeerNetwork` must do, run unchanged over sockets and over memory. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { clusterId } from '../../../src/base/ids.ts';
import type { LinkStatus } from '../../../src/peer/peer-network.ts';
import { allLinked, idOf, isLinked, mesh } from './world.ts';
import type { PeerWorld, StartSpec, TestPeer } from './world.ts';

type WorldFactory = (defaults?: Partial<StartSpec>) => PeerWorld;

export function testPeerNetworkCompliance(label: string, createWorld: WorldFactory): void {
  const story = (
    title: string,
    run: (t: ExecutionContext, world: PeerWorld) => Promise<void>,
    defaults: Partial<StartSpec> = {},
  ): void => {
    test(`${label}: ${title}`, async (t) => {
      const world = createWorld(defaults);
      try {
        await run(t, world);
      } finally {
        await world.close();
      }
    });
  };

  story(
    'request: is answered by the handler there, with the id of the caller',
    async (t, world) => {
      const [a, b] = await linkedPair(world);
      b.network.onRequest('echo', (from, payload) => Promise.resolve({ from, payload }));
      const answer = await world.settle(
        a.network.request(b.id, 'echo', { n: [1, 'é', null] }, 5_000),
      );
      t.deepEqual(answer, { from: a.id, payload: { n: [1, 'é', null] } });
    },
  );

  story('request: works in both directions of one link', async (t, world) => {
    const [a, b] = await linkedPair(world);
    for (const peer of [a, b]) peer.network.onRequest('who', () => Promise.resolve(peer.id));
    t.is(await world.settle(a.network.request(b.id, 'who', null, 5_000)), b.id);
    t.is(await world.settle(b.network.request(a.id, 'who', null, 5_000)), a.id);
  });

  story(
    'request: an error of the handler arrives with code, message and details',
    async (t, world) => {
      const [a, b] = await linkedPair(world);
      b.network.onRequest('fail', () =>
        Promise.reject(new RingloadError('stale_term', 'term 3 is over', { details: { term: 4 } })),
      );
      b.network.onRequest('crash', () => Promise.reject(new TypeError('x is not a function')));
      const stale = await errorOf(world.settle(a.network.request(b.id, 'fail', null, 5_000)));
      t.like(stale, { code: 'stale_term', message: 'term 3 is over', details: { term: 4 } });
      const fault = await errorOf(world.settle(a.network.request(b.id, 'crash', null, 5_000)));
      t.is(fault.code, 'internal');
    },
  );

  story('request: without a handler there fails and leaves the link up', async (t, world) => {
    const [a, b] = await linkedPair(world);
    const error = await errorOf(world.settle(a.network.request(b.id, 'nobody', null, 5_000)));
    t.is(error.code, 'method_not_allowed');
    t.true(isLinked(a, b));
  });

  story('request: ends at its deadline, and the late answer is ignored', async (t, world) => {
    const [a, b] = await linkedPair(world);
    let answer: (value: unknown) => void = () => t.fail('the request did not arrive');
    b.network.onRequest('slow', () => new Promise((resolve) => (answer = resolve)));
    const error = await errorOf(world.settle(a.network.request(b.id, 'slow', null, 50)));
    t.is(error.code, 'deadline_exceeded');
    // On a busy machine it arrives when its deadline is over.
    await world.until('it to arrive', () => b.network.counters.requestsReceived === 1);
    answer('too late');
    await world.until('the late answer', () => a.network.counters.lateResponses === 1);
    t.true(isLinked(a, b));
  });

  story('request: to an unlinked peer is unreachable at once', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const error = await errorOf(a.network.request(idOf('nobody'), 'x', null, 5_000));
    t.is(error.code, 'peer_unreachable');
    t.false(a.network.send(idOf('nobody'), 'x', null));
  });

  story('request: in flight when the link ends is unreachable', async (t, world) => {
    const [a, b] = await linkedPair(world);
    b.network.onRequest('hang', () => new Promise(() => {}));
    const pending = errorOf(a.network.request(b.id, 'hang', null, 60_000));
    await world.until('it to arrive', () => b.network.counters.requestsReceived === 1);
    await b.stop();
    t.is((await world.settle(pending)).code, 'peer_unreachable');
  });

  story('request: to itself is answered with the rules of a link', async (t, world) => {
    const a = await world.start({ name: 'a' });
    a.network.onRequest('echo', (from, payload) => Promise.resolve([from, payload]));
    const sent = { list: [1] };
    const answer = (await a.network.request(a.id, 'echo', sent, 5_000)) as unknown[];
    t.deepEqual(answer, [a.id, sent]);
    t.not(answer[1], sent);
    t.is((await errorOf(a.network.request(a.id, 'nobody', 1, 5_000))).code, 'method_not_allowed');
    t.deepEqual(a.network.links(), []);
  });

  story(
    'request: more than the bound at a time are answered with overloaded',
    async (t, world) => {
      const [a, b] = await linkedPair(world);
      b.network.onRequest('hang', () => new Promise(() => {}));
      for (let i = 0; i < 3; i++) void errorOf(a.network.request(b.id, 'hang', null, 60_000));
      const error = await errorOf(world.settle(a.network.request(b.id, 'hang', null, 60_000)));
      t.is(error.code, 'overloaded');
      t.is(b.network.counters.requestsShed, 1);
    },
    { limits: { inboundRequestsMax: 3 } },
  );

  story(
    'request: more than the bound waiting are overloaded here',
    async (t, world) => {
      const [a, b] = await linkedPair(world);
      b.network.onRequest('hang', () => new Promise(() => {}));
      for (let i = 0; i < 3; i++) void errorOf(a.network.request(b.id, 'hang', null, 60_000));
      t.is((await errorOf(a.network.request(b.id, 'hang', null, 60_000))).code, 'overloaded');
      t.is(a.network.counters.requestsSent, 3);
    },
    { limits: { outboundRequestsMax: 3 } },
  );

  story('request: a payload that is not JSON is refused here', async (t, world) => {
    const [a, b] = await linkedPair(world);
    const poison = JSON.parse('{"__proto__":1}') as unknown;
    for (const payload of [10n, poison]) {
      const error = await errorOf(world.settle(a.network.request(b.id, 'x', payload, 5_000)));
      t.is(error.code, 'invalid_argument');
    }
    t.true(isLinked(a, b));
  });

  story(
    'messages: arrive with the id of the sender; a failing handler hurts nobody',
    async (t, world) => {
      const [a, b] = await linkedPair(world);
      const heard: unknown[] = [];
      b.network.onMessage('note', (from, payload) => heard.push([from, payload]));
      b.network.onMessage('bad', () => {
        throw new Error('handler of a test');
      });
      t.true(a.network.send(b.id, 'bad', 0));
      t.true(a.network.send(b.id, 'nobody', 0));
      t.true(a.network.send(b.id, 'note', { n: 1 }));
      await world.until('the message', () => heard.length === 1);
      t.deepEqual(heard, [[a.id, { n: 1 }]]);
      t.true(isLinked(a, b));
    },
  );

  story('messages: of several megabytes arrive whole, both ways at once', async (t, world) => {
    const [a, b] = await linkedPair(world);
    const text = 'snäpshot '.repeat(700_000);
    b.network.onRequest('big', (_from, payload) => Promise.resolve(payload));
    const [first, second] = await world.settle(
      Promise.all([
        a.network.request(b.id, 'big', text, 20_000),
        a.network.request(b.id, 'big', `${text}!`, 20_000),
      ]),
    );
    t.true(first === text);
    t.true(second === `${text}!`);
  });

  story(
    'messages: over the limit are refused at the sender',
    async (t, world) => {
      const [a, b] = await linkedPair(world);
      const text = 'x'.repeat(300_000);
      t.false(a.network.send(b.id, 'note', text));
      t.is((await errorOf(a.network.request(b.id, 'x', text, 5_000))).code, 'payload_too_large');
      b.network.onRequest('big', () => Promise.resolve(text));
      const error = await errorOf(world.settle(a.network.request(b.id, 'big', 1, 5_000)));
      t.is(error.code, 'payload_too_large');
      t.true(isLinked(a, b));
    },
    { limits: { messageMaxBytes: 262_144 } },
  );

  story(
    'links: both sides dial at once and end with one link, told once',
    async (t, world) => {
      const a = await world.start({ name: 'a' });
      const b = await world.start({ name: 'b' });
      const changes: LinkStatus[] = [];
      a.network.onLinkChange((status) => changes.push(status));
      b.network.onLinkChange((status) => changes.push(status));
      mesh([a, b]);
      await world.until('the link', () => allLinked([a, b]));
      await world.until('pings', () => (a.network.diagnose()[0]?.roundTripMs ?? -1) >= 0);
      t.deepEqual(changes.map((status) => [status.peerId, status.connected]).sort(), [
        [a.id, true],
        [b.id, true],
      ]);
      t.deepEqual(
        [a, b].map((peer) => peer.network.diagnose()[0]?.dialledBySelf),
        [true, false],
      );
    },
    { limits: { dialCourtesyMs: 1 } },
  );

  story('links: one side that knows the other suffices, whichever it is', async (t, world) => {
    const [a, b, c] = await startAll(world, ['a', 'b', 'c']);
    b.network.setPeers([a, c].map(({ id, address }) => ({ id, address })));
    await world.until('the links', () => [a, c].every((p) => isLinked(p, b) && isLinked(b, p)));
    t.deepEqual(
      b.network.links().map((link) => link.generation),
      [1, 1],
    );
  });

  story('links: three peers form a mesh', async (t, world) => {
    const peers = await startAll(world, ['a', 'b', 'c']);
    mesh(peers);
    await world.until('the mesh', () => allLinked(peers));
    t.deepEqual(
      peers.map((peer) => peer.network.links().length),
      [2, 2, 2],
    );
  });

  story('links: to peers no longer wanted are closed', async (t, world) => {
    const [a, b] = await linkedPair(world);
    const changes: boolean[] = [];
    a.network.onLinkChange((status) => changes.push(status.connected));
    a.network.setPeers([]);
    b.network.setPeers([]);
    t.deepEqual(changes, [false]);
    t.deepEqual(a.network.links(), []);
    await world.until('the other side', () => b.network.links().length === 0);
  });

  story('links: an unsubscribed listener hears nothing', async (t, world) => {
    const [a, b] = await startAll(world, ['a', 'b']);
    a.network.onLinkChange(() => t.fail('unsubscribed'))();
    mesh([a, b]);
    await world.until('the link', () => allLinked([a, b]));
    t.pass();
  });

  story('links: a restarted peer is linked again and told as a new one', async (t, world) => {
    const [a, b] = await linkedPair(world);
    const changes: unknown[] = [];
    a.network.onLinkChange(({ connected, generation }) => changes.push([connected, generation]));
    await b.stop();
    await world.until('the end', () => !isLinked(a, b));
    const again = await world.start({ name: 'b', generation: 2, address: b.address });
    await world.until('the link', () => isLinked(a, again));
    t.deepEqual(changes, [
      [false, 1],
      [true, 2],
    ]);
    t.is(a.network.counters.reconnects, 1);
  });

  story('links: lastHeardMs moves on while nothing is said', async (t, world) => {
    const [a, b] = await linkedPair(world, { limits: { pingIntervalMs: 20 } });
    const firstMs = [a, b].map((peer) => peer.network.links()[0]?.lastHeardMs ?? NaN);
    await world.until('pings', () =>
      [a, b].every((peer, i) => (peer.network.links()[0]?.lastHeardMs ?? 0) > (firstMs[i] ?? NaN)),
    );
    t.pass();
  });

  story('refusal: a peer of another cluster', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b', clusterId: clusterId('other-cluster') });
    await expectRefusal(t, world, { caller: b, called: a, reason: 'other_cluster' });
    const error = await errorOf(world.settle(b.network.requestAt(a.address, 'join', 1, 5_000)));
    t.like(error, { code: 'peer_refused', details: { reason: 'other_cluster' } });
  });

  story('refusal: a peer that is not a member, until it is one', async (t, world) => {
    const members = ['a'];
    const a = await world.start({ name: 'a', members });
    const b = await world.start({ name: 'b' });
    await expectRefusal(t, world, { caller: b, called: a, reason: 'not_member' });
    const c = await world.start({ name: 'c', members: ['c', 'b'] });
    b.network.setPeers([c]);
    await world.until('the link', () => isLinked(b, c));
  });

  story('refusal: the own id at another address', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const twin = await world.start({ name: 'a' });
    const error = await errorOf(world.settle(twin.network.requestAt(a.address, 'x', 1, 5_000)));
    t.like(error, { code: 'peer_refused', details: { reason: 'own_id' } });
  });

  story('refusal: another peer than expected at an address', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b' });
    a.network.setPeers([{ id: idOf('c'), address: b.address }]);
    await world.until('the refusal', () => a.network.counters.refusedDials.wrong_target === 1);
    t.deepEqual(
      a.network.links().map((link) => link.connected),
      [false],
    );
    t.deepEqual(b.network.links(), []);
  });

  story('refusal: an earlier start of a connected peer', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b', generation: 5 });
    b.network.setPeers([a]);
    await world.until('the link', () => isLinked(a, b));
    const clone = await world.start({ name: 'b', generation: 4 });
    await expectRefusal(t, world, { caller: clone, called: a, reason: 'stale_generation' });
    t.is(a.network.links()[0]?.generation, 5);
  });

  story('refusal: a clone of the same start while the peer is connected', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b', generation: 5 });
    b.network.setPeers([a]);
    await world.until('the link', () => isLinked(a, b));
    const clone = await world.start({ name: 'b', generation: 5 });
    await expectRefusal(t, world, { caller: clone, called: a, reason: 'duplicate_id' });
    t.true(isLinked(b, a));
  });

  story('links: a later start takes over from a connected earlier one', async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b', generation: 5 });
    b.network.setPeers([a]);
    await world.until('the link', () => isLinked(a, b));
    const later = await world.start({ name: 'b', generation: 6 });
    later.network.setPeers([a]);
    await world.until('the takeover', () => a.network.links()[0]?.generation === 6);
    await world.until('the old one', () => b.network.counters.refusedDials.stale_generation === 1);
    t.true(isLinked(later, a));
  });

  story('joining: a joiner may send what joiners may, and nothing else', async (t, world) => {
    const a = await world.start({ name: 'a', members: ['a'] });
    a.network.onRequest('join', (from) => Promise.resolve(`welcome ${from}`));
    a.network.onRequest('secret', () => Promise.resolve('not for joiners'));
    const joiner = await world.start({ name: 'j', clusterId: null });
    const ask = (type: string) => world.settle(joiner.network.requestAt(a.address, type, 1, 5_000));
    t.is(await ask('join'), `welcome ${joiner.id}`);
    t.is((await errorOf(ask('secret'))).code, 'forbidden');
    t.deepEqual(a.network.links(), []);
  });

  story('joining: a peer without a cluster takes no callers', async (t, world) => {
    const joiner = await world.start({ name: 'j', clusterId: null });
    const a = await world.start({ name: 'a' });
    await expectRefusal(t, world, { caller: a, called: joiner, reason: 'no_cluster_yet' });
  });

  story('joining: a member may ask anything at an address', async (t, world) => {
    const [a, b] = await startAll(world, ['a', 'b']);
    b.network.onRequest('status', () => Promise.resolve('fine'));
    t.is(await world.settle(a.network.requestAt(b.address, 'status', 1, 5_000)), 'fine');
    t.deepEqual(b.network.links(), []);
  });

  story('joining: nobody at the address is unreachable', async (t, world) => {
    const [a, b] = await startAll(world, ['a', 'b']);
    await b.stop();
    const error = await errorOf(world.settle(a.network.requestAt(b.address, 'join', 1, 5_000)));
    t.is(error.code, 'peer_unreachable');
  });

  story(
    'joining: the number of callers at a time is bounded',
    async (t, world) => {
      const [a, b] = await startAll(world, ['a', 'b']);
      let release: (value: unknown) => void = () => undefined;
      b.network.onRequest('hang', () => new Promise((resolve) => (release = resolve)));
      b.network.onRequest('quick', () => Promise.resolve('ok'));
      const first = a.network.requestAt(b.address, 'hang', 1, 15_000);
      await world.until('it to arrive', () => b.network.counters.requestsReceived === 1);
      const error = await errorOf(world.settle(a.network.requestAt(b.address, 'quick', 1, 15_000)));
      t.like(error, { code: 'peer_refused', details: { reason: 'overloaded' } });
      release('done');
      t.is(await world.settle(first), 'done');
      t.is(await retry(world, () => a.network.requestAt(b.address, 'quick', 1, 5_000)), 'ok');
    },
    { limits: { callsMax: 1 } },
  );

  story('close: fails what waits, stops what would come, and can be repeated', async (t, world) => {
    const [a, b] = await linkedPair(world);
    b.network.onRequest('hang', () => new Promise(() => {}));
    const pending = errorOf(a.network.request(b.id, 'hang', null, 60_000));
    const call = errorOf(a.network.requestAt(b.address, 'hang', null, 60_000));
    await world.settle(a.network.close());
    await world.settle(a.network.close());
    t.is((await pending).code, 'peer_unreachable');
    t.is((await call).code, 'peer_unreachable');
    t.is((await errorOf(a.network.request(b.id, 'x', null, 9))).code, 'peer_unreachable');
    t.is((await errorOf(a.network.request(a.id, 'x', null, 9))).code, 'peer_unreachable');
    t.is((await errorOf(a.network.requestAt(b.address, 'x', 1, 9))).code, 'peer_unreachable');
    await world.until('the other side', () => !isLinked(b, a));
  });
}

export async function linkedPair(
  world: PeerWorld,
  spec: Partial<StartSpec> = {},
): Promise<readonly [TestPeer, TestPeer]> {
  const a = await world.start({ name: 'a', ...spec });
  const b = await world.start({ name: 'b', ...spec });
  mesh([a, b]);
  await world.until('the link of a and b', () => allLinked([a, b]));
  return [a, b];
}

export async function errorOf(promise: Promise<unknown>): Promise<RingloadError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RingloadError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

async function startAll<const Names extends readonly string[]>(
  world: PeerWorld,
  names: Names,
): Promise<{ [Index in keyof Names]: TestPeer }> {
  const peers: TestPeer[] = [];
  for (const name of names) peers.push(await world.start({ name }));
  return peers as { [Index in keyof Names]: TestPeer };
}

async function expectRefusal(
  t: ExecutionContext,
  world: PeerWorld,
  story: {
    caller: TestPeer;
    called: TestPeer;
    reason: keyof TestPeer['network']['counters']['refusedDials'];
  },
): Promise<void> {
  const { caller, called, reason } = story;
  caller.network.setPeers([called]);
  await world.until(`refusal ${reason}`, () => caller.network.counters.refusedDials[reason] === 1);
  t.is(called.network.counters.refusedCallers[reason], 1);
  const error = await errorOf(caller.network.request(called.id, 'x', null, 5_000));
  t.like(error, { code: 'peer_unreachable', details: { peerId: called.id, reason } });
  t.false(isLinked(caller, called));
}

async function retry(world: PeerWorld, ask: () => Promise<unknown>): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await world.settle(ask());
    } catch (error) {
      if (attempt === 20) throw error;
    }
  }
}
