/**
 * Ceph's RADOS Gateway as an S3 server that none of us wrote: one monitor, one object daemon that
 * keeps everything in memory, and the gateway, all on loopback and in one temporary folder.
 * `tests/extended/install-ceph-rgw.sh` installs the programs.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Child, cleanEnvironment } from '../../support/child.ts';
import { freePort } from '../../support/free-port.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { RealStore } from './real-store.ts';

const PROGRAMS = ['ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'radosgw', 'radosgw-admin'];
const STEP_DEADLINE_MS = 60_000;
const MEMORY_BYTES = 6 * 1024 ** 3;

const run = promisify(execFile);

/** Why the gateway cannot be started here; undefined when it can. */
export function cephRgwMissing(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const lacks = PROGRAMS.find((program) => !folders.some((at) => isProgram(join(at, program))));
  return lacks === undefined
    ? undefined
    : `Ceph RGW (no ${lacks}): run tests/extended/install-ceph-rgw.sh`;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Somebody else that the gateway knows. */
export interface RgwUser {
  readonly name: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Starts it without any bucket. */
export async function startCephRgw(
  options: { readonly users?: readonly RgwUser[] } = {},
): Promise<RealStore> {
  const accessKeyId = 'ringload-test';
  const secretAccessKey = 'ringload-test-secret';
  const folder = await tempFolder('ceph');
  const children: Child[] = [];
  const env = cleanEnvironment();
  const config = join(folder.path, 'ceph.conf');
  const start = async (command: string, ...args: string[]): Promise<Child> => {
    const child = await Child.start({ command, args: ['-c', config, ...args], env });
    children.push(child);
    return child;
  };
  const step = async (command: string, ...args: string[]): Promise<void> => {
    await run(command, args, { env, timeout: STEP_DEADLINE_MS });
  };
  const stop = async (): Promise<void> => {
    // From the gateway down: each would wait for the one it talks to.
    for (const child of children.toReversed()) await child.stop(2_000);
    await folder[Symbol.asyncDispose]();
  };
  try {
    const fsid = randomUUID();
    const osdId = randomUUID();
    const monitor = `[v1:127.0.0.1:${await freePort()}/0]`;
    const port = await freePort();
    await writeFile(config, configuration({ fsid, monitor, folder: folder.path }));
    for (const part of ['mon', 'osd', 'rgw', 'run']) await mkdir(join(folder.path, part));

    const map = join(folder.path, 'monmap');
    await step('monmaptool', '--create', '--clobber', '--addv', 'a', monitor, '--fsid', fsid, map);
    await step('ceph-mon', '-c', config, '--mkfs', '-i', 'a', '--monmap', map);
    const monitorDaemon = await start('ceph-mon', '-f', '-i', 'a');
    // One that has just begun refuses commands it would take a moment later.
    await waitFor(() => takesCommands(config, env, monitorDaemon), {
      what: 'the monitor to take commands',
      deadlineMs: STEP_DEADLINE_MS,
      context: () => monitorDaemon.logs(),
    });
    await step('ceph', '-c', config, 'osd', 'create', osdId);
    // By hand: a daemon that does it itself may ask before it knows the cluster, and then gives up.
    await step('ceph', '-c', config, 'osd', 'crush', 'add', 'osd.0', '1', 'root=default', 'host=a');
    await step('ceph-osd', '-c', config, '-i', '0', '--mkfs', '--osd-uuid', osdId);
    const daemon = await start('ceph-osd', '-f', '-i', '0');
    // Pools that are created before there is anyone to hold them can stay inactive for ever.
    await waitFor(() => isUp(config, env, daemon), {
      what: 'the object daemon to be up',
      deadlineMs: STEP_DEADLINE_MS,
      context: () => daemon.logs(),
    });
    const main = { name: 'test', accessKeyId, secretAccessKey };
    for (const user of [main, ...(options.users ?? [])]) {
      const names = [`--uid=${user.name}`, `--display-name=${user.name}`];
      const keys = [`--access-key=${user.accessKeyId}`, `--secret=${user.secretAccessKey}`];
      await step('radosgw-admin', '-c', config, 'user', 'create', ...names, ...keys);
    }
    const frontend = `--rgw-frontends=beast endpoint=127.0.0.1:${port}`;
    const gateway = await start('radosgw', '-f', '-n', 'client.rgw.a', frontend);

    const endpoint = `http://127.0.0.1:${port}`;
    await waitFor(() => answers(endpoint, gateway), {
      what: `Ceph RGW to serve ${endpoint}`,
      deadlineMs: STEP_DEADLINE_MS,
      context: () => children.map((child) => child.logs()).join('\n'),
    });
    return {
      name: 'ceph rgw',
      endpoint,
      accessKeyId,
      secretAccessKey,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function takesCommands(
  config: string,
  env: NodeJS.ProcessEnv,
  monitor: Child,
): Promise<boolean> {
  if (monitor.exit !== undefined) throw new Error(`ceph-mon ended with ${monitor.exit.code}`);
  const args = ['-c', config, 'mon', 'stat', '--connect-timeout', '5'];
  const { stdout } = await run('ceph', args, { env, timeout: STEP_DEADLINE_MS });
  return stdout.includes('quorum 0');
}

async function isUp(config: string, env: NodeJS.ProcessEnv, daemon: Child): Promise<boolean> {
  if (daemon.exit !== undefined) throw new Error(`ceph-osd ended with ${daemon.exit.code}`);
  const args = ['-c', config, 'osd', 'stat', '--format', 'json', '--connect-timeout', '5'];
  const { stdout } = await run('ceph', args, { env, timeout: STEP_DEADLINE_MS });
  return (JSON.parse(stdout) as { num_up_osds: number }).num_up_osds === 1;
}

async function answers(endpoint: string, gateway: Child): Promise<boolean> {
  if (gateway.exit !== undefined) throw new Error(`radosgw ended with ${gateway.exit.code}`);
  return (await fetch(endpoint, { signal: AbortSignal.timeout(2_000) })).ok;
}

function configuration(options: { fsid: string; monitor: string; folder: string }): string {
  const { fsid, monitor, folder } = options;
  const settings = {
    fsid,
    'mon host': monitor,
    'mon initial members': 'a',
    'auth cluster required': 'none',
    'auth service required': 'none',
    'auth client required': 'none',
    'ms bind msgr2': false,
    'public addr': '127.0.0.1',
    'cluster addr': '127.0.0.1',
    'osd pool default size': 1,
    'osd pool default min size': 1,
    'osd pool default pg num': 1,
    'osd pool default pgp num': 1,
    'osd pool default pg autoscale mode': 'off',
    'osd crush chooseleaf type': 0,
    'osd crush update on start': false,
    'osd class update on start': false,
    'mon allow pool size one': true,
    'mon warn on pool no redundancy': false,
    // Several pools are created one after the other: no need to gather changes for a second.
    'paxos propose interval': 0.05,
    'mon data avail warn': 2,
    'mon data avail crit': 1,
    'osd objectstore': 'memstore',
    'memstore device bytes': MEMORY_BYTES,
    'mon data': join(folder, 'mon'),
    'osd data': join(folder, 'osd'),
    'rgw data': join(folder, 'rgw'),
    'run dir': join(folder, 'run'),
    'admin socket': join(folder, 'run', '$cluster-$name.asok'),
    'pid file': join(folder, 'run', '$name.pid'),
    'log file': join(folder, 'run', '$name.log'),
    'crash dir': join(folder, 'run'),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${String(value)}`);
  return `[global]\n${lines.join('\n')}\n`;
}
