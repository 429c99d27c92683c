import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { WebSocketServer } from 'ws';
import { askHeaders, readChallenge } from '../../src/peer/handshake.ts';
import { diallerProof, importSecrets } from '../../src/peer/proof.ts';
import type { RefusalReason } from '../../src/peer/refusal.ts';
import { errorOf, linkedPair } from './support/peer-network-compliance.ts';
import { askUpgrade, helloOf, openRawLink } from './support/raw-peer.ts';
import { TcpProxy } from './support/tcp-proxy.ts';
import { allLinked, idOf, isLinked, mesh, SECRET, SocketWorld } from './support/world.ts';
import type { StartSpec } from './support/world.ts';

const NEW_SECRET = 'the next secret of the cluster';

function story(
  title: string,
  run: (t: ExecutionContext, world: SocketWorld) => Promise<void>,
  defaults: Partial<StartSpec> = {},
): void {
  test(`handshake: ${title}`, async (t) => {
    const world = new SocketWorld(defaults);
    try {
      await run(t, world);
    } finally {
      await world.close();
    }
  });
}

async function expectSecretRefusal(
  t: ExecutionContext,
  world: SocketWorld,
  secrets: { caller: readonly string[]; called: readonly string[]; reason: RefusalReason },
): Promise<void> {
  const a = await world.start({ name: 'a', secrets: secrets.called });
  const b = await world.start({ name: 'b', secrets: secrets.caller });
  b.network.setPeers([a]);
  await world.until('refusal', () => b.network.counters.refusedDials[secrets.reason] === 1);
  t.false(isLinked(b, a));
  await world.until('no link there', () => !isLinked(a, b));
  const error = await errorOf(b.network.requestAt(a.address, 'join', 1, 5_000));
  t.like(error, { code: 'peer_refused', details: { reason: secrets.reason } });
}

story('a wrong secret is refused', (t, world) =>
  expectSecretRefusal(t, world, {
    caller: [NEW_SECRET],
    called: [SECRET],
    reason: 'wrong_secret',
  }),
);

story('a caller without a secret is refused where one is needed', (t, world) =>
  expectSecretRefusal(t, world, { caller: [], called: [SECRET], reason: 'secret_required' }),
);

story('a caller with a secret does not trust a peer that asks for none', (t, world) =>
  expectSecretRefusal(t, world, { caller: [SECRET], called: [], reason: 'wrong_secret' }),
);

story('while the secret changes, old and new peers link in every mixture', async (t, world) => {
  const peers = [
    await world.start({ name: 'a', secrets: [SECRET] }),
    await world.start({ name: 'b', secrets: [SECRET, NEW_SECRET] }),
    await world.start({ name: 'c', secrets: [NEW_SECRET, SECRET] }),
  ];
  mesh(peers);
  await world.until('the mesh', () => allLinked(peers));
  const last = await world.start({ name: 'd', secrets: [NEW_SECRET] });
  last.network.setPeers(peers);
  await world.until(
    'the new ones',
    () => last.network.links().filter((link) => link.connected).length === 2,
  );
  t.deepEqual(
    last.network.links().map((link) => link.connected),
    [false, true, true],
  );
});

story(
  'a joiner with the secret is let in without knowing the cluster',
  async (t, world) => {
    const a = await world.start({ name: 'a', members: ['a'] });
    a.network.onRequest('join', (from) => Promise.resolve(from));
    const joiner = await world.start({ name: 'j', clusterId: null });
    t.is(await joiner.network.requestAt(a.address, 'join', 1, 5_000), joiner.id);
  },
  { secrets: [SECRET] },
);

story(
  'nothing is upgraded before the caller has proved itself, and no proof is good twice',
  async (t, world) => {
    const a = await world.start({ name: 'a' });
    const hello = helloOf('b', { targetId: a.id });
    const first = await askUpgrade(a.address, askHeaders({ hello, nonce: 'n', answer: undefined }));
    t.is(first.status, 401);
    const challenged = readChallenge(first.headers);
    if (!challenged) throw new Error('no challenge');
    const [secret] = importSecrets([SECRET]);
    if (!secret) throw new Error('no secret');
    const proofs = [diallerProof(secret, { hello, nonce: 'n', ...challenged })];
    const answer = { challenge: challenged.challenge, proofs };
    const headers = askHeaders({ hello, nonce: 'n', answer });
    // Another nonce, another purpose, another generation: the proof is for none of them.
    for (const stolen of [
      askHeaders({ hello, nonce: 'm', answer }),
      askHeaders({ hello: { ...hello, purpose: 'call' }, nonce: 'n', answer }),
      askHeaders({ hello: { ...hello, generation: 9 }, nonce: 'n', answer }),
    ]) {
      const refused = await askUpgrade(a.address, stolen);
      t.is(refused.headers['x-ringload-refused'], 'wrong_secret');
    }
    t.is((await askUpgrade(a.address, headers)).status, 101);
    const replayed = await askUpgrade(a.address, headers);
    t.is(replayed.status, 403);
    t.is(replayed.headers['x-ringload-refused'], 'replayed');
    const restarted = await world.start({ name: 'a', generation: 2 });
    const yesterday = await askUpgrade(restarted.address, headers);
    t.is(yesterday.headers['x-ringload-refused'], 'challenge_expired');
  },
  { secrets: [SECRET] },
);

story(
  'a recorded connection played again gains nothing',
  async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b' });
    const proxy = await TcpProxy.to(a.address);
    let heard = 0;
    a.network.onMessage('note', () => heard++);
    b.network.setPeers([{ id: a.id, address: proxy.address }]);
    await world.until('the link', () => isLinked(b, a) && isLinked(a, b));
    b.network.send(a.id, 'note', 1);
    await world.until('the message', () => heard === 1);
    for (const recording of proxy.recordings) {
      const reply = await playBack(a.address, recording);
      t.false(reply.startsWith('HTTP/1.1 101'), reply.slice(0, 40));
    }
    t.is(a.network.counters.refusedCallers.replayed, 1);
    t.is(heard, 1);
    t.true(isLinked(b, a));
    await proxy.close();
  },
  { secrets: [SECRET] },
);

story(
  'what is altered on the way ends the link, and is not heard',
  async (t, world) => {
    const a = await world.start({ name: 'a' });
    const b = await world.start({ name: 'b' });
    const proxy = await TcpProxy.to(a.address);
    let heard = 0;
    a.network.onMessage('note', () => heard++);
    b.network.setPeers([{ id: a.id, address: proxy.address }]);
    await world.until('the link', () => isLinked(b, a) && isLinked(a, b));
    proxy.alter = (chunk) => {
      const altered = Buffer.from(chunk);
      const last = altered.length - 1;
      altered.writeUInt8(altered.readUInt8(last) ^ 1, last);
      return altered;
    };
    b.network.send(a.id, 'note', 1);
    await world.until('the end', () => a.network.counters.badFrames === 1);
    t.is(heard, 0);
    proxy.alter = (chunk) => chunk;
    await world.until('a new link', () => isLinked(b, a) && isLinked(a, b));
    await proxy.close();
  },
  { secrets: [SECRET] },
);

story('browsers, other majors and malformed callers are refused', async (t, world) => {
  const a = await world.start({ name: 'a' });
  const headers = askHeaders({ hello: helloOf('b'), nonce: 'n', answer: undefined });
  const cases: [Readonly<Record<string, string>>, number, RefusalReason][] = [
    [{ ...headers, origin: 'http://127.0.0.1' }, 403, 'browser_origin'],
    [{ ...headers, origin: 'null' }, 403, 'browser_origin'],
    [{ ...headers, 'sec-websocket-protocol': 'ringload.v2' }, 426, 'protocol_version'],
    [{ ...headers, 'sec-websocket-protocol': 'xringload.v1' }, 426, 'protocol_version'],
    [{ ...headers, 'x-ringload-peer': 'not a name' }, 400, 'malformed_handshake'],
    [{}, 400, 'malformed_handshake'],
  ];
  for (const [asked, status, reason] of cases) {
    const answer = await askUpgrade(a.address, asked);
    t.is(answer.status, status);
    t.is(answer.headers['x-ringload-refused'], reason);
  }
  t.is((await askUpgrade(a.address, headers)).status, 101);
  t.is((await askUpgrade(a.address, headers, '/v1/peer?x=1')).status, 101);
  t.is((await askUpgrade(a.address, headers, '/v1/peers')).status, 404);
});

story('a peer of another protocol major is reported as such', async (t, world) => {
  const foreign = createHttpServer();
  const sockets = new WebSocketServer({ server: foreign, handleProtocols: () => false });
  await listen(foreign);
  const a = await world.start({ name: 'a' });
  const error = await errorOf(a.network.requestAt(addressOf(foreign), 'join', 1, 5_000));
  t.like(error, { code: 'peer_refused' });
  for (const socket of sockets.clients) socket.terminate();
  await close(foreign);
});

story('a foreign service at the address is told apart from a dead one', async (t, world) => {
  const web = createHttpServer((_request, response) => response.end('hello'));
  const ssh = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.resume();
    socket.end('SSH-2.0-OpenSSH_9.2\r\n');
  });
  const mute = createServer((socket) => socket.on('error', () => undefined).resume());
  await Promise.all([web, ssh, mute].map(listen));
  const a = await world.start({ name: 'a' });
  const ask = (address: string) => errorOf(a.network.requestAt(address, 'join', 1, 15_000));
  for (const server of [web, ssh]) {
    const error = await ask(addressOf(server));
    t.like(error, { code: 'peer_refused', details: { reason: 'not_a_peer' } });
  }
  const hasty = await world.start({ name: 'b', limits: { dialTimeoutMs: 50 } });
  const error = await errorOf(hasty.network.requestAt(addressOf(mute), 'join', 1, 15_000));
  t.like(error, { code: 'peer_unreachable' });
  t.like(await ask('no-such-host.invalid:1'), { code: 'peer_unreachable' });
  t.like(await ask('not an address'), { code: 'peer_unreachable' });
  await Promise.all([web, ssh, mute].map(close));
});

story(
  'two thousand strangers cost no socket and no memory of them',
  async (t, world) => {
    const [a, b] = await linkedPair(world);
    const headers = askHeaders({ hello: helloOf('x'), nonce: 'n', answer: undefined });
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => askUpgrade(a.address, headers)),
      );
      t.true(answers.every((answer) => answer.status === 401));
    }
    t.true(isLinked(a, b));
    t.is(a.network.links().length, 1);
  },
  { secrets: [SECRET] },
);

story('without a secret anybody in the cluster id is believed, as documented', async (t, world) => {
  const a = await world.start({ name: 'a' });
  const socket = await openRawLink(a.address, 'x');
  t.deepEqual(
    a.network.links().map((link) => link.peerId),
    [idOf('x')],
  );
  socket.terminate();
});

function playBack(address: string, recording: readonly Buffer[]): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host);
    let reply = '';
    socket.on('data', (chunk) => (reply += chunk.toString('latin1')));
    socket.on('error', reject);
    socket.on('close', () => resolve(reply));
    for (const chunk of recording) socket.write(chunk);
  });
}

function addressOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
