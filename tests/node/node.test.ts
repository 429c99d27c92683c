/** Whole nodes: how they come up, work together, come back, and leave nothing open. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { writeIdentity, type Identity } from '../../src/node/identity.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { tempFolder, type TempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { errorOf } from './support/fakes.ts';
import { ready, startNode, type TestNode } from './support/test-node.ts';

const DEADLINE_MS = 30_000;

async function putFiles(folder: TempFolder, count: number): Promise<string> {
  const mount = join(folder.path, 'ufs');
  await mkdir(join(mount, 'set'), { recursive: true });
  for (let number = 0; number < count; number += 1) {
    await writeFile(join(mount, 'set', `f${number}`), bytesOf(number));
  }
  return mount;
}

const bytesOf = (number: number): Buffer => Buffer.alloc(100_000 + number, `file ${number} `);

function startIn(folder: TempFolder, name: string, members: readonly TestNode[] = []) {
  return startNode({
    dataDir: join(folder.path, name),
    mount: join(folder.path, 'ufs'),
    join: members.map(({ node }) => node.restAddress),
  });
}

async function load({ api }: TestNode, path: string, replicas: number): Promise<void> {
  const { jobId } = await api.submit({ path, replicas, segmentSize: 65_536 });
  await waitFor(async () => (await api.job(jobId)).state === 'SUCCEEDED', {
    what: 'the load to succeed',
    deadlineMs: DEADLINE_MS,
  });
}

async function identityIn(folder: TempFolder, name: string): Promise<Identity> {
  const text = await readFile(join(folder.path, name, 'identity.json'), 'utf8');
  const { checksum: _, ...identity } = JSON.parse(text) as Identity & { checksum: string };
  return identity;
}

test('nodes: found, join, load, read through one another, come back', async (t) => {
  t.timeout(120_000);
  await using folder = await tempFolder('nodes');
  const mount = await putFiles(folder, 6);
  await using a = await startIn(folder, 'a');
  await ready(a);
  await using b = await startIn(folder, 'b', [a]);
  const c = await startIn(folder, 'c', [a, b]);
  try {
    await Promise.all([ready(b), ready(c)]);
    t.is(new Set([a, b, c].map(({ node }) => node.clusterId)).size, 1);
    await load(c, `file://${mount}/set`, 2);
    for (let number = 0; number < 6; number += 1) {
      const reader = [a, b, c][number % 3] ?? a;
      const body = await reader.api.readFile(`file://${mount}/set/f${number}`);
      t.true(body.equals(bytesOf(number)));
    }
    await rm(join(mount, 'set'), { recursive: true });
    for (let number = 0; number < 6; number += 1) {
      const reader = [b, c, a][number % 3] ?? a;
      const body = await reader.api.readFile(`file://${mount}/set/f${number}`);
      t.true(body.equals(bytesOf(number)), 'from the caches alone');
    }
  } finally {
    await c[Symbol.asyncDispose]();
  }

  const before = await identityIn(folder, 'c');
  t.is(before.membership?.isEntering, undefined);
  // On other ports, without being told of any member: its own log knows them.
  await using again = await startIn(folder, 'c');
  await ready(again);
  const after = await identityIn(folder, 'c');
  t.deepEqual(after, { ...before, generation: before.generation + 1 });
  t.is(again.node.peerId, c.node.peerId);
  await waitFor(
    async () => {
      const { members } = await a.api.cluster();
      const own = members.find(({ id }) => id === again.node.peerId);
      return own?.address === again.node.restAddress && own.state === 'up';
    },
    { what: 'the others to know its new address', deadlineMs: DEADLINE_MS },
  );
  const body = await again.api.readFile(`file://${mount}/set/f3`);
  t.true(body.equals(bytesOf(3)));
});

test('node: a directory that is in use is refused, and nothing in it is touched', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  await using node = await startIn(folder, 'a');
  await ready(node);
  const identity = await identityIn(folder, 'a');
  t.is((await errorOf(startIn(folder, 'a'))).code, 'data_dir_locked');
  t.deepEqual(await identityIn(folder, 'a'), identity);
  t.true(await node.api.ready());
});

test('node: a member of one cluster is not taken into another', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  const first = await startIn(folder, 'a');
  await ready(first);
  await first[Symbol.asyncDispose]();
  await using other = await startIn(folder, 'b');
  await ready(other);
  t.is((await errorOf(startIn(folder, 'a', [other]))).code, 'data_dir_foreign');
  await using again = await startIn(folder, 'a');
  t.true(await ready(again), 'what was opened was closed again');
});

test('node: a port that is taken is named, and the directory is free again', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  await using node = await startIn(folder, 'a');
  const port = node.node.restAddress.split(':')[1] ?? '';
  const start = (restPort: string) =>
    startNode({
      dataDir: join(folder.path, 'b'),
      mount: join(folder.path, 'ufs'),
      env: { RINGLOAD_PEER_REST_PORT: restPort },
    });
  const error = await errorOf(start(port));
  t.is(error.code, 'address_in_use');
  t.true(error.message.includes(port));
  await using free = await start('0');
  t.true(await ready(free));
});

test('node: waiting to join ends when it is told to', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  const giveUp = new AbortController();
  const starting = startNode({
    dataDir: join(folder.path, 'a'),
    mount: join(folder.path, 'ufs'),
    join: ['127.0.0.1:1'],
    giveUp: giveUp.signal,
  });
  const failed = errorOf(starting);
  giveUp.abort(new RingloadError('cancelled', 'told to stop'));
  t.is((await failed).message, 'told to stop');
  t.is((await identityIn(folder, 'a')).membership, undefined);
});

test('node: a founder that ended before its log was begun founds the same cluster', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  const first = await startIn(folder, 'a');
  await first[Symbol.asyncDispose]();
  await asIfEntering(folder, 'a');
  await using again = await startIn(folder, 'a');
  t.true(await ready(again));
  t.is(again.node.clusterId, first.node.clusterId);
});

test('node: a joiner that ended before it heard of any member is found by them', async (t) => {
  t.timeout(90_000);
  await using folder = await tempFolder('nodes');
  const a = await startIn(folder, 'a');
  await ready(a);
  const b = await startIn(folder, 'b', [a]);
  await ready(b);
  await b[Symbol.asyncDispose]();
  // Another start of the leader: this one has not seen the log that its learner is about to lose.
  await a[Symbol.asyncDispose]();
  await asIfEntering(folder, 'b');
  const port = b.node.restAddress.split(':')[1] ?? '';
  await using leader = await startIn(folder, 'a');
  await ready(leader);
  await using again = await startNode({
    dataDir: join(folder.path, 'b'),
    mount: join(folder.path, 'ufs'),
    env: { RINGLOAD_PEER_REST_PORT: port },
  });
  t.true(await ready(again));
});

test('node: a raft log that is gone is damage, not a new member', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  const first = await startIn(folder, 'a');
  await ready(first);
  await first[Symbol.asyncDispose]();
  await rm(join(folder.path, 'a', 'raft'), { recursive: true });
  const error = await errorOf(startIn(folder, 'a'));
  t.true(error.message.includes('raft log'), error.message);
});

/** As a crash leaves it between the moment a peer knows its place and its first log entry. */
async function asIfEntering(folder: TempFolder, name: string): Promise<void> {
  const { peerId, generation, membership } = await identityIn(folder, name);
  if (!membership) throw new Error(`peer ${name} belongs to a cluster`);
  await writeIdentity(join(folder.path, name), {
    peerId,
    generation,
    membership: { ...membership, isEntering: true },
  });
  await rm(join(folder.path, name, 'raft'), { recursive: true });
}
