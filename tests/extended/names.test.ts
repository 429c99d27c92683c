/** Names of peers and of the under store that move, are unknown for a while, or lead elsewhere. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import test from 'ava';
import { expectBytes, expectBytesFromCache, expectLoaded, pathOf } from '../fault/expect.ts';
import { Stage } from '../fault/stage.ts';
import { Cluster } from '../support/cluster.ts';
import { PeerAnswerError } from '../support/peer-api.ts';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { tempFolder, type TempFolder } from '../support/temp-folder.ts';
import { HostsFile } from './support/hosts-file.ts';

const missing = HostsFile.missing();
const withHosts = requires(missing);

const nameOf = (index: number): string => `peer-${index}.ring`;
const STORE = 'store.ring';
/** Of a further mount; at first nobody knows it. */
const LATE_STORE = 'late.ring';
const FOREIGN_HOST = '127.0.6.1';
/** In /proc/net/tcp. */
const ESTABLISHED = '01';
const SECRET = 'a-secret-of-the-names';

let folder: TempFolder;
let hosts: HostsFile;
let stage: Stage;

test.before(async () => {
  if (missing !== undefined) return;
  folder = await tempFolder('names');
  hosts = await HostsFile.create(folder.path);
  for (const index of [0, 1, 2]) await hosts.set(nameOf(index), `127.0.4.${index + 1}`);
  await hosts.set(STORE, '127.0.0.1');
  stage = await Stage.open({
    places: [hosts.place, hosts.place, hosts.place],
    advertiseHostOf: nameOf,
    originAt: (endpoint) => `http://${STORE}:${new URL(endpoint).port}`,
    mountsAt: (endpoint) => [
      `s3://origin/late,endpoint=http://${LATE_STORE}:${new URL(endpoint).port},credentials=anonymous`,
    ],
    env: { RINGLOAD_CLUSTER_SECRET: SECRET, RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000 },
  });
});
test.after.always(async () => {
  await stage?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

function peers(): [Peer, Peer, Peer] {
  return stage.cluster.peers as [Peer, Peer, Peer];
}

/** Addresses that the ports of a peer are connected at, by those who dialled. */
async function connectedTo({ restPort, dataPort }: Peer): Promise<ReadonlySet<string>> {
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').slice(1);
  const found = new Set<string>();
  for (const line of lines) {
    const [, , remote = '', state] = line.trim().split(/\s+/);
    const [address = '', port = ''] = remote.split(':');
    if (state !== ESTABLISHED || ![restPort, dataPort].includes(Number.parseInt(port, 16)))
      continue;
    found.add([...Buffer.from(address, 'hex')].reverse().join('.'));
  }
  return found;
}

withHosts('names: a peer whose name leads elsewhere is found there', async (t) => {
  await stage.restore();
  const [first, second, moving] = peers();
  const data = stage.addFiles({ count: 8 });
  await expectLoaded(t, await loaded(data));
  t.true((await connectedTo(moving)).has('127.0.4.3'));
  await moving.kill();
  await hosts.set(nameOf(2), '127.0.5.3');
  await moving.start();
  await stage.restore();
  await expectBytesFromCache(t, stage, data.keys, [first, second]);
  const found = await connectedTo(moving);
  t.true(found.has('127.0.5.3'));
  t.false(found.has('127.0.4.3'), 'the old address was asked');
  await expectLoaded(t, await loaded(stage.addFiles({ count: 8 })));
});

withHosts('names: a name that nobody knows for a while is told, and asked for again', async (t) => {
  await stage.restore();
  const [asking, , lost] = peers();
  const data = stage.addFiles({ count: 8 });
  await expectLoaded(t, await loaded(data));
  await lost.kill();
  await hosts.forget(nameOf(2));
  // Before it is back: it knows the others, and whoever it dials need not ask for its name.
  await stage.cluster.waitFor(
    () => /dial failed.*reach peer-2\.ring:\d+: (?:ENOTFOUND|EAI_AGAIN)/.test(asking.logs()),
    'the name that is unknown to be told',
  );
  await lost.start();
  // What nobody can ask it for are its bytes.
  await stage.restore();
  await expectBytes(t, stage, data.keys);
  await hosts.set(nameOf(2), '127.0.4.3');
  await expectLoaded(t, await loaded(stage.addFiles({ count: 8 })));
});

/** What answers at the address of a peer that is gone, and how it is told from a peer. */
const STRANGERS: readonly (readonly [
  title: string,
  open: (port: number) => Promise<AsyncDisposable>,
  told: RegExp,
])[] = [
  [
    'another service',
    async (port) => {
      const server = createServer((_request, response) => response.end('hello'));
      await new Promise<void>((resolve) => server.listen(port, FOREIGN_HOST, resolve));
      return {
        [Symbol.asyncDispose]: async () => {
          server.closeAllConnections();
          await new Promise((resolve) => server.close(resolve));
        },
      };
    },
    /dial failed.*refused by the peer at peer-2\.ring:\d+: not_a_peer/,
  ],
  [
    'a peer of another cluster that has the same secret',
    async (port) => {
      const other = await Cluster.start({
        peers: 1,
        mounts: ['s3://elsewhere,endpoint=http://127.0.0.1:9,credentials=anonymous'],
        env: { RINGLOAD_CLUSTER_SECRET: SECRET },
      });
      const target = { host: '127.0.0.1', port: other.peers[0]?.restPort ?? 0 };
      const proxy = await TcpProxy.start({ host: FOREIGN_HOST, port, target });
      return {
        [Symbol.asyncDispose]: async () => {
          await other.stop();
          await proxy.close();
        },
      };
    },
    /dial failed.*refused by the peer at peer-2\.ring:\d+: (?:other_cluster|wrong_target)/,
  ],
];

for (const [title, open, told] of STRANGERS) {
  withHosts(`names: ${title} at the address of a peer is refused`, async (t) => {
    await stage.restore();
    const [asking, , victim] = peers();
    await victim.stop();
    {
      await using _stranger = await open(victim.restPort);
      await hosts.set(nameOf(2), FOREIGN_HOST);
      await stage.cluster.waitFor(() => told.test(asking.logs()), 'the stranger to be told');
      t.is((await asking.api.cluster()).members.length, 3);
    }
    await hosts.set(nameOf(2), '127.0.4.3');
    await victim.start();
    await stage.restore();
    await expectLoaded(t, await loaded(stage.addFiles({ count: 4 })));
  });
}

withHosts('names: a store whose name is unknown is named, and found later', async (t) => {
  await stage.restore();
  const data = stage.addFiles({ count: 4, below: 'late/' });
  const [peer] = peers();
  const [key = ''] = data.keys;
  const error = await t.throwsAsync(peer.api.readFile(pathOf(key)), {
    instanceOf: PeerAnswerError,
  });
  t.is(error?.status, 502, error?.body);
  t.regex(error?.body ?? '', /"code":"ufs_unavailable"/);
  t.regex(error?.body ?? '', /the name late\.ring cannot be resolved/);
  const load = await stage.load(data, { replicas: 2 });
  await stage.cluster.waitFor(
    () => /listing failed.*late\.ring/.test(stage.cluster.logs()),
    'the listing to fail by name',
  );
  await hosts.set(LATE_STORE, '127.0.0.1');
  await load.succeeds();
  await expectLoaded(t, load);
});

async function loaded(files: ReturnType<Stage['addFiles']>) {
  const load = await stage.load(files, { replicas: 2 });
  await load.succeeds();
  return load;
}
