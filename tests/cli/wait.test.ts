import test from 'ava';
import { ZERO_COUNTERS } from '../../src/job/job-status.ts';
import { waitFor } from './support/patient-wait.ts';
import { runCli, RunningCli } from './support/run-cli.ts';
import { problem, TestPeer } from './support/test-peer.ts';
import { jobNumber, memberOf, PEER_A, PEER_B, specOf, statusOf, World } from './support/world.ts';

const JOB = jobNumber(1);
const POLL = `/v1/jobs/${JOB}`;

const DONE = {
  state: 'SUCCEEDED',
  listingDone: true,
  elapsedMs: 1500,
  counters: {
    ...ZERO_COUNTERS,
    listedFiles: 2,
    loadedFiles: 2,
    listedBytes: 2048,
    loadedBytes: 2048,
  },
  amplification: 1,
  digest: '00000000deadbeef',
} as const;

/** A peer that has been polled about the job, so the wait is under way. */
async function untilPolled(peer: TestPeer, cli: RunningCli): Promise<void> {
  await waitFor(() => peer.countOf('GET', POLL) > 0, {
    what: 'a poll of the job',
    context: () => cli.stderr,
  });
}

test.serial('load: waits for the end and reports, exit 0', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
  await untilPolled(peer, cli);
  world.update(JOB, DONE);
  const { stdout, stderr, exitCode } = await cli.result;
  t.is(exitCode, 0, stderr);
  t.regex(stdout, /^state +SUCCEEDED$/m);
  t.regex(stdout, /amplification 1\.000/);
  t.regex(stdout, /^digest +00000000deadbeef$/m);
  t.deepEqual(stderr.split('\n').slice(0, 2), [
    `loading s3://b/p, job ${JOB}`,
    'RUNNING 0 B/≥0 B, 0/≥0 files, listing',
  ]);
  t.regex(stderr, /\nSUCCEEDED 100%, 2\.00 KiB\/2\.00 KiB, 2\/2 files/);
});

test.serial(
  'job load --wait: Alluxio’s line first, then the report; alone it submits',
  async (t) => {
    const world = new World();
    await using peer = await TestPeer.start(world);
    const cli = new RunningCli(['job', 'load', 's3://b/p', '--wait', '--peer', peer.address]);
    await untilPolled(peer, cli);
    world.update(JOB, DONE);
    const { stdout, exitCode } = await cli.result;
    t.true(stdout.startsWith(`Load 's3://b/p' is successfully submitted. JobId: ${JOB}\npath  `));
    t.is(exitCode, 0);
  },
);

for (const state of ['FAILED', 'STOPPED'] as const) {
  test.serial(`load: a job that ends ${state} gives exit 1`, async (t) => {
    const world = new World();
    await using peer = await TestPeer.start(world);
    const cli = new RunningCli(['load', 's3://b/p', '--json', '--peer', peer.address]);
    await untilPolled(peer, cli);
    world.update(JOB, { state });
    const { stdout, exitCode } = await cli.result;
    t.is((JSON.parse(stdout) as { state: string }).state, state);
    t.is(exitCode, 1);
  });
}

test.serial('load: ^C leaves the job running, says how to stop it, exit 130', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
  await untilPolled(peer, cli);
  cli.process.kill('SIGINT');
  const { stdout, stderr, exitCode } = await cli.result;
  t.is(exitCode, 130);
  t.is(stdout, '');
  t.true(
    stderr.endsWith(
      `ringload: interrupted: the job goes on; see it with 'ringload job status ${JOB} --peer ${peer.address}', stop it with 'ringload job stop ${JOB} --peer ${peer.address}'\n`,
    ),
    stderr,
  );
  t.deepEqual(world.stopped, []);
  t.is(world.jobs[0]?.state, 'RUNNING');
});

test.serial('load: --max-wait ends the wait with exit 6, the job goes on', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const words = ['load', 's3://b/p', '--max-wait', '300ms', '--peer', peer.address];
  const { stderr, exitCode } = await runCli(words);
  t.is(exitCode, 6);
  t.regex(stderr, /has not ended within --max-wait: the job goes on/);
  t.deepEqual(world.stopped, []);
});

test.serial('load: the death of the contacted peer does not end the wait', async (t) => {
  const world = new World();
  await using first = await TestPeer.start(world);
  await using second = await TestPeer.start(world);
  world.members = [memberOf(PEER_A, first.address), memberOf(PEER_B, second.address)];
  // Only the first is named: the second has to be learned before the first dies.
  const cli = new RunningCli(['load', 's3://b/p', '--peer', first.address]);
  await untilPolled(first, cli);
  await first.die();
  await untilPolled(second, cli);
  world.update(JOB, DONE);
  const { stdout, stderr, exitCode } = await cli.result;
  t.is(exitCode, 0, stderr);
  t.regex(stdout, /SUCCEEDED/);
  t.regex(stderr, new RegExp(`${first.address}: connection (refused|reset|closed)`));
});

test.serial(
  'load: a contacted peer that is paused, not dead, does not end or stall the wait',
  async (t) => {
    const world = new World();
    await using first = await TestPeer.start(world);
    await using second = await TestPeer.start(world);
    world.members = [memberOf(PEER_A, first.address), memberOf(PEER_B, second.address)];
    const cli = new RunningCli(['load', 's3://b/p', '--peer', first.address]);
    await untilPolled(first, cli);
    first.fault = () => true;
    await waitFor(() => second.countOf('GET', POLL) > 2, { what: 'polls of the second peer' });
    const muted = first.seen.length;
    await waitFor(() => second.countOf('GET', POLL) > 4, { what: 'more polls of the second peer' });
    t.is(first.seen.length, muted, 'the peer that fell silent is not asked first again');
    world.update(JOB, DONE);
    const { exitCode, stderr } = await cli.result;
    t.is(exitCode, 0, stderr);
  },
);

test.serial('load: a cluster that is silent for a while does not end the wait', async (t) => {
  const world = new World();
  const peer = await TestPeer.start(world);
  const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
  await untilPolled(peer, cli);
  await peer.die();
  // Longer than one poll with all its rounds takes when connections are refused.
  await waitFor(() => cli.process.exitCode !== null, {
    what: 'an early end',
    deadlineMs: 3_000,
  }).then(
    () => t.fail(`it gave up: ${cli.stderr}`),
    () => undefined,
  );
  await using again = await TestPeer.start(world, peer.port);
  world.update(JOB, DONE);
  const { exitCode, stderr } = await cli.result;
  t.is(exitCode, 0, stderr);
  t.true(again.countOf('GET', POLL) > 0);
});

test.serial(
  'load: a cluster that stays silent ends the wait after --timeout, exit 75',
  async (t) => {
    const world = new World();
    const peer = await TestPeer.start(world);
    const words = ['load', 's3://b/p', '--timeout', '1s', '--peer', peer.address];
    const cli = new RunningCli(words);
    await untilPolled(peer, cli);
    await peer.die();
    const { stderr, exitCode } = await cli.result;
    t.is(exitCode, 75);
    t.regex(stderr, /no peer answers \(.*connection refused\): the job goes on/);
  },
);

test.serial('load: an election in the middle is sat out', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
  await untilPolled(peer, cli);
  const polls = peer.countOf('GET', POLL);
  peer.fault = (_request, response) => problem(response, 503, 'no_leader');
  await waitFor(() => peer.countOf('GET', POLL) >= polls + 3, { what: 'three refused polls' });
  peer.fault = undefined;
  world.update(JOB, DONE);
  const { exitCode, stderr } = await cli.result;
  t.is(exitCode, 0, stderr);
});

test.serial(
  'load: a follower that has not heard of the job yet does not end the wait',
  async (t) => {
    const world = new World();
    await using peer = await TestPeer.start(world);
    let unknown = 2;
    peer.fault = ({ url }, response) =>
      url === POLL && unknown-- > 0 && problem(response, 404, 'not_found');
    const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
    await waitFor(() => peer.countOf('GET', POLL) > 2, { what: 'a third poll' });
    world.update(JOB, DONE);
    t.is((await cli.result).exitCode, 0);
  },
);

test.serial('load: lost credentials end the wait at once, exit 5', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
  await untilPolled(peer, cli);
  peer.fault = (_request, response) => problem(response, 401, 'unauthenticated');
  const { exitCode, stderr } = await cli.result;
  t.is(exitCode, 5);
  t.regex(stderr, /told unauthenticated: the job goes on/);
});

test.serial('load: a stale STOPPED of a lagging peer does not end a resumed wait', async (t) => {
  const world = new World();
  world.jobs = [statusOf(1, 's3://b/p', { state: 'STOPPED', spec: specOf('s3://b/p') })];
  await using peer = await TestPeer.start(world);
  let stale = 2;
  peer.fault = ({ url }, response) => {
    if (url !== POLL || stale-- <= 0) return false;
    response.end(JSON.stringify(statusOf(1, 's3://b/p', { state: 'STOPPED', stale: true })));
    return true;
  };
  const cli = new RunningCli(['load', 's3://b/p', '--peer', peer.address]);
  await waitFor(() => peer.countOf('GET', POLL) > 2, { what: 'a third poll' });
  world.update(JOB, DONE);
  t.is((await cli.result).exitCode, 0);
});

test.serial('job retry --wait and job status --wait: follow the job to its end', async (t) => {
  const world = new World();
  world.jobs = [statusOf(1, 's3://b/p', { state: 'FAILED' })];
  await using peer = await TestPeer.start(world);
  const retry = new RunningCli(['job', 'retry', 's3://b/p', '--wait', '--peer', peer.address]);
  await waitFor(() => peer.countOf('GET', `/v1/jobs/${jobNumber(2)}`) > 0, { what: 'a poll' });
  const watch = new RunningCli(['job', 'status', 's3://b/p', '--wait', '--peer', peer.address]);
  await waitFor(() => /RUNNING/.test(watch.stderr), { what: 'progress of the watcher' });
  world.update(jobNumber(2), DONE);
  t.is((await retry.result).exitCode, 0);
  t.is((await watch.result).exitCode, 0);
});
