import test from 'ava';
import { writeFile } from 'node:fs/promises';
import { tempFolder } from '../support/temp-folder.ts';
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

test.serial('load: several paths are one job, told and stopped by the same words', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  const run = (...words: string[]) => runInside([...words, '--peer', peer.address]);
  const paths = ['s3://b/q/', 's3://b/p', 's3://b/p/below'];
  const first = await run('load', ...paths, '-d', '--priority', 'HIGH', '--alias', 'mine');
  t.is(first.stdout, `${jobNumber(1)}\n`, first.stderr);
  const several = { path: 's3://b/p', paths: ['s3://b/p', 's3://b/q'] };
  t.like(world.submitted[0], { ...several, priority: 'high', alias: 'mine' });
  const told = await run('job', 'load', 's3://b/q', 's3://b/p', '--progress');
  t.true(told.stdout.startsWith("Progress for loading path 's3://b/p,s3://b/q':\n"), told.stdout);
  t.is((await run('job', 'load', 's3://b/p', '--stop')).exitCode, 1);
  t.is((await run('job', 'status', 'mine')).exitCode, 0);
  t.is((await run('job', 'load', 's3://b/p', 's3://b/q', '--stop')).exitCode, 0);
  t.deepEqual(world.stopped, [jobNumber(1)]);
});

test.serial('load: an index file in the under store is named, a local one is read', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  await using folder = await tempFolder();
  const run = (...words: string[]) => runInside([...words, '--peer', peer.address]);
  t.is((await run('load', '--index-file', 's3://b/list', '-d')).exitCode, 0);
  t.like(world.submitted[0], { path: 's3://b/list', index: { version: '', sizeBytes: 0 } });
  const list = `${folder.path}/list`;
  await writeFile(list, '# mine\r\ns3://b/z/\r\n\ns3://b/a\ns3://b/z/below\n');
  const filters = ['--exclude', '*.tmp', '--exclude', 'old/', '--min-size', '1KB'];
  const times = ['--modified-after', '2026-01-31T00:00:00Z'];
  t.is((await run('load', '--index-file', list, '-d', ...filters, ...times)).exitCode, 0);
  t.like(world.submitted[1], {
    paths: ['s3://b/a', 's3://b/z'],
    exclude: ['*.tmp', 'old/'],
    minSizeBytes: 1024,
    modifiedAfterMs: Date.UTC(2026, 0, 31),
  });
  await writeFile(list, Array.from({ length: 1001 }, (_, n) => `s3://b/${n}\n`).join(''));
  const refused = await run('load', '--index-file', list, '-d');
  t.is(refused.exitCode, 2);
  t.is(
    refused.stderr,
    `ringload: the list ${list} lists too much: at most 1000 paths of together 65536 bytes are taken from here; put the list into the under store and name it there, such as --index-file s3://bucket/list\n`,
  );
});
