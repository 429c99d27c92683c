import test from 'ava';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SeededRandom } from '../../src/base/random.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { waitFor } from './support/patient-wait.ts';
import { runCli, RunningCli } from './support/run-cli.ts';
import { runInside } from './support/run-inside.ts';
import { TestPeer } from './support/test-peer.ts';
import { World } from './support/world.ts';

const CONTENT = '/v1/files/content';

function randomBytes(size: number, seed = 7): Buffer {
  const random = new SeededRandom(seed);
  return Buffer.from(Uint8Array.from({ length: size }, () => Math.floor(random.next() * 256)));
}

/** Answers as if all of `bytes` were to come, sends some, and cuts the connection. */
function sendPart(response: ServerResponse, bytes: Buffer, partBytes: number, etag = '"v1"'): true {
  response.writeHead(200, { 'content-length': bytes.length, etag });
  response.write(bytes.subarray(0, partBytes), () => {
    response.destroy();
  });
  return true;
}

test.serial('cat: writes exactly the bytes of the file, and of a range', async (t) => {
  const world = new World();
  const bytes = randomBytes(300_000);
  world.addFile('s3://b/odd ?#&+%41 name', bytes);
  await using peer = await TestPeer.start(world);
  const words = ['cat', 's3://b/odd ?#&+%41 name', '--peer', peer.address];
  const whole = await runInside(words);
  t.true(whole.bytes.equals(bytes), whole.stderr);
  t.is(whole.stderr, '');
  for (const [range, from, to] of [
    ['0-0', 0, 1],
    ['1000-299999', 1000, 300_000],
    ['299999-', 299_999, 300_000],
    ['5-999999999', 5, 300_000],
  ] as const) {
    const part = await runInside([...words, '--range', range]);
    t.true(part.bytes.equals(bytes.subarray(from, to)), range);
  }
});

test.serial('cat: a reader that closes early ends it quietly, exit 0', async (t) => {
  const world = new World();
  world.addFile('s3://b/f', randomBytes(5_000_000));
  await using peer = await TestPeer.start(world);
  const cli = new RunningCli(['cat', 's3://b/f', '--peer', peer.address]);
  await once(cli.process.stdout, 'data');
  cli.process.stdout.destroy();
  const [exitCode] = (await once(cli.process, 'close')) as [number];
  t.is(exitCode, 0);
  t.is(cli.stderr, '');
  await t.throwsAsync(cli.result);
});

test.serial('get: writes the file complete and leaves nothing else behind', async (t) => {
  const world = new World();
  const bytes = randomBytes(200_000);
  world.addFile('s3://b/d/file', bytes);
  await using peer = await TestPeer.start(world);
  await using folder = await tempFolder('get');
  const env = { RINGLOAD_PEER: peer.address };
  const plain = await runCli(['get', 's3://b/d/file'], { env, cwd: folder.path });
  t.is(plain.stderr, 'saved file (195 KiB)\n');
  t.is(plain.stdout, '');
  const inside = join(folder.path, 'inside');
  await mkdir(inside);
  const json = await runCli(['get', 's3://b/d/file', inside, '--json'], { env });
  t.deepEqual(JSON.parse(json.stdout), {
    path: 's3://b/d/file',
    file: join(inside, 'file'),
    bytes: 200_000,
  });
  t.deepEqual(await readdir(folder.path), ['file', 'inside']);
  t.deepEqual(await readdir(inside), ['file']);
  t.true((await readFile(join(folder.path, 'file'))).equals(bytes));
  t.true((await readFile(join(inside, 'file'))).equals(bytes));
});

test.serial(
  'get: a peer that dies in the middle is replaced, the rest comes from another',
  async (t) => {
    const world = new World();
    const bytes = randomBytes(400_000);
    world.addFile('s3://b/f', bytes);
    await using broken = await TestPeer.start(world);
    await using whole = await TestPeer.start(world);
    broken.fault = ({ url }, response) =>
      url?.startsWith(CONTENT) === true && sendPart(response, bytes, 100_000, etagOfV1);
    const etagOfV1 = await etagOf(whole);
    await using folder = await tempFolder('get');
    const peers = `${broken.address},${whole.address}`;
    const result = await runCli(['get', 's3://b/f', 'out', '--peer', peers], { cwd: folder.path });
    t.is(result.exitCode, 0, result.stderr);
    t.true((await readFile(join(folder.path, 'out'))).equals(bytes));
    const resumed = whole.seen.find(
      ({ url }) => url.startsWith(CONTENT) && url.includes('path=s3'),
    );
    t.regex(whole.seen.at(-1)?.headers.range ?? '', /^bytes=\d+-399999$/);
    t.is(whole.seen.at(-1)?.headers['if-range'], etagOfV1);
    t.truthy(resumed);
  },
);

async function etagOf(peer: TestPeer): Promise<string> {
  const response = await fetch(`http://${peer.address}${CONTENT}?path=s3%3A%2F%2Fb%2Ff`);
  await response.arrayBuffer();
  return response.headers.get('etag') ?? '';
}

test.serial(
  'get: a file that becomes another version in the middle is not patched together',
  async (t) => {
    const world = new World();
    const bytes = randomBytes(400_000);
    world.addFile('s3://b/f', bytes);
    await using peer = await TestPeer.start(world);
    peer.fault = ({ url, headers }, response) =>
      url?.startsWith(CONTENT) === true &&
      headers.range === undefined &&
      sendPart(response, bytes, 100_000, '"older"');
    await using folder = await tempFolder('get');
    const words = ['get', 's3://b/f', 'out', '--peer', peer.address];
    const result = await runCli(words, { cwd: folder.path });
    t.is(result.exitCode, 1);
    t.regex(result.stderr, /read s3:\/\/b\/f: it became another version after \d+ bytes/);
    t.deepEqual(await readdir(folder.path), []);
  },
);

test.serial('get: an answer that stays short is an error, and the old file stays', async (t) => {
  const world = new World();
  const bytes = randomBytes(10_000);
  world.addFile('s3://b/f', bytes);
  await using peer = await TestPeer.start(world);
  // No entity tag: nothing could prove that a second answer is of the same version.
  peer.fault = ({ url }, response) => {
    if (url?.startsWith(CONTENT) !== true) return false;
    response.writeHead(200, { 'content-length': 10_000 });
    response.write(bytes.subarray(0, 5_000), () => response.destroy());
    return true;
  };
  await using folder = await tempFolder('get');
  await writeFile(join(folder.path, 'out'), 'old');
  const words = ['get', 's3://b/f', 'out', '--peer', peer.address];
  const result = await runCli(words, { cwd: folder.path });
  t.is(result.exitCode, 75, result.stderr);
  t.deepEqual(await readdir(folder.path), ['out']);
  t.is(await readFile(join(folder.path, 'out'), 'utf8'), 'old');
});

test.serial('get: an answer without a length is refused', async (t) => {
  await using peer = await TestPeer.start(new World());
  peer.fault = (_request, response) => {
    response.write('some');
    response.end();
    return true;
  };
  const result = await runInside(['cat', 's3://b/f', '--peer', peer.address]);
  t.is(result.exitCode, 78);
  t.regex(result.stderr, /answered with no Content-Length/);
  t.is(result.stdout, '');
});

test.serial('get: ^C leaves no temporary file', async (t) => {
  const world = new World();
  await using peer = await TestPeer.start(world);
  peer.fault = (_request, response) => {
    response.writeHead(200, { 'content-length': 1_000_000, etag: '"v1"' });
    response.write(Buffer.alloc(1000));
    return true;
  };
  await using folder = await tempFolder('get');
  const words = ['get', 's3://b/f', 'out', '--peer', peer.address];
  const cli = new RunningCli(words, { cwd: folder.path });
  await waitFor(async () => (await readdir(folder.path)).length > 0, { what: 'a temporary file' });
  cli.process.kill('SIGTERM');
  t.is((await cli.result).exitCode, 143);
  t.deepEqual(await readdir(folder.path), []);
});

test.serial('get: a place that cannot be written is named', async (t) => {
  const world = new World();
  world.addFile('s3://b/f', 'x');
  await using peer = await TestPeer.start(world);
  const words = ['get', 's3://b/f', '/nonexistent/dir/out', '--peer', peer.address];
  const result = await runCli(words);
  t.is(result.stderr, 'ringload: write /nonexistent/dir/out: no such file or directory\n');
  t.is(result.exitCode, 1);
});

test.serial(
  'get -r: copies the tree; keys that would leave it are refused, the others arrive',
  async (t) => {
    const world = new World();
    const names = ['a', 'sub/b', 'sub/c', 'sub/deep/d', 'e'];
    for (const name of names) world.addFile(`s3://b/tree/${name}`, `content of ${name}`);
    for (const evil of ['../outside', 'x/../../outside', '/absolute', 'sub//double', 'end/']) {
      world.addFile(`s3://b/tree/${evil}`, 'evil');
    }
    world.addFile('s3://b/tree-of-others/f', 'not below');
    await using peer = await TestPeer.start(world);
    await using folder = await tempFolder('get');
    await mkdir(join(folder.path, 'inner'));
    const words = ['get', '-r', 's3://b/tree/', './inner/copy', '--json', '--peer', peer.address];
    const result = await runCli(words, { cwd: folder.path });
    t.is(result.exitCode, 1);
    const summary = JSON.parse(result.stdout) as { files: number; failed: unknown[] };
    t.is(summary.files, names.length);
    t.is(summary.failed.length, 5);
    for (const name of names) {
      t.is(await readFile(join(folder.path, 'inner/copy', name), 'utf8'), `content of ${name}`);
    }
    t.deepEqual(await readdir(folder.path), ['inner']);
    t.deepEqual(await readdir(join(folder.path, 'inner')), ['copy']);
    t.deepEqual((await readdir(join(folder.path, 'inner/copy'))).sort(), ['a', 'e', 'sub']);
  },
);

test.serial('get: replaces a symbolic link instead of writing through it', async (t) => {
  const world = new World();
  world.addFile('s3://b/f', 'new');
  await using peer = await TestPeer.start(world);
  await using folder = await tempFolder('get');
  await writeFile(join(folder.path, 'target'), 'untouched');
  await symlink('target', join(folder.path, 'f'));
  await runCli(['get', 's3://b/f', '--peer', peer.address], { cwd: folder.path });
  t.is(await readFile(join(folder.path, 'target'), 'utf8'), 'untouched');
  t.is(await readFile(join(folder.path, 'f'), 'utf8'), 'new');
});
