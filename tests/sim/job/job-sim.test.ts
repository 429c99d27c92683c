/**
 * Whole loads of simulated clusters. `JOB_SIM_SEED=n` replays one run, `JOB_SIM_COUNT=n` changes
 * how many are drawn for each test.
 */
import test, { type ExecutionContext } from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { isActiveState, type JobRecord } from '../../../src/cluster/job-record.ts';
import { canonicalPaths } from '../../../src/job/spec-paths.ts';
import { isAtOrBelow } from '../../../src/ufs/path.ts';
import { JOB, SEGMENT_BYTES, SimCluster } from './sim-cluster.ts';

const given = process.env['JOB_SIM_SEED'];
const first = given === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(given);
const count = given === undefined ? Number(process.env['JOB_SIM_COUNT'] ?? 60) : 1;

interface Sim {
  readonly cluster: SimCluster;
  /** Bytes of each object as the store has it now. */
  readonly files: Map<string, { bytes: Uint8Array; version: string }>;
  /** The store changed while the job ran: what was listed is not what is there. */
  changed: boolean;
  /** Whether the job is asked for that file. */
  covers: (path: string) => boolean;
  /** Roots of the job at which nothing exists. */
  missing: readonly string[];
  indexBytes: number;
  verdicts: number;
}

function open(seed: number): Sim {
  const cluster = new SimCluster({ seed, peers: 1 + (seed % 5) });
  const peers = cluster.peers.length;
  cluster.spec = {
    ...cluster.spec,
    replicaCount: 1 + cluster.pick(Math.min(3, peers)),
    verify: cluster.pick(4) === 0,
    segmented: cluster.pick(5) > 0,
  };
  const sim: Sim = {
    ...{ cluster, files: new Map(), changed: false, verdicts: 0 },
    ...{ covers: () => true, missing: [], indexBytes: 0 },
  };
  for (let n = cluster.pick(40); n >= 0; n -= 1) put(sim, cluster.pick(60));
  if (seed % 3 > 0) askForSome(sim, { asIndex: seed % 3 === 1, missing: [] });
  cluster.onVerdict = (record) => checkVerdict(sim, record);
  return sim;
}

/** The job is asked for some files, some twice, for a directory, and for what does not exist. */
function askForSome(
  sim: Sim,
  { asIndex, missing }: { readonly asIndex: boolean; readonly missing: readonly string[] },
): void {
  const { cluster } = sim;
  const some = [...sim.files.keys()].filter(() => cluster.pick(3) > 0);
  const first = [...sim.files.keys()].slice(0, 1);
  const directory = [...sim.files.keys()].some((path) => path.startsWith(`${DIRECTORY}/`));
  const lines = [...some, ...some.slice(0, 3), ...first, ...missing];
  if (directory) lines.push(DIRECTORY);
  const roots = canonicalPaths(lines);
  const { paths: _paths, index: _index, ...base } = cluster.spec;
  sim.covers = (path) => roots.some((root) => isAtOrBelow(root, path));
  sim.missing = missing;
  if (asIndex) {
    lines.sort(() => cluster.pick(3) - 1);
    const path = 's3://b/lists/index';
    const { version, sizeBytes } = cluster.under.put(
      path,
      new TextEncoder().encode(lines.join('\n')),
    );
    cluster.spec = { ...base, path, index: { version, sizeBytes } };
    sim.indexBytes = sizeBytes;
  } else {
    const [path = ''] = roots;
    cluster.spec = { ...base, path, ...(roots.length > 1 && { paths: roots }) };
  }
}

const DIRECTORY = 's3://b/d/sub';

function filesOf({ files, covers }: Sim): [string, { bytes: Uint8Array; version: string }][] {
  return [...files].filter(([path]) => covers(path));
}

function put({ cluster, files }: Sim, number: number): void {
  // Between a directory and what lies below it there may be other keys.
  const names = ['', 'sub/', 'sub-', ''];
  const path = `s3://b/d/${names[number % 4] ?? ''}${String(number).padStart(2, '0')}`;
  const size = cluster.pick(4) === 0 ? cluster.pick(3) : cluster.pick(5 * SEGMENT_BYTES);
  const bytes = Uint8Array.from({ length: size }, () => cluster.pick(256));
  const { version } = cluster.under.put(path, bytes);
  files.set(path, { bytes, version });
}

/** S3: at the moment of SUCCEEDED every listed byte is on R disks. */
async function checkVerdict(sim: Sim, record: JobRecord): Promise<void> {
  const { cluster } = sim;
  const files = filesOf(sim);
  sim.verdicts += 1;
  if (record.state !== 'SUCCEEDED' || sim.changed) return;
  const { replicaCount } = cluster.spec;
  for (const [path, { bytes, version }] of files) {
    const copies = await cluster.copiesOf(path, bytes, version);
    if (copies < replicaCount) {
      cluster.problems.push(`SUCCEEDED with ${copies} of ${replicaCount} copies of ${path}`);
    }
  }
  const counters = record.checkpoint?.counters ?? {};
  if (counters['listedFiles'] !== files.length) {
    cluster.problems.push(`SUCCEEDED with ${counters['listedFiles']} of ${files.length} files`);
  }
}

/** After the end nothing runs, nothing is leased, nobody drives. */
async function checkQuiet({ cluster }: Sim): Promise<void> {
  await cluster.advance(3000);
  for (const peer of cluster.peers.filter(({ alive }) => alive)) {
    const leases = [...peer.store.leaseHolders()];
    if (leases.length > 0) cluster.problems.push(`${peer.id} leases ${leases.join(' ')}`);
    const pending = peer.executor.pendingCount;
    if (pending > 0) cluster.problems.push(`${peer.id} has ${pending} tasks pending`);
    if (peer.coordinator.driverOf(JOB)) cluster.problems.push(`${peer.id} drives the job`);
  }
}

function isOver({ cluster }: Sim): boolean {
  return cluster.job !== undefined && !isActiveState(cluster.job.state);
}

function done(t: ExecutionContext, { cluster }: Sim, replay: string): void {
  t.deepEqual(cluster.problems, [], replay);
}

function addFaults(sim: Sim, untilMs: number, mayChange: boolean): void {
  const { cluster } = sim;
  const { pick } = { pick: (bound: number) => cluster.pick(bound) };
  Object.assign(cluster.faults, {
    lossRate: pick(3) === 0 ? 0.05 : 0,
    duplicateRate: pick(3) === 0 ? 0.1 : 0,
    delayMaxMs: 1 + pick(100),
  });
  const ufsRate = pick(3) === 0 ? 0.05 : 0;
  cluster.ufsFault = () => {
    if (cluster.random.next() >= ufsRate) return undefined;
    const code = pick(2) === 0 ? 'ufs_unavailable' : 'ufs_throttled';
    return new RingloadError(code, 'a fault of the store');
  };
  const strike = (): void => {
    if (cluster.clock.nowMs() >= untilMs) return;
    const peer = cluster.peers[pick(cluster.peers.length)];
    const draw = pick(8);
    if (peer && draw <= 2) {
      cluster.crash(peer, (['keeps all', 'loses leases', 'wiped'] as const)[pick(3)] ?? 'wiped');
      cluster.clock.setTimer(50 + pick(5000), () => {
        cluster.restart(peer);
      });
    } else if (draw === 3) {
      cluster.electSomebody(pick(2) === 0);
    } else if (draw === 4 && mayChange) {
      sim.changed = true;
      put(sim, pick(60));
    }
    cluster.clock.setTimer(50 + pick(1000), strike);
  };
  cluster.clock.setTimer(pick(500), strike);
}

function endFaults({ cluster }: Sim): void {
  Object.assign(cluster.faults, { lossRate: 0, duplicateRate: 0, delayMaxMs: 5 });
  cluster.ufsFault = () => undefined;
  for (const peer of cluster.peers) cluster.restart(peer);
  if (!cluster.leader) cluster.electSomebody();
}

test('job simulation: without faults every byte is read once and held R times', async (t) => {
  t.timeout(120_000);
  for (let seed = first; seed < first + count; seed += 1) {
    const replay = `JOB_SIM_SEED=${seed}`;
    const sim = open(seed);
    const { cluster } = sim;
    cluster.submit();
    t.true(await cluster.until(() => isOver(sim), 120_000), `${replay}: no end`);
    t.is(cluster.job?.state, 'SUCCEEDED', replay);
    const total = filesOf(sim).reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
    t.is(cluster.under.readBytes, total + sim.indexBytes, `${replay}: amplification`);
    const counters = cluster.job?.checkpoint?.counters ?? {};
    t.is(counters['loadedBytes'], total, replay);
    t.is(counters['replicaBytes'], total * cluster.spec.replicaCount, replay);
    t.is(cluster.job?.checkpoint?.pass, cluster.spec.verify ? 2 : 1, replay);
    await checkQuiet(sim);
    done(t, sim, replay);
  }
});

test('job simulation: crashes, losses and elections cost no byte and no count', async (t) => {
  t.timeout(120_000);
  for (let seed = first; seed < first + count; seed += 1) {
    const replay = `JOB_SIM_SEED=${seed}`;
    const sim = open(seed);
    const { cluster } = sim;
    cluster.submit();
    addFaults(sim, 6000, seed % 3 === 0);
    await cluster.advance(6000);
    endFaults(sim);
    t.true(await cluster.until(() => isOver(sim), 240_000), `${replay}: no end`);
    if (cluster.job?.state === 'FAILED' && !sim.changed) {
      // What failed under faults can be loaded once they are over.
      cluster.retry();
      t.true(await cluster.until(() => isOver(sim), 240_000), `${replay}: no end of the retry`);
    }
    if (!sim.changed) t.is(cluster.job?.state, 'SUCCEEDED', replay);
    await checkQuiet(sim);
    done(t, sim, replay);
  }
});

test('job simulation: after a stop nothing is read, and a resume completes the job', async (t) => {
  t.timeout(120_000);
  for (let seed = first; seed < first + count; seed += 1) {
    const replay = `JOB_SIM_SEED=${seed}`;
    const sim = open(seed);
    const { cluster } = sim;
    cluster.submit();
    if (seed % 2 === 0) addFaults(sim, 3000, false);
    await cluster.advance(20 + cluster.pick(600));
    const before = cluster.job?.checkpoint?.counters['listedFiles'] ?? 0;
    const wasStopped = !isOver(sim);
    cluster.stop();
    const stoppedMs = cluster.clock.nowMs();
    await cluster.advance(4000);
    if (wasStopped) {
      t.is(cluster.job?.state, 'STOPPED', replay);
      t.true(cluster.lastReadMs <= stoppedMs + 2000, `${replay}: S6`);
      endFaults(sim);
      await checkQuiet(sim);
      cluster.submitAgain();
      t.is(cluster.job?.run, 2, replay);
      t.true((cluster.job?.checkpoint?.counters['listedFiles'] ?? 0) >= before, replay);
      t.true(await cluster.until(() => isOver(sim), 240_000), `${replay}: no end`);
      t.is(cluster.job?.state, 'SUCCEEDED', replay);
    }
    done(t, sim, replay);
  }
});

test('job simulation: what is asked for and does not exist fails alone, once, whoever leads', async (t) => {
  t.timeout(120_000);
  for (let seed = first; seed < first + count; seed += 1) {
    const replay = `JOB_SIM_SEED=${seed}`;
    const sim = open(seed);
    const { cluster } = sim;
    // Before, between and behind what exists.
    const missing = ['s3://b/d/!', 's3://b/d/sub!', 's3://b/d/05', 's3://b/e'].filter(
      (path) => !sim.files.has(path),
    );
    askForSome(sim, { asIndex: seed % 2 === 0, missing });
    cluster.spec = { ...cluster.spec, exclude: ['*7'] };
    cluster.submit();
    addFaults(sim, 4000, false);
    await cluster.advance(4000);
    endFaults(sim);
    t.true(await cluster.until(() => isOver(sim), 240_000), `${replay}: no end`);
    // What failed under faults can be loaded once they are over.
    cluster.retry();
    t.true(await cluster.until(() => isOver(sim), 240_000), `${replay}: no end of the retry`);
    t.is(cluster.job?.state, 'FAILED', replay);
    const checkpoint = cluster.job?.checkpoint;
    const failed = checkpoint?.failures.map(({ path, code }) => `${code} ${path}`).sort();
    t.deepEqual(failed, missing.map((path) => `ufs_not_found ${path}`).sort(), replay);
    const files = filesOf(sim);
    const filtered = files.filter(([path]) => path.endsWith('7')).length;
    const { counters = {} } = checkpoint ?? {};
    t.is(counters['listedFiles'], files.length + missing.length, replay);
    t.is(counters['failedFiles'], missing.length, replay);
    t.is(counters['filteredFiles'], filtered, replay);
    const kept = (counters['loadedFiles'] ?? 0) + (counters['skippedFiles'] ?? 0);
    t.is(kept, files.length - filtered, replay);
    await checkQuiet(sim);
    done(t, sim, replay);
  }
});
