/** What keeps a peer from starting: an exit code, one line that says why, and nothing damaged. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Child, type ChildExit, cleanEnvironment } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import type { Peer } from '../support/peer-process.ts';
import { type TempFolder, tempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { Stage } from './stage.ts';

const PROGRAM = join(process.cwd(), 'build/program/cli/main.js');
const START_DEADLINE_MS = 30_000;

let stage: Stage;
let folder: TempFolder;
test.before(async () => {
  stage = await Stage.open({ peers: 1 });
  folder = await tempFolder('start');
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

interface Attempt {
  readonly exit: ChildExit | undefined;
  readonly logs: string;
}

/** Runs `serve` until it ends. */
async function serve(t: ExecutionContext, ...args: string[]): Promise<Attempt> {
  const child = await start(t, ...args);
  const exit = await waitFor(() => child.exit, {
    what: `serve ${args.join(' ')} to end`,
    deadlineMs: START_DEADLINE_MS,
    context: () => child.logs(),
  });
  return { exit, logs: child.logs() };
}

async function start(t: ExecutionContext, ...args: string[]): Promise<Child> {
  const child = await Child.start({
    command: process.execPath,
    args: [PROGRAM, 'serve', ...args],
    env: cleanEnvironment({ RINGLOAD_LOG_FORMAT: 'plain', RINGLOAD_S3_PORT: '0' }),
    cwd: folder.path,
  });
  t.teardown(() => child.stop());
  return child;
}

/** One line of the program's own, the last one, says why; there is no stack. */
function expectRefusal(t: ExecutionContext, { exit, logs }: Attempt, says: RegExp): void {
  t.deepEqual(exit, { code: 78, signal: null }, logs);
  const lines = logs.split('\n');
  const own = lines.filter((line) => line.startsWith('ringload: '));
  t.is(own.length, 1, logs);
  t.is(lines.at(-1), own[0], logs);
  t.regex(own[0] ?? '', says);
  t.notRegex(logs, /^ {4}at /m);
}

const onlyPeer = (): Peer => stage.cluster.peers[0] as Peer;
const place = (name: string): string => join(folder.path, name);

async function newPeerArgs(name: string): Promise<string[]> {
  await mkdir(place(name), { recursive: true });
  const cache = `${join(place(name), 'cache')}=512MiB`;
  return ['--data-dir', place(name), '--rest-port', String(await freePort()), '--cache-dir', cache];
}

test('start: an unknown configuration key is refused and named', async (t) => {
  const file = place('ringload.yaml');
  await writeFile(file, 'peer:\n  restPort: 0\n  dataDri: /somewhere\n');
  expectRefusal(t, await serve(t, '--config', file), /dataDri.*dataDir|dataDri/);
});

test('start: a value out of its range is refused and named', async (t) => {
  expectRefusal(t, await serve(t, '--rest-port', '70000'), /rest-port|restPort/);
});

test('start: a port in use is refused, its owner goes on', async (t) => {
  const port = String(onlyPeer().restPort);
  const args = ['--data-dir', place('second'), '--rest-port', port];
  expectRefusal(t, await serve(t, ...args), new RegExp(port));
  t.true(await onlyPeer().api.ready());
});

test('start: a data directory in use is refused, its owner goes on', async (t) => {
  const peer = onlyPeer();
  const identity = join(peer.dataDir, 'identity.json');
  const before = await readFile(identity, 'utf8');
  const port = String(await freePort());
  const args = ['--data-dir', peer.dataDir, '--rest-port', port];
  expectRefusal(t, await serve(t, ...args), /peer-0.*another process uses it/);
  t.is(await readFile(identity, 'utf8'), before, 'nothing was written');
  t.true(await peer.api.ready());
});

test('start: a cache directory in use is refused, whoever crashed lets go of it', async (t) => {
  const shared = place('shared-cache');
  const argsOf = async (name: string): Promise<string[]> => {
    const args = await newPeerArgs(name);
    return [...args.slice(0, -1), `${shared}=512MiB`];
  };
  const isServing = (child: Child): Promise<unknown> =>
    waitFor(() => /ready to serve/.test(child.logs()), {
      what: 'a peer to be ready',
      deadlineMs: START_DEADLINE_MS,
      context: () => child.logs(),
    });
  const owner = await start(t, ...(await argsOf('first-of-two')));
  await isServing(owner);
  const attempt = await serve(t, ...(await argsOf('second-of-two')));
  expectRefusal(t, attempt, /cache directory .*shared-cache: another process uses it/);
  t.is(owner.exit, undefined, 'its owner goes on');
  owner.kill('SIGKILL');
  await owner.exited;
  const heir = await start(t, ...(await argsOf('second-of-two')));
  await isServing(heir);
  t.notRegex(heir.logs(), /cannot lock/);
});

test('start: a data directory of another cluster is refused', async (t) => {
  // A cluster of one, founded and stopped; its directory is then used to join another one.
  const args = await newPeerArgs('foreign');
  const founder = await start(t, ...args);
  await waitFor(() => /ready to serve/.test(founder.logs()), {
    what: 'the other cluster to be founded',
    deadlineMs: START_DEADLINE_MS,
    context: () => founder.logs(),
  });
  t.deepEqual(await founder.stop(20_000), { code: 0, signal: null });
  await cp(place('foreign'), place('copied'), { recursive: true });
  const copied = await newPeerArgs('copied');
  const attempt = await serve(t, ...copied, '--join', onlyPeer().advertisedAddress);
  expectRefusal(t, attempt, /data directory belongs to cluster .* to another one/);
  const { members } = await onlyPeer().api.cluster();
  t.is(members.length, 1);
});

test('start: while a peer waits to join, every request is answered', async (t) => {
  const args = await newPeerArgs('lonely');
  const port = args[args.indexOf('--rest-port') + 1] ?? '';
  const nobody = `127.0.0.1:${await freePort()}`;
  const child = await start(t, ...args, '--join', nobody);
  const status = async (target: string): Promise<number> => {
    const url = `http://127.0.0.1:${port}${target}`;
    return (await fetch(url, { signal: AbortSignal.timeout(5_000) })).status;
  };
  await waitFor(() => status('/livez'), {
    what: 'the port to be open',
    deadlineMs: START_DEADLINE_MS,
    context: () => child.logs(),
  });
  t.is(await status('/livez'), 200);
  t.is(await status('/readyz'), 503);
  t.is(await status('/v1/cluster'), 503);
  t.is(await status('/v1/load?path=s3%3A%2F%2Fx&opType=submit'), 503);
  t.deepEqual(await child.stop(20_000), { code: 0, signal: null });
});
