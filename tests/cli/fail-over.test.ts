import test from 'ava';
import { runInside } from './support/run-inside.ts';
import { deadAddress, problem, TestPeer } from './support/test-peer.ts';
import { jobNumber, memberOf, PEER_A, PEER_B, World, statusOf } from './support/world.ts';

test.serial('fail-over: a dead first peer is passed over and named', async (t) => {
  await using peer = await TestPeer.start(new World());
  const dead = await deadAddress();
  const result = await runInside(['job', 'list', '--json', '--peer', `${dead},${peer.address}`]);
  t.deepEqual(JSON.parse(result.stdout), { jobs: [] });
  t.is(result.stderr, `ringload: ${dead}: connection refused; asking another peer\n`);
  t.is(result.exitCode, 0);
});

test.serial('fail-over: --quiet says nothing about it', async (t) => {
  await using peer = await TestPeer.start(new World());
  const peers = `${await deadAddress()},${peer.address}`;
  const result = await runInside(['job', 'list', '--ids', '-q', '--peer', peers]);
  t.is(result.stderr, '');
  t.is(result.exitCode, 0);
});

test.serial('fail-over: when every peer is dead the error names them all, exit 75', async (t) => {
  const [one, two] = [await deadAddress(), await deadAddress()];
  const result = await runInside(['job', 'list', '-q', '--peer', `${one},${two}`]);
  t.regex(result.stderr, /^ringload: no peer answers \(.*connection refused; .*refused\)\n$/);
  t.true(result.stderr.includes(one) && result.stderr.includes(two));
  t.is(result.exitCode, 75);
});

test.serial('fail-over: an election is waited out', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  let refusals = 3;
  peer.fault = (_request, response) => refusals-- > 0 && problem(response, 503, 'no_leader');
  const result = await runInside(['load', 's3://b/p', '-d', '--peer', peer.address]);
  t.is(result.stdout, `${jobNumber(1)}\n`);
  t.is(result.exitCode, 0);
});

test.serial('fail-over: without a leader for the whole time it ends with exit 4', async (t) => {
  await using peer = await TestPeer.start(new World());
  peer.fault = (_request, response) => problem(response, 503, 'no_leader');
  const words = ['job', 'list', '-q', '--timeout', '700ms', '--peer', peer.address];
  const result = await runInside(words);
  t.is(result.stderr, 'ringload: told no_leader\n');
  t.is(result.exitCode, 4);
});

test.serial(
  'fail-over: a peer that answers nothing costs its share of the time, then another is asked',
  async (t) => {
    await using mute = await TestPeer.start(new World());
    mute.fault = () => true;
    const words = ['job', 'list', '-q', '--timeout', '600ms', '--peer', mute.address];
    const result = await runInside(words);
    t.regex(result.stderr, /no answer in time/);
    t.is(result.exitCode, 6);
  },
);

test.serial(
  'fail-over: a peer that breaks off in the middle of an answer is replaced',
  async (t) => {
    const world = new World();
    await using broken = await TestPeer.start(world);
    await using whole = await TestPeer.start(world);
    broken.fault = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"jobs":');
      setImmediate(() => response.destroy());
      return true;
    };
    const peers = `${broken.address},${whole.address}`;
    const result = await runInside(['job', 'list', '--json', '--peer', peers]);
    t.deepEqual(JSON.parse(result.stdout), { jobs: [] });
    t.is(result.exitCode, 0);
  },
);

test.serial(
  'fail-over: members that were not named are learned from a peer without a leader',
  async (t) => {
    const world = new World();
    await using follower = await TestPeer.start(world);
    await using other = await TestPeer.start(world);
    world.members = [memberOf(PEER_A, other.address), memberOf(PEER_B, follower.address)];
    follower.fault = ({ url }, response) =>
      url === '/v1/jobs' && problem(response, 503, 'not_leader');
    const result = await runInside(['load', 's3://b/p', '-d', '--peer', follower.address]);
    t.is(result.stdout, `${jobNumber(1)}\n`);
    t.is(other.countOf('POST', '/v1/jobs'), 1);
  },
);

test.serial('fail-over: a stop whose answer was lost is still a stop', async (t) => {
  const world = new World();
  world.jobs = [statusOf(1, 's3://b/p')];
  await using peer = await TestPeer.start(world);
  let isFirst = true;
  peer.fault = (request, response) => {
    if (!isFirst || request.method !== 'POST') return false;
    isFirst = false;
    world.update(jobNumber(1), { state: 'STOPPED' });
    response.destroy();
    return true;
  };
  const result = await runInside(['job', 'stop', 's3://b/p', '--peer', peer.address]);
  t.is(result.stdout, `stopped ${jobNumber(1)}\n`);
  t.is(result.exitCode, 0);
});

test.serial('fail-over: a submit whose answer was lost makes no second job', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  let isFirst = true;
  peer.fault = (request, response) => {
    if (!isFirst || request.method !== 'POST') return false;
    isFirst = false;
    world.jobs = [statusOf(1, 's3://b/p')];
    response.destroy();
    return true;
  };
  const result = await runInside(['job', 'load', 's3://b/p', '--submit', '--peer', peer.address]);
  t.is(result.stdout, "Load already running for path 's3://b/p' \n");
  t.is(result.exitCode, 0);
  t.is(world.jobs.length, 1);
});

test.serial('fail-over: an error about the request is not repeated at other peers', async (t) => {
  const world = new World();
  await using one = await TestPeer.start(world);
  await using two = await TestPeer.start(world);
  one.fault = (_request, response) => problem(response, 403, 'forbidden');
  const result = await runInside(['job', 'list', '--peer', `${one.address},${two.address}`]);
  t.is(result.exitCode, 5);
  t.is(one.seen.length, 1);
  t.is(two.seen.length, 0);
});
