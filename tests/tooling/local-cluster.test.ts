import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { platform } from 'node:process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import { cleanEnvironment } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import { requires } from '../support/requires.ts';
import { tempFolder } from '../support/temp-folder.ts';

const onUnix = requires(platform === 'win32' ? 'a Unix system' : undefined);

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface LocalCluster {
  readonly path: string;
  readonly basePort: number;
  run(...args: readonly string[]): Promise<Run>;
  pid(peer: number): Promise<number>;
}

/** The script in a project of its own, built and installed as far as it can see, with fake peers. */
async function localCluster(t: ExecutionContext): Promise<LocalCluster> {
  const folder = await tempFolder('local');
  const root = process.cwd();
  const basePort = await freePort([1, 2, 3]);
  await cp(join(root, 'local-cluster.sh'), join(folder.path, 'local-cluster.sh'));
  for (const directory of ['src', 'node_modules', 'dist/cli']) {
    await mkdir(join(folder.path, directory), { recursive: true });
  }
  for (const name of ['package.json', 'package-lock.json']) {
    await writeFile(join(folder.path, name), '{ "type": "module" }');
  }
  await writeFile(join(folder.path, 'node_modules/.package-lock.json'), '');
  const fakePeer = join(import.meta.dirname, '../support-tests/fake-peer.js');
  await writeFile(
    join(folder.path, 'dist/cli/main.js'),
    `await import(${JSON.stringify(fakePeer)});`,
  );
  await writeFile(join(folder.path, 'dist/.built'), '');

  const run = (...args: readonly string[]): Promise<Run> =>
    new Promise((resolve) => {
      const env = cleanEnvironment({
        RINGLOAD_LOCAL_BASE_PORT: String(basePort),
        RINGLOAD_LOCAL_READY_DEADLINE_S: '10',
        ...(args.includes('fail') && { RINGLOAD_FAKE_FAIL: 'true' }),
      });
      const words = args.filter((word) => word !== 'fail');
      const script = join(folder.path, 'local-cluster.sh');
      execFile('bash', [script, ...words], { env, timeout: 60_000 }, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
      });
    });
  t.teardown(async () => {
    await run('stop');
    await folder[Symbol.asyncDispose]();
  });
  const pid = async (peer: number): Promise<number> => {
    const text = await readFile(join(folder.path, `.local-cluster/peer-${peer}/pid`), 'utf8');
    return Number(text.split('\n')[0]);
  };
  return { path: folder.path, basePort, run, pid };
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

onUnix('local cluster: starts, shows, kills, restarts, pauses and stops peers', async (t) => {
  t.timeout(60_000);
  const cluster = await localCluster(t);
  const started = await cluster.run('start', '2', '--mount', 's3://data,endpoint=http://h:1');
  t.is(started.code, 0, started.stderr);
  t.regex(
    started.stdout,
    new RegExp(`peer 1 {2}http://127.0.0.1:${cluster.basePort + 1} {2}ready`),
  );
  t.regex(started.stdout, /ringload load s3:\/\/data --replicas 2/);
  const [first, second] = [await cluster.pid(1), await cluster.pid(2)];
  t.true(isAlive(first) && isAlive(second));
  const args = await readFile(`/proc/${second}/cmdline`, 'utf8').catch(() => '');
  if (args !== '') {
    t.true(args.includes(`--join\x00127.0.0.1:${cluster.basePort + 1}`));
    t.true(args.includes('--mount\x00s3://data,endpoint=http://h:1'));
    t.false((await readFile(`/proc/${first}/cmdline`, 'utf8')).includes('--join'));
  }

  t.regex((await cluster.run('pause', '2')).stdout, /peer 2 is paused/);
  t.regex((await cluster.run('status')).stdout, /peer 2 .*paused/);
  await cluster.run('resume', '2');
  t.regex((await cluster.run('status')).stdout, /peer 2 .*ready \(pid/);

  t.is((await cluster.run('kill', '1')).code, 0);
  t.false(isAlive(first));
  t.true(isAlive(second));
  t.regex((await cluster.run('status')).stdout, /peer 1 .*not running/);
  const killedAgain = await cluster.run('kill', '1');
  t.is(killedAgain.code, 1);
  t.regex(killedAgain.stderr, /peer 1 is not running/);

  t.is((await cluster.run('restart', '1')).code, 0);
  t.not(await cluster.pid(1), first);
  t.regex((await cluster.run('start', '3')).stdout, /peer 1 .*runs already[^]*peer 3 .*ready/);
  const third = await cluster.pid(3);
  const stopped = await cluster.run('stop');
  t.is(stopped.code, 0);
  t.false(isAlive(second) || isAlive(third));
  t.regex((await cluster.run('stop')).stdout, /nothing is running/);
});

onUnix('local cluster: never signals a process that only has the recorded pid', async (t) => {
  const cluster = await localCluster(t);
  await mkdir(join(cluster.path, '.local-cluster/peer-1'), { recursive: true });
  const record = join(cluster.path, '.local-cluster/peer-1/pid');
  // This test's own process, with another start time.
  await writeFile(record, `${process.pid}\n1\n`);
  const killed = await cluster.run('kill', '1', 'TERM');
  t.is(killed.code, 1);
  t.regex(killed.stderr, /peer 1 is not running/);
  t.regex((await cluster.run('stop')).stdout, /nothing is running/);
});

onUnix('local cluster: says what is wrong', async (t) => {
  t.timeout(60_000);
  const cluster = await localCluster(t);
  for (const [args, code, message] of [
    [['status'], 1, /no peer was started yet/],
    [['kill', '4'], 1, /no peer 4: none was started/],
    [['kill'], 2, /which peer/],
    [['kill', '../x'], 2, /not the number of a peer/],
    [['start', '0'], 2, /neither a number of peers/],
    [['start', '--mount'], 2, /--mount needs a URI/],
    [['start', '99'], 1, /too many/],
    [['dance'], 2, /unknown command 'dance'/],
    [[], 2, /what shall be done/],
  ] as const) {
    const run = await cluster.run(...args);
    t.is(run.code, code, args.join(' '));
    t.regex(run.stderr, message);
  }
  const blocker = createServer().listen(cluster.basePort + 1, '127.0.0.1');
  await once(blocker, 'listening');
  const blocked = await cluster.run('start', '1');
  blocker.close();
  t.is(blocked.code, 1);
  t.regex(blocked.stderr, /port \d+, which peer 1 needs, is in use by another program/);

  const failed = await cluster.run('start', '1', 'fail');
  t.is(failed.code, 1);
  t.regex(failed.stderr, /fails as it was told\n.*peer 1 ended before it was ready/);

  await cluster.run('start', '1');
  t.regex((await cluster.run('kill', '7')).stderr, /no peer 7, only: 1/);
  t.regex((await cluster.run('kill', '1', 'NOSUCH')).stderr, /unknown signal/);
  t.regex((await cluster.run('demo')).stderr, /a local cluster is running/);
  t.regex((await cluster.run('start', '1', '--mount', 's3://x')).stderr, /have other mounts/);
});
