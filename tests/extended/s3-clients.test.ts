/**
 * Clients that people use, unchanged, against a cluster of three: each lists, looks at, and reads
 * objects whole, in ranges and several at once, odd keys, an empty one and one beyond 5 GiB among
 * them. `install-s3-clients.sh` and `install-fuse.sh` install them.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { requires } from '../support/requires.ts';
import {
  BUCKET,
  CLIENTS_HOME,
  clientMissing,
  ClientStage,
  HUGE,
  LARGE,
  ODD,
  PLAIN,
  type Streamed,
  WILD,
} from './support/client-stage.ts';
import { fuseMissing, FuseMount, programPath } from './support/fuse.ts';

const TAIL_BYTES = 1000;
const SCRIPTS = resolve('tests/extended/support');
const LIBRARIES_PYTHON = join(CLIENTS_HOME, 'libraries/bin/python');

let stage: ClientStage;
test.before(async () => {
  stage = await ClientStage.open();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

/** Up to a minute each: the quickest is enough, unless `S3_CLIENTS_HUGE=all`. */
const streamMissing = (name: string): string | undefined =>
  name === 's3torchconnector' || process.env['S3_CLIENTS_HUGE'] === 'all'
    ? undefined
    : 'S3_CLIENTS_HUGE=all';

const sumOf = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const fileSum = async (path: string): Promise<string> => sumOf(await readFile(path));
const tailSum = (key: string): string =>
  stage.sha256(key, stage.sizeOf(key) - TAIL_BYTES, TAIL_BYTES);

interface CommandClient {
  readonly name: string;
  readonly program: string;
  readonly list: () => readonly string[];
  /** Prints the size of an object. */
  readonly head: (key: string) => readonly string[];
  readonly get: (key: string, to: string) => readonly string[];
  /** All odd keys, several at once, into a folder. */
  readonly getAll: (to: string) => readonly string[];
  /** The end of an object, printed or written to a file. */
  readonly tail?: (key: string, to: string) => readonly string[];
  /** Prints an object of any size. */
  readonly stream: (key: string) => readonly string[];
}

const at = (): readonly string[] => ['--endpoint-url', stage.endpoint];
const url = (key: string): string => `s3://${BUCKET}/${key}`;
const rclone = (key = ''): string =>
  `:s3,provider=Other,endpoint="${stage.endpoint}",env_auth=true,force_path_style=true:${BUCKET}/${key}`;
const named = (key: string): readonly string[] => ['--bucket', BUCKET, '--key', key];
// Tags of this origin look like an MD5 and are none; the bytes are compared below.
const UNHASHED = '--ignore-checksum';

const COMMANDS: readonly CommandClient[] = [
  {
    name: 'aws-cli',
    program: 'aws',
    list: () => ['s3', 'ls', '--recursive', url('odd/'), ...at()],
    head: (key) => ['s3api', 'head-object', ...named(key), ...at()],
    get: (key, to) => ['s3', 'cp', '--quiet', url(key), to, ...at()],
    getAll: (to) => ['s3', 'cp', '--quiet', '--recursive', url('odd/'), to, ...at()],
    stream: (key) => ['s3', 'cp', url(key), '-', ...at()],
    tail: (key, to) => {
      const first = stage.sizeOf(key) - TAIL_BYTES;
      return ['s3api', 'get-object', ...named(key), '--range', `bytes=${first}-`, to, ...at()];
    },
  },
  {
    name: 's5cmd',
    program: 's5cmd',
    list: () => [...at(), 'ls', url('odd/*')],
    head: (key) => [...at(), 'head', '--raw', url(key)],
    get: (key, to) => [...at(), 'cp', '--raw', url(key), to],
    getAll: (to) => [...at(), 'cp', url('odd/*'), to],
    stream: (key) => [...at(), 'cat', url(key)],
  },
  {
    name: 'rclone',
    program: 'rclone',
    list: () => ['lsf', '-R', '--files-only', rclone('odd')],
    head: (key) => ['lsl', rclone(key)],
    get: (key, to) => ['copyto', UNHASHED, rclone(key), to],
    getAll: (to) => ['copy', '--transfers', '8', UNHASHED, rclone('odd'), to],
    stream: (key) => ['cat', rclone(key)],
    tail: (key) => ['cat', '--offset', String(stage.sizeOf(key) - TAIL_BYTES), rclone(key)],
  },
];

for (const client of COMMANDS) {
  const { name } = client;
  const program = join(CLIENTS_HOME, 'bin', client.program);
  const run = (args: readonly string[]): Promise<Buffer> => stage.run(program, args);
  const title = `clients: ${name} lists, looks at and copies objects of every kind`;
  requires(clientMissing(name, program))(title, async (t) => {
    t.timeout(300_000);
    const listed = (await run(client.list())).toString();
    for (const key of ODD) t.true(listed.includes(key.slice(4)), `${key} in ${listed}`);
    for (const key of [HUGE, LARGE, ODD[5] ?? '']) {
      const told = (await run(client.head(key))).toString();
      t.regex(told, new RegExp(`\\b${stage.sizeOf(key)}\\b`), key);
    }
    const folder = join(stage.folder.path, name);
    await run(client.getAll(folder));
    for (const key of ODD) t.is(await fileSum(join(folder, key.slice(4))), stage.sha256(key), key);
    const to = join(stage.folder.path, `${name}-copy`);
    for (const key of ['empty', 'one', 'dir/small', LARGE, ODD[2] ?? '', ODD[5] ?? '']) {
      await run(client.get(key, to));
      t.is(await fileSum(to), stage.sha256(key), key);
    }
    if (!client.tail) return;
    await rm(to);
    const printed = await run(client.tail(HUGE, to));
    t.is(existsSync(to) ? await fileSum(to) : sumOf(printed), tailSum(HUGE));
  });
  requires(clientMissing(name, program) ?? streamMissing(name))(
    `clients: ${name} reads 5 GiB and a byte from end to end`,
    async (t) => {
      t.timeout(300_000);
      const streamed = await stage.runStreaming(program, client.stream(HUGE));
      t.deepEqual(streamed, stage.hugeStreamed());
    },
  );
}

interface Library {
  readonly name: string;
  /** Command and arguments, to which endpoint, bucket and plan are added. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly needs: string;
  /** It reads ranges as it sees fit, never one that is asked for. */
  readonly isWholeOnly?: boolean;
  /** Keys that it does not ask for as they are: see docs/COMPATIBILITY.md. */
  readonly refuses?: readonly string[];
}

const python = (name: string, home = LIBRARIES_PYTHON): Pick<Library, 'command' | 'needs'> => ({
  command: [home, join(SCRIPTS, 's3-clients.py'), name],
  needs: home,
});
const node = (name: string, module: string, needs: string): Pick<Library, 'command' | 'needs'> => ({
  command: [process.execPath, join(SCRIPTS, 's3-clients.mjs'), name, module],
  needs,
});
const MINIO = join(CLIENTS_HOME, 'node/node_modules/minio/dist/esm/minio.mjs');

const LIBRARIES: readonly Library[] = [
  { name: 'boto3', ...python('Boto3', join(CLIENTS_HOME, 'bin/python')) },
  // A key that ends with a slash is a directory to it, and has no size.
  { name: 's3fs', ...python('S3fs'), refuses: ['wild/last/'] },
  // Its paths have no empty parts and no dots as parts.
  { name: 'obstore', ...python('Obstore'), refuses: WILD },
  { name: 's3torchconnector', ...python('S3torchconnector') },
  // What it sends has the dots resolved, what it signs has not.
  {
    name: 'duckdb',
    ...python('Duckdb'),
    isWholeOnly: true,
    refuses: ['wild/up/../down', 'wild/here/./there'],
  },
  { name: '@aws-sdk/client-s3', ...node('awsSdk', '@aws-sdk/client-s3', process.execPath) },
  { name: 'minio-js', ...node('minio', MINIO, MINIO) },
];

interface Plan {
  readonly keys: readonly string[];
  readonly prefix: string;
  /** Read by many requests at once. */
  readonly parallel?: string;
  /** Read from end to end. */
  readonly stream?: string;
}

interface LibraryAnswer {
  readonly listed: readonly string[];
  readonly objects: Readonly<Record<string, unknown>>;
  readonly parallel?: readonly string[];
  readonly streamed?: Streamed;
}

async function ask(command: Library['command'], plan: Plan): Promise<LibraryAnswer> {
  const [program, ...args] = command;
  const words = [...args, stage.endpoint, BUCKET, JSON.stringify(plan)];
  return JSON.parse((await stage.run(program, words)).toString()) as LibraryAnswer;
}

for (const { name, command, needs, isWholeOnly, refuses = [] } of LIBRARIES) {
  const title = `clients: ${name} lists, looks at, reads whole, in ranges and several at once`;
  requires(clientMissing(name, needs))(title, async (t) => {
    t.timeout(300_000);
    const keys = [...PLAIN, HUGE, ...WILD];
    const answer = await ask(command, { keys, prefix: 'odd/', parallel: LARGE });
    t.deepEqual(answer.listed, [...ODD].sort());
    t.deepEqual(answer.parallel, [stage.sha256(LARGE)]);
    const expectedOf = (key: string): unknown => ({
      size: stage.sizeOf(key),
      ...(key !== HUGE && { whole: stage.sha256(key) }),
      ...(stage.sizeOf(key) > 2 * TAIL_BYTES && !isWholeOnly && { range: tailSum(key) }),
    });
    const wrong = keys.filter((key) => !isDeepStrictEqual(answer.objects[key], expectedOf(key)));
    for (const key of wrong) t.log(`${key}: ${JSON.stringify(answer.objects[key])}`);
    t.deepEqual(wrong, refuses);
  });
  if (isWholeOnly || name === 's3fs') continue;
  requires(clientMissing(name, needs) ?? streamMissing(name))(
    `clients: ${name} reads 5 GiB and a byte from end to end`,
    async (t) => {
      t.timeout(300_000);
      const { streamed } = await ask(command, { keys: [], prefix: 'odd/', stream: HUGE });
      t.deepEqual(streamed, stage.hugeStreamed());
    },
  );
}

requires(clientMissing('polars', LIBRARIES_PYTHON))(
  'clients: polars and DuckDB read tables by columns, row groups and globs',
  async (t) => {
    t.timeout(300_000);
    const words = [join(SCRIPTS, 's3-tables.py'), stage.tables, stage.endpoint, 'tables'];
    const printed = (await stage.run(LIBRARIES_PYTHON, words)).toString();
    const found = JSON.parse(printed) as Record<string, Record<string, string>>;
    for (const [reader, count] of [
      ['polars', 9],
      ['duckdb', 4],
    ] as const) {
      const verdicts = Object.entries(found[reader] ?? {});
      t.is(verdicts.length, count);
      for (const [what, verdict] of verdicts) t.is(verdict, 'equal', `${reader}: ${what}`);
    }
  },
);

/** A bucket as a folder: files found, looked at and read as any program would. */
async function expectFolder(t: ExecutionContext, folder: string): Promise<void> {
  const found = await readdir(join(folder, 'odd'));
  const names = ODD.map((key) => key.slice(4).split('/')[0] ?? '');
  t.deepEqual(found.sort(), names.sort());
  for (const key of [...PLAIN, HUGE]) t.is((await stat(join(folder, key))).size, stage.sizeOf(key));
  const sums = await Promise.all(PLAIN.map((key) => fileSum(join(folder, key))));
  t.deepEqual(
    sums,
    PLAIN.map((key) => stage.sha256(key)),
  );
  const file = await open(join(folder, HUGE));
  try {
    for (const offset of [0, 4 * 1024 ** 3 - 500, stage.sizeOf(HUGE) - TAIL_BYTES]) {
      const { buffer } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, offset);
      t.is(sumOf(buffer), stage.sha256(HUGE, offset, TAIL_BYTES), `at ${offset}`);
    }
  } finally {
    await file.close();
  }
}

const RCLONE = join(CLIENTS_HOME, 'bin/rclone');
requires(fuseMissing(RCLONE))('clients: rclone mount is a folder that reads right', async (t) => {
  t.timeout(300_000);
  const path = join(stage.folder.path, 'rclone-mount');
  const args = ['mount', rclone(), path, '--read-only', '--no-checksum'];
  await using mount = await FuseMount.start(path, RCLONE, args, stage.environment());
  await expectFolder(t, mount.path);
});

const S3FS_FUSE = programPath('s3fs');
requires(fuseMissing(S3FS_FUSE))('clients: s3fs-fuse is a folder that reads right', async (t) => {
  t.timeout(300_000);
  const path = join(stage.folder.path, 's3fs-mount');
  const options = `url=${stage.endpoint},use_path_request_style,ro`;
  const args = [BUCKET, path, '-f', '-o', options];
  await using mount = await FuseMount.start(path, S3FS_FUSE ?? '', args, stage.environment());
  await expectFolder(t, mount.path);
});
