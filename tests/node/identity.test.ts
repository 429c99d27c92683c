import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { clusterId, raftId } from '../../src/base/ids.ts';
import { startIdentity, writeIdentity } from '../../src/node/identity.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { errorOf } from './support/fakes.ts';

const CLUSTER = clusterId('c0000000-0000-4000-8000-000000000001');
const PEER = '4d3c2b1a-0000-4000-8000-000000000002';

test('identity: the first start makes an id, every later one only a generation', async (t) => {
  await using folder = await tempFolder('identity');
  const dataDir = join(folder.path, 'new', 'deep');
  const first = await startIdentity(dataDir);
  t.is(first.generation, 1);
  t.is(first.membership, undefined);
  const second = await startIdentity(dataDir);
  t.deepEqual(second, { ...first, generation: 2 });
  t.deepEqual(await startIdentity(dataDir), { ...first, generation: 3 });
});

test('identity: membership survives restarts, with what it still has to begin', async (t) => {
  await using folder = await tempFolder('identity');
  const identity = await startIdentity(folder.path);
  const membership = { clusterId: CLUSTER, raftId: raftId(7) };
  await writeIdentity(folder.path, {
    ...identity,
    membership: { ...membership, isEntering: true },
  });
  t.deepEqual((await startIdentity(folder.path)).membership, { ...membership, isEntering: true });
  await writeIdentity(folder.path, { ...identity, membership });
  t.deepEqual((await startIdentity(folder.path)).membership, membership);
});

test('identity: the file and a new directory are nobody else’s to read', async (t) => {
  await using folder = await tempFolder('identity');
  const dataDir = join(folder.path, 'own');
  await startIdentity(dataDir);
  t.is((await stat(dataDir)).mode & 0o777, 0o700);
  t.is((await stat(join(dataDir, 'identity.json'))).mode & 0o777, 0o600);
});

test('identity: a temporary file that a crash left behind does not matter', async (t) => {
  await using folder = await tempFolder('identity');
  const first = await startIdentity(folder.path);
  await writeFile(join(folder.path, 'identity.json.tmp'), '{"format":2,"pee');
  t.deepEqual(await startIdentity(folder.path), { ...first, generation: 2 });
});

test('identity: what another version wrote is refused by name', async (t) => {
  await using folder = await tempFolder('identity');
  const path = join(folder.path, 'identity.json');
  await writeFile(path, JSON.stringify({ format: 3, peerId: PEER, generation: 1 }));
  const error = await errorOf(startIdentity(folder.path));
  t.is(error.code, 'data_dir_foreign');
  t.true(error.message.includes(path));
});

const valid = { format: 2, peerId: PEER, generation: 3 };
const damages: Record<string, string> = {
  'an empty file': '',
  'half a file': JSON.stringify(valid).slice(0, 30),
  'no id': JSON.stringify({ ...valid, peerId: undefined }),
  'an id that is none': JSON.stringify({ ...valid, peerId: 'peer' }),
  'a generation that is no count': JSON.stringify({ ...valid, generation: 0.5 }),
  'a generation below one': JSON.stringify({ ...valid, generation: 0 }),
  'a membership of null': JSON.stringify({ ...valid, membership: null }),
  'a membership without cluster': JSON.stringify({ ...valid, membership: { raftId: 1 } }),
  'a cluster id of another type': JSON.stringify({
    ...valid,
    membership: { clusterId: [CLUSTER], raftId: 1 },
  }),
  'a raft id of zero': JSON.stringify({ ...valid, membership: { clusterId: CLUSTER, raftId: 0 } }),
};
for (const [name, text] of Object.entries(damages)) {
  test(`identity: ${name} is data_corrupt, and the file stays as it was`, async (t) => {
    await using folder = await tempFolder('identity');
    const path = join(folder.path, 'identity.json');
    await writeFile(path, text);
    t.is((await errorOf(startIdentity(folder.path))).code, 'data_corrupt');
    t.is(await readFile(path, 'utf8'), text);
  });
}

test('identity: null is no identity either', async (t) => {
  await using folder = await tempFolder('identity');
  await writeFile(join(folder.path, 'identity.json'), 'null');
  t.is((await errorOf(startIdentity(folder.path))).code, 'data_dir_foreign');
});

test('identity: a lost or older file beside a raft log is data_corrupt', async (t) => {
  await using folder = await tempFolder('identity');
  const fresh = await startIdentity(folder.path);
  const path = join(folder.path, 'identity.json');
  const older = await readFile(path, 'utf8');
  await writeIdentity(folder.path, {
    ...fresh,
    membership: { clusterId: CLUSTER, raftId: raftId(7) },
  });
  await mkdir(join(folder.path, 'raft'));
  await writeFile(join(folder.path, 'raft', 'raft-0000000001.log'), 'votes');
  t.is((await startIdentity(folder.path)).membership?.raftId, raftId(7));
  await writeFile(path, older);
  t.is((await errorOf(startIdentity(folder.path))).code, 'data_corrupt');
  await rm(path);
  const error = await errorOf(startIdentity(folder.path));
  t.is(error.code, 'data_corrupt');
  t.true(error.message.includes(path));
});
