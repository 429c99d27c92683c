import test from 'ava';
import { runInside } from './support/run-inside.ts';
import { TestPeer, problem } from './support/test-peer.ts';
import { jobNumber, World } from './support/world.ts';

test.serial('job load: every flag arrives in the spec of the job', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const words = [
    ...[
      'job',
      'load',
      '--path',
      's3://b/p/',
      '--submit',
      '--replicas',
      '3',
      '--bandwidth',
      '1.5kb',
    ],
    ...['--verify', '--partial-listing=true', '--metadata-only', '--skip-if-exists'],
    ...['--file-filter-regx', '^hello.*', '--batch-size', '20', '--segment-size', '1MiB'],
    '--no-segmented',
  ];
  const result = await runInside([...words, '--peer', peer.address]);
  t.is(
    result.stdout,
    `Load 's3://b/p' is successfully submitted. JobId: ${jobNumber(1)}\n`,
    result.stderr,
  );
  t.deepEqual(world.submitted, [
    {
      path: 's3://b/p',
      replicaCount: 3,
      segmentSizeBytes: 1024 * 1024,
      segmented: false,
      skipIfExists: true,
      reload: false,
      metadataOnly: true,
      verify: true,
      partialListing: true,
      fileFilterRegex: '^hello.*',
      bandwidthBps: 1536,
      batchSize: 20,
    },
  ]);
});

test.serial(
  'job load: without flags nothing is asked for, no skip report and no reload either',
  async (t) => {
    const world = new World();
    await using peer = await TestPeer.start(world);
    await runInside(['job', 'load', 's3://b/p', '--submit', '--peer', peer.address]);
    t.like(world.submitted[0], {
      skipIfExists: false,
      reload: false,
      verify: false,
      replicaCount: 1,
    });
  },
);

test.serial(
  'job load: both spellings of the regex, and a flag with =false, are understood',
  async (t) => {
    const world = new World();
    await using peer = await TestPeer.start(world);
    const words = ['fs', 'load', 's3://b/p', '--submit', '--file-filter-regex', 'x+'];
    const result = await runInside([...words, '--verify=false', '--peer', peer.address]);
    t.is(result.exitCode, 0, result.stderr);
    t.like(world.submitted[0], { fileFilterRegex: 'x+', verify: false });
  },
);

test.serial('load: without flags resident versions are skipped', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const result = await runInside(['load', 's3://b/p', '-d', '--peer', peer.address]);
  t.is(result.stdout, `${jobNumber(1)}\n`);
  t.like(world.submitted[0], { skipIfExists: true, reload: false });
});

test.serial('job load: a failure of the cluster is told on stdout with exit 1', async (t) => {
  await using peer = await TestPeer.start(new World());
  peer.fault = (_request, response) => problem(response, 401, 'unauthenticated');
  for (const [flag, words] of [
    ['--submit', 'Failed to submit load job'],
    ['--stop', 'Failed to stop load job'],
    ['--progress', 'Failed to get progress for load job'],
  ] as const) {
    const result = await runInside(['job', 'load', 's3://b/p', flag, '--peer', peer.address]);
    t.is(result.stdout, `${words} s3://b/p: told unauthenticated\n`);
    t.is(result.exitCode, 1);
  }
});

test.serial('load: a failure of the cluster ends with the exit code of its error', async (t) => {
  await using peer = await TestPeer.start(new World());
  const table = [
    [401, 'unauthenticated', 5],
    [403, 'forbidden', 5],
    [400, 'path_not_mounted', 2],
    [400, 'invalid_argument', 2],
    [404, 'ufs_not_found', 3],
    [409, 'conflict', 1],
    [500, 'internal', 70],
    [418, 'never heard of it', 2],
    [302, 'never heard of it', 78],
  ] as const;
  for (const [status, code, exitCode] of table) {
    peer.fault = (_request, response) => problem(response, status, code);
    const result = await runInside(['load', 's3://b/p', '-d', '--peer', peer.address]);
    const request = status === 500 ? ' (request request-1)' : '';
    t.is(result.stderr, `ringload: told ${code}${request}\n`);
    t.is(result.exitCode, exitCode, code);
    t.is(result.stdout, '');
  }
});

test.serial(
  'load: an answer that is no Ringload answer is told apart from a failure',
  async (t) => {
    await using peer = await TestPeer.start(new World());
    for (const [body, words] of [
      ['<html>hello</html>', 'did not answer POST /v1/jobs with JSON'],
      ['{"jobId":7}', 'answered POST /v1/jobs in an unknown form (jobId is not a text)'],
      ['[]', 'answered POST /v1/jobs in an unknown form (the answer is not an object)'],
    ] as const) {
      peer.fault = (_request, response) => {
        response.end(body);
        return true;
      };
      const result = await runInside(['load', 's3://b/p', '-d', '--peer', peer.address]);
      t.true(result.stderr.startsWith(`ringload: ${peer.address} ${words}`), result.stderr);
      t.is(result.exitCode, 78);
    }
  },
);

test.serial(
  'client: the token of the environment or of a file goes into the header alone',
  async (t) => {
    await using peer = await TestPeer.start(new World());
    const env = { RINGLOAD_PEER: peer.address, RINGLOAD_TOKEN: 'secret-token' };
    const result = await runInside(['job', 'list'], { env });
    t.is(peer.seen[0]?.headers.authorization, 'Bearer secret-token');
    t.false(`${result.stdout}${result.stderr}${peer.seen[0]?.url}`.includes('secret-token'));
  },
);
