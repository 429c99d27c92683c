/** A peer that may open few files: what it cannot take is refused by name, and nothing is lost. */
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import test from 'ava';
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import { Child, cleanEnvironment } from '../support/child.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { expectLoaded, metricOf, pathOf } from './expect.ts';
import { limitedTo, openCount } from './limited.ts';
import { SEGMENT_BYTES, Stage } from './stage.ts';

const LIMIT = 256;
const READER_COUNT = 150;
const SILENT_COUNT = 150;
/** Clients that begin a request and do not end it: nobody may take their connections from them. */
const BEGUN_COUNT = 56;

/** `right`, `refused`, or what else came. */
type Outcome = string;

/** One read over a connection of its own. */
function readOnce(stage: Stage, peer: Peer, key: string): Promise<Outcome> {
  const url = `${peer.restUrl}/v1/files/content?path=${encodeURIComponent(pathOf(key))}`;
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', (error) => resolve(`cut: ${error.message}`));
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        const { statusCode, headers } = response;
        if (statusCode === 200) {
          resolve(sha256(body) === stage.origin.expectedSha256(key) ? 'right' : 'other bytes');
          return;
        }
        const isClear = statusCode === 503 && Number(headers['retry-after']) > 0;
        const names = body.toString().includes(`limit of ${LIMIT} open files`);
        resolve(isClear && names ? 'refused' : `${statusCode}: ${body.toString().slice(0, 300)}`);
      });
    });
    request.on('error', (error) => resolve(error.message));
  });
}

function connections(peer: Peer, count: number, begin = ''): Socket[] {
  return Array.from({ length: count }, () => {
    const socket = connect(peer.restPort, '127.0.0.1').on('error', () => undefined);
    if (begin !== '') socket.write(begin);
    return socket;
  });
}

test('descriptors: a limit that no peer can live with is refused by name', async (t) => {
  await using folder = await tempFolder('few-files');
  const { prefix } = limitedTo(64);
  const [command, ...args] = [...prefix, process.execPath, 'build/program/cli/main.js', 'serve'];
  const child = await Child.start({
    command,
    args: [...args, '--data-dir', folder.path, '--cache-dir', `${folder.path}/cache=1GiB`],
    env: cleanEnvironment({}),
  });
  t.teardown(() => child.stop());
  t.deepEqual(await child.exited, { code: 78, signal: null }, child.logs());
  t.regex(child.logs(), /^ringload: the limit of open files is 64, a peer needs 256/);
});

test('descriptors: at the limit clients are refused, the load succeeds, and all comes back', async (t) => {
  await using stage = await Stage.open({
    peers: 3,
    places: [limitedTo(LIMIT)],
    env: { RINGLOAD_LOAD_CONCURRENCY: 8 },
  });
  const { cluster } = stage;
  const [limited] = cluster.peers;
  if (!limited) throw new Error('no peers');
  const known = stage.addFiles({ count: 12, sizeBytes: SEGMENT_BYTES });
  await (await stage.load(known, { replicas: 2 })).succeeds();
  const baseline = await openCount(limited);

  const begun = connections(limited, BEGUN_COUNT, 'GET /healthz HTTP/1.1\r\n');
  const silent = [...begun, ...connections(limited, SILENT_COUNT)];
  t.teardown(() => silent.forEach((socket) => socket.destroy()));
  const data = stage.addFiles({ count: 16 });
  stage.slowReads(50);
  const load = await stage.load(data, { replicas: 2 });
  const outcomes = new Map<Outcome, number>();
  const storm = { isOver: false, mostOpen: 0 };
  const reader = async (number: number): Promise<void> => {
    // Why one after another: what comes in one moment is accepted before anything can be closed.
    await new Promise((resolve) => setTimeout(resolve, number));
    for (let turn = number; !storm.isOver; turn++) {
      const outcome = await readOnce(stage, limited, known.keys[turn % known.keys.length] ?? '');
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const watcher = async (): Promise<void> => {
    while (!storm.isOver) {
      storm.mostOpen = Math.max(storm.mostOpen, await openCount(limited));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const all = [watcher(), ...Array.from({ length: READER_COUNT }, (_, number) => reader(number))];
  try {
    await load.succeeds();
  } finally {
    storm.isOver = true;
    await Promise.all(all);
  }
  for (const socket of silent) socket.destroy();
  t.log(`${JSON.stringify([...outcomes])}, ${baseline} open before, ${storm.mostOpen} at most`);
  t.true((outcomes.get('right') ?? 0) > 0);
  t.true((outcomes.get('refused') ?? 0) > 0, 'the limit was not reached');
  t.deepEqual([...outcomes.keys()].sort(), ['refused', 'right'], limited.logs());
  t.true(storm.mostOpen < LIMIT, `${storm.mostOpen} descriptors`);

  t.true(limited.running);
  await cluster.waitForLeader();
  t.true((await metricOf(limited, 'ringload_connections_refused_total{port="rest"}')) > 0);
  t.is(await metricOf(limited, 'ringload_segments_corrupt_total'), 0);
  await expectLoaded(t, load);
  await cluster.waitFor(
    async () => (await openCount(limited)) <= baseline + 64,
    'the descriptors to come back',
    30_000,
  );
  t.is(await readOnce(stage, limited, known.keys[0] ?? ''), 'right');
});
