/**
 * `./local-cluster.sh demo`: a load survives the death of the peer that leads it.
 *
 * A sample store and three peers on loopback; a load with two copies of everything; the leader is
 * killed half way; the job ends under the next one; then the store is stopped too, and files are
 * read back through the two peers that are left and compared with the store's own bytes.
 * Everything that is started here is ended here, whatever happens.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const PROGRAM = 'dist/cli/main.js';
const HOME = '.local-cluster/demo';
const BUCKET = 'demo';
const MOUNT = `s3://${BUCKET}`;
/** About 300 MB: some twelve seconds. */
const THROTTLE = '24MB';
const PEER_COUNT = 3;
/** After that silence the dead peer's share is loaded elsewhere; 30 s where nobody is watching. */
const DOWN_AFTER_MS = 6_000;
const READY_DEADLINE_MS = 30_000;
const LOAD_DEADLINE_MS = 180_000;
/** Share of the bytes after which the leader is killed. */
const KILL_AT = 0.5;
/** Few at a time: with a slow store and all of them at once, all would be done in the same moment. */
const CONCURRENCY = 2;
const FILES_READ_BACK = 10;

const basePort = Number(process.argv[2] ?? 19_998);
const children = new Set();

// What must not be found by the peers: the demo is about its own store.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(AWS_|RINGLOAD_|https?_proxy$)/i.test(name)),
);

let interruptedBy;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    interruptedBy = signal;
    say(`\n${signal}: ending what was started`);
    await endAll();
    process.kill(process.pid, signal);
  });
}
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

try {
  await demo();
  await endAll();
  await rm(HOME, { recursive: true, force: true });
} catch (error) {
  if (interruptedBy === undefined) {
    console.error(`\nThe demo failed: ${error.message}\nLogs: ${HOME}`);
    process.exitCode = 1;
    await endAll();
  }
}

async function demo() {
  await rm(HOME, { recursive: true, force: true });
  await mkdir(HOME, { recursive: true });
  const peers = Array.from({ length: PEER_COUNT }, (_, index) => ({
    number: index + 1,
    address: `127.0.0.1:${basePort + index + 1}`,
    port: basePort + index + 1,
  }));
  for (const { port } of peers) await requireFree(port);

  heading('1. A store with sample data, and three peers');
  const store = await startStore();
  say(`sample store  ${store.endpoint}  (sends ${THROTTLE}/s at most)`);
  for (const peer of peers) {
    await startPeer(peer, { store, founder: peers[0] });
    say(`peer ${peer.number}        http://${peer.address}`);
  }

  heading(`2. Load ${MOUNT}, two copies of everything`);
  const addresses = peers.map(({ address }) => address).join(',');
  const load = runCli(['load', MOUNT, '--replicas', '2', '--peer', addresses], { live: true });
  const killed = await killLeaderHalfWay(peers, load);
  const { code, stdout: report } = await within(load.ended, LOAD_DEADLINE_MS, 'the load to end');
  if (code !== 0) throw new Error(`the load ended with ${code}\n${report}`);

  const survivors = peers.filter((peer) => peer !== killed);
  const leader = await leaderOf(survivors);
  say(`peer ${killed.number} led when it died; peer ${leader.number} led the job to its end`);

  heading('3. Stop the store too, and read through the two peers that are left');
  const files = await chooseFiles(store);
  for (const file of files) file.sha256 = sha256(await fetchBytes(store, file.key));
  await end(store.child);
  say('the store has ended: every byte below comes from the disks of the peers');
  for (const { key, sizeBytes, sha256: expected } of files) {
    for (const peer of survivors) await readBack(key, peer, expected);
    say(
      `✔ ${key} (${sizeBytes} bytes) through peers ${survivors.map((p) => p.number).join(' and ')}`,
    );
  }

  heading('4. The report of the load');
  process.stdout.write(report);
}

/** Waits until half of the bytes are loaded, then ends the leader's process with SIGKILL. */
async function killLeaderHalfWay(peers, load) {
  for (;;) {
    if (load.finished) throw new Error('the load was over before its leader could be killed');
    const job = await newestJob(peers);
    if (job && job.listingDone) {
      const { loadedBytes, listedBytes } = job.counters;
      if (loadedBytes >= KILL_AT * listedBytes) break;
    }
    await delay(100);
  }
  const leader = await leaderOf(peers);
  leader.child.kill('SIGKILL');
  await once(leader.child, 'exit');
  const after = await newestJob(peers);
  if (after?.state === 'SUCCEEDED') {
    throw new Error('the load was over before its leader could be killed');
  }
  interject(`>>> peer ${leader.number}, the leader, was killed (kill -9)`);
  return leader;
}

async function newestJob(peers) {
  for (const { address } of peers) {
    try {
      const response = await fetch(`http://${address}/v1/jobs?path=${encodeURIComponent(MOUNT)}`, {
        signal: AbortSignal.timeout(2_000),
      });
      if (response.ok) return (await response.json()).jobs[0];
    } catch {
      // Another peer may answer.
    }
  }
  return undefined;
}

/** The peer that leads; waits while none does, as after a death or on a busy machine. */
async function leaderOf(peers) {
  const addresses = peers.map((peer) => peer.address).join(',');
  return until('a leader among them', async () => {
    const { code, stdout } = await runCli(['cluster', 'leader', '--json', '--peer', addresses])
      .ended;
    if (code !== 0) return undefined;
    // Others name a dead leader until they have missed it.
    const { address } = JSON.parse(stdout).leader;
    return peers.find((peer) => peer.address === address);
  });
}

// --- Reading back -----------------------------------------------------------

/** Odd names first, then one of each size. */
async function chooseFiles(store) {
  const response = await fetch(`${store.endpoint}/${BUCKET}?list-type=2&encoding-type=url`);
  const xml = await response.text();
  const files = [...xml.matchAll(/<Key>([^<]*)<\/Key>[^]*?<Size>(\d+)<\/Size>/g)].map((match) => ({
    key: decodeURIComponent(match[1].replaceAll('+', ' ')),
    sizeBytes: Number(match[2]),
  }));
  if (files.length === 0) throw new Error('the store lists nothing');
  files.sort((a, b) => a.sizeBytes - b.sizeBytes);
  const odd = files.filter(({ key }) => /[^\w./-]/.test(key)).slice(0, 2);
  const sizes = new Map(files.map((file) => [file.sizeBytes, file]));
  return [...new Set([...odd, ...sizes.values()])].slice(0, FILES_READ_BACK);
}

async function fetchBytes(store, key) {
  const path = key.split('/').map(encodeURIComponent).join('/');
  const response = await fetch(`${store.endpoint}/${BUCKET}/${path}`);
  if (!response.ok) throw new Error(`the store answered ${response.status} for ${key}`);
  return Buffer.from(await response.arrayBuffer());
}

async function readBack(key, peer, expected) {
  const cat = runCli(['cat', `${MOUNT}/${key}`, '--peer', peer.address]);
  const { code, bytes, stderr } = await within(cat.ended, 60_000, `the read of ${key}`);
  if (code !== 0) throw new Error(`read ${key} through peer ${peer.number}: ${stderr}`);
  const found = sha256(bytes);
  if (found !== expected) {
    throw new Error(
      `${key} through peer ${peer.number}: sha256 ${found}, the store has ${expected}`,
    );
  }
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

// --- Processes --------------------------------------------------------------

async function startStore() {
  const child = start(
    ['sample-store', '--port', '0', '--bucket', BUCKET, '--throttle', THROTTLE, '--json'],
    'store.log',
  );
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const endpoint = await until(`the sample store to start (${HOME}/store.log)`, () => {
    requireAlive(child, 'the sample store', 'store.log');
    return /"endpoint"\s*:\s*"([^"]+)"/.exec(text)?.[1];
  });
  return { child, endpoint };
}

async function startPeer(peer, { store, founder }) {
  const log = `peer-${peer.number}.log`;
  const mount = `${MOUNT},endpoint=${store.endpoint},region=us-east-1,forcePathStyle=true,credentials=anonymous`;
  peer.child = start(
    [
      'serve',
      ...['--data-dir', join(HOME, `peer-${peer.number}`), '--rest-port', String(peer.port)],
      ...(peer === founder ? [] : ['--join', founder.address]),
      ...['--mount', mount],
    ],
    log,
    {
      RINGLOAD_LIVENESS_DOWN_AFTER_MS: String(DOWN_AFTER_MS),
      RINGLOAD_S3_PORT: '0',
      RINGLOAD_LOAD_CONCURRENCY: String(CONCURRENCY),
    },
  );
  await until(`peer ${peer.number} to be ready (${HOME}/${log})`, async () => {
    requireAlive(peer.child, `peer ${peer.number}`, log);
    const signal = AbortSignal.timeout(1_000);
    const answer = await fetch(`http://${peer.address}/readyz`, { signal }).catch(() => undefined);
    return answer?.status === 200;
  });
}

/** A process whose output goes to a log, and that lives until it is ended. */
function start(args, log, settings = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...environment, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const file = createWriteStream(join(HOME, log));
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Runs a command of the CLI; with `live` its progress is shown on our stderr. */
function runCli(args, { live = false } = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', live ? 'inherit' : 'pipe'],
  });
  children.add(child);
  const output = [];
  const errors = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr?.on('data', (chunk) => errors.push(chunk));
  const run = { finished: false, ended: undefined };
  run.ended = once(child, 'close').then(([code, signal]) => {
    children.delete(child);
    run.finished = true;
    const bytes = Buffer.concat(output);
    return {
      code: code ?? signal,
      bytes,
      stdout: String(bytes),
      stderr: String(Buffer.concat(errors)),
    };
  });
  return run;
}

function requireAlive(child, name, log) {
  if (child.exitCode === null && child.signalCode === null) return;
  const error = new Error(`${name} ended with ${child.exitCode ?? child.signalCode}`);
  error.fatal = true;
  error.log = log;
  throw error;
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 8_000);
  await gone;
  clearTimeout(timer);
}

async function endAll() {
  await Promise.all([...children].map(end));
}

// --- Waiting and telling ----------------------------------------------------

async function until(what, probe) {
  const untilMs = performance.now() + READY_DEADLINE_MS;
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
    } catch (error) {
      if (!error.fatal) throw error;
      const lines = await readFile(join(HOME, error.log), 'utf8').catch(() => '');
      throw new Error(`${error.message}\n${lines.trimEnd().split('\n').slice(-15).join('\n')}`);
    }
    if (performance.now() > untilMs) {
      throw new Error(`waited ${READY_DEADLINE_MS / 1_000} s in vain for ${what}`);
    }
    await delay(100);
  }
}

async function within(promise, deadlineMs, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${deadlineMs / 1_000} s in vain for ${what}`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function requireFree(port) {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    throw new Error(
      `port ${port} is in use by another program (others: RINGLOAD_LOCAL_BASE_PORT=30000 ./local-cluster.sh demo)`,
    );
  }
  server.close();
  await once(server, 'close');
}

function heading(text) {
  console.log(`\n${text}\n`);
}

function say(text) {
  console.log(text);
}

/** A line between those of a progress bar, which draws on stderr. */
function interject(text) {
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${text}\n`);
}
