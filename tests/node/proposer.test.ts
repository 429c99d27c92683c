import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import type { PeerId } from '../../src/base/ids.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { Proposer } from '../../src/node/proposer.ts';
import { MemoryWorld, mesh } from '../peer/support/world.ts';
import { errorOf, FakeConsensus, idOf } from './support/fakes.ts';

const COMMAND: Command = { kind: 'member.drain', id: idOf('x'), atMs: 1 };

async function pair() {
  const world = new MemoryWorld();
  const peers = [await world.start({ name: 'a' }), await world.start({ name: 'b' })];
  const leader: { id: PeerId | undefined } = { id: idOf('b') };
  const [a, b] = peers.map(({ id, network }) => {
    const consensus = new FakeConsensus();
    const { clock } = world;
    const options = { consensus, network, clock, leader: () => leader.id, self: id };
    return { consensus, proposer: new Proposer(options) };
  });
  if (!a || !b) throw new Error('two peers');
  mesh(peers);
  await world.until('the link', () =>
    peers.every(({ network }) => network.links().some(({ connected }) => connected)),
  );
  return { world, a, b, leader };
}

test('commit: on the leader it is proposed here, elsewhere at the leader', async (t) => {
  const { world, a, b, leader } = await pair();
  b.consensus.onPropose = () => Promise.resolve({ ok: true, value: 'from b' });
  t.is(await world.settle(a.proposer.commit(COMMAND, 5000)), 'from b');
  t.deepEqual(
    b.consensus.proposed.map((text) => JSON.parse(text) as unknown),
    [COMMAND],
  );
  t.deepEqual(a.consensus.proposed, []);
  leader.id = idOf('a');
  a.consensus.onPropose = () => Promise.resolve({ ok: true, value: 'from a' });
  t.is(await world.settle(a.proposer.commit(COMMAND, 5000)), 'from a');
  await world.close();
});

test('commit: what applying refused is told once, and not tried again', async (t) => {
  const { world, a, b } = await pair();
  const error = { code: 'conflict', message: 'it runs', details: { job: 'j' } } as const;
  b.consensus.onPropose = () => Promise.resolve({ ok: false, error });
  t.like(await errorOf(world.settle(a.proposer.commit(COMMAND, 5000))), error);
  t.is(b.consensus.proposed.length, 1);
  await world.close();
});

for (const code of ['not_leader', 'no_leader', 'deadline_exceeded', 'peer_unreachable'] as const) {
  test(`commit: is tried again after ${code}`, async (t) => {
    const { world, a, b } = await pair();
    let failures = 3;
    b.consensus.onPropose = () =>
      failures-- > 0
        ? Promise.reject(new RingloadError(code, 'not now'))
        : Promise.resolve({ ok: true, value: 'done' });
    t.is(await world.settle(a.proposer.commit(COMMAND, 5000)), 'done');
    t.is(b.consensus.proposed.length, 4);
    await world.close();
  });
}

for (const code of ['overloaded', 'internal', 'payload_too_large'] as const) {
  test(`commit: ${code} is the caller’s to deal with`, async (t) => {
    const { world, a, b } = await pair();
    b.consensus.onPropose = () => Promise.reject(new RingloadError(code, 'no'));
    t.is((await errorOf(world.settle(a.proposer.commit(COMMAND, 5000)))).code, code);
    t.is(b.consensus.proposed.length, 1);
    await world.close();
  });
}

test('commit: goes to the next leader while the first does not answer', async (t) => {
  const { world, a, b, leader } = await pair();
  b.consensus.onPropose = () => new Promise(() => undefined);
  a.consensus.onPropose = () => Promise.resolve({ ok: true, value: 'from a' });
  const done = a.proposer.commit(COMMAND, 10_000);
  await world.until('the first attempt', () => b.consensus.proposed.length === 1);
  leader.id = idOf('a');
  t.is(await world.settle(done), 'from a');
  t.true(world.clock.nowMs() < 5000);
  await world.close();
});

test('commit: waits for a leader, and gives up at the deadline with no_leader', async (t) => {
  const { world, a, leader } = await pair();
  leader.id = undefined;
  const startMs = world.clock.nowMs();
  const error = await errorOf(world.settle(a.proposer.commit(COMMAND, 2000)));
  t.is(error.code, 'no_leader');
  const tookMs = world.clock.nowMs() - startMs;
  t.true(tookMs <= 2000 && tookMs > 1700, `${tookMs} ms`);
  await world.close();
});

test('commit: a timer that fires late leaves the error as it is', async (t) => {
  const { world, a, leader } = await pair();
  leader.id = undefined;
  const failed = errorOf(a.proposer.commit(COMMAND, 250));
  world.clock.advance(0);
  await new Promise(setImmediate);
  leader.id = idOf('b');
  world.hub.partition(['a:1'], ['b:2']);
  // The process was stopped: the next attempt begins after its deadline.
  world.clock.advance(60_000);
  t.is((await world.settle(failed)).code, 'no_leader');
  await world.close();
});

test('commit as leader: never leaves this peer', async (t) => {
  const { world, a, b } = await pair();
  a.consensus.onPropose = () => Promise.reject(new RingloadError('not_leader', 'deposed'));
  t.is((await errorOf(world.settle(a.proposer.commitAsLeader(COMMAND)))).code, 'not_leader');
  t.deepEqual([a.consensus.proposed.length, b.consensus.proposed.length], [1, 0]);
  await world.close();
});
