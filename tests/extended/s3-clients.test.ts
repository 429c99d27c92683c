/**
 * Clients that people use, unchanged, against a cluster of three: each lists, looks at, and reads
 * objects whole and in ranges, odd keys and empty ones among them, from a peer that has none of
 * them, and from one that has. `install-s3-clients.sh` installs them.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import test from 'ava';
import { ObjectSet } from '../../src/sample/object-set.ts';
import { type SampleStore, startSampleStore } from '../../src/sample/sample-store.ts';
import { virtualBytes } from '../../src/sample/virtual-bytes.ts';
import { cleanEnvironment } from '../support/child.ts';
import { Cluster } from '../support/cluster.ts';
import { requires } from '../support/requires.ts';
import { tempFolder, type TempFolder } from '../support/temp-folder.ts';

const HOME = resolve('.cache/s3-clients');
const BUCKET = 'clients';
const KEY_ID = 'RINGLOADKEY';
const SECRET = 'ringload-client-secret';
const STEP_DEADLINE_MS = 120_000;
const HUGE_BYTES = 5 * 1024 ** 3 + 1;

/** Legal in S3 and as names of files, so that clients which copy to a disk take part. */
const ODD = [
  'with space',
  'plus+plus',
  'a%41%2Fb',
  '100%',
  'hash#x',
  'grüße/日本語',
  "it's (odd)!",
  '🙂',
];
const SIZES: Readonly<Record<string, number>> = {
  empty: 0,
  one: 1,
  'dir/small': 100_000,
  'dir/sub/large': 20 * 1024 * 1024 + 17,
  huge: HUGE_BYTES,
  ...Object.fromEntries(ODD.map((key, index) => [`odd/${key}`, 1000 + index])),
};

let folder: TempFolder;
let store: SampleStore;
let cluster: Cluster;
const objects = new ObjectSet(Object.entries(SIZES));

test.before(async () => {
  folder = await tempFolder('s3-clients');
  store = await startSampleStore({ bucket: BUCKET, objects });
  cluster = await Cluster.start({
    peers: 3,
    mounts: [`s3://${BUCKET},endpoint=${store.endpoint},credentials=anonymous`],
    env: { RINGLOAD_S3_ACCESS_KEYS: `${KEY_ID}:${SECRET}` },
  });
  const jobId = await cluster.submit({ path: `s3://${BUCKET}/dir`, replicas: 2 });
  await cluster.waitForState(jobId, 'SUCCEEDED', 120_000);
});
test.after.always(async () => {
  await cluster[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const endpoint = (): string => cluster.peers[0]?.s3Url ?? '';

async function sha256(key: string, offset = 0, length = SIZES[key] ?? 0): Promise<string> {
  const object = objects.find(key);
  const hash = createHash('sha256');
  if (!object) throw new Error(`no object ${key}`);
  for (const piece of virtualBytes(key, object.version, offset, length)) hash.update(piece);
  return hash.digest('hex');
}

/** Runs a client in a clean environment; what it prints. */
function run(program: string, args: readonly string[]): Promise<string> {
  const env = cleanEnvironment({
    AWS_ACCESS_KEY_ID: KEY_ID,
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    RCLONE_CONFIG: '/dev/null',
    HOME: folder.path,
    LC_ALL: 'C.UTF-8',
  });
  return new Promise((settle, fail) => {
    const options = { env, timeout: STEP_DEADLINE_MS, maxBuffer: 64 * 1024 * 1024 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error)
        fail(new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}${error.message}`));
      else settle(stdout);
    });
  });
}

const fileSum = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

interface CommandClient {
  readonly name: string;
  readonly program: string;
  readonly list: () => readonly string[];
  readonly get: (key: string, to: string) => readonly string[];
}

const rclone = (): string =>
  `:s3,provider=Other,endpoint="${endpoint()}",env_auth=true,force_path_style=true:${BUCKET}`;

const COMMANDS: readonly CommandClient[] = [
  {
    name: 'aws-cli',
    program: 'aws',
    list: () => ['s3', 'ls', '--recursive', `s3://${BUCKET}/odd/`, '--endpoint-url', endpoint()],
    get: (key, to) => [
      's3',
      'cp',
      '--quiet',
      `s3://${BUCKET}/${key}`,
      to,
      '--endpoint-url',
      endpoint(),
    ],
  },
  {
    name: 's5cmd',
    program: 's5cmd',
    list: () => ['--endpoint-url', endpoint(), 'ls', `s3://${BUCKET}/odd/*`],
    get: (key, to) => ['--endpoint-url', endpoint(), 'cp', '--raw', `s3://${BUCKET}/${key}`, to],
  },
  {
    name: 'rclone',
    program: 'rclone',
    list: () => ['lsf', '-R', '--files-only', `${rclone()}/odd`],
    // Tags of this origin look like an MD5 and are none; the bytes are compared below.
    get: (key, to) => ['copyto', '--ignore-checksum', `${rclone()}/${key}`, to],
  },
];

for (const client of COMMANDS) {
  const program = join(HOME, 'bin', client.program);
  const missing = existsSync(program) ? undefined : `${client.name}: install-s3-clients.sh`;
  requires(missing)(`clients: ${client.name} lists and copies objects of every kind`, async (t) => {
    t.timeout(300_000);
    const listed = await run(program, client.list());
    for (const key of ODD) t.true(listed.includes(key), `${key} in ${listed}`);
    const to = join(folder.path, 'copied');
    for (const key of Object.keys(SIZES).filter((one) => one !== 'huge')) {
      await run(program, client.get(key, to));
      t.is(await fileSum(to), await sha256(key), key);
    }
  });
}

/** Each gets (endpoint, bucket, key), prints the object's size and the sums of it and of a range. */
const LIBRARIES: readonly {
  readonly name: string;
  readonly home: string;
  readonly module: string;
  readonly script: string;
  /** It reads ranges as it sees fit, never one that is asked for. */
  readonly isWholeOnly?: boolean;
}[] = [
  {
    name: 'boto3',
    home: HOME,
    module: 'boto3',
    script: `
import boto3
s3 = boto3.client('s3', endpoint_url=endpoint)
size = s3.head_object(Bucket=bucket, Key=key)['ContentLength']
found = [o['Key'] for p in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket, Prefix=key) for o in p['Contents']]
assert key in found, found
read = lambda a, b: s3.get_object(Bucket=bucket, Key=key, Range=f'bytes={a}-{b - 1}')['Body'].read()
whole = lambda: s3.get_object(Bucket=bucket, Key=key)['Body'].read()
`,
  },
  {
    name: 's3fs',
    home: join(HOME, 'libraries'),
    module: 's3fs',
    script: `
import s3fs
fs = s3fs.S3FileSystem(endpoint_url=endpoint)
size = fs.info(f'{bucket}/{key}')['size']
read = lambda a, b: fs.cat_file(f'{bucket}/{key}', start=a, end=b)
whole = lambda: fs.cat_file(f'{bucket}/{key}')
`,
  },
  {
    name: 'duckdb',
    home: join(HOME, 'libraries'),
    module: 'duckdb',
    isWholeOnly: true,
    script: `
import duckdb, duckdb_extension_httpfs, glob, os
db = duckdb.connect()
at = os.path.dirname(duckdb_extension_httpfs.__file__)
db.load_extension(glob.glob(f'{at}/extensions/*/httpfs.duckdb_extension')[0])
db.execute(f"CREATE OR REPLACE SECRET (TYPE s3, KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}', SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}', ENDPOINT '{endpoint[7:]}', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')")
blob = lambda columns: db.execute(f"SELECT {columns} FROM read_blob(?)", [f's3://{bucket}/{key}']).fetchone()[0]
size = blob('size')
whole = lambda: blob('content')
read = None
`,
  },
  {
    name: 'obstore',
    home: join(HOME, 'libraries'),
    module: 'obstore',
    script: `
import obstore
from obstore.store import S3Store
store = S3Store(bucket, endpoint=endpoint, region='us-east-1', virtual_hosted_style_request=False, client_options={'allow_http': True})
size = obstore.head(store, key)['size']
read = lambda a, b: bytes(obstore.get_range(store, key, start=a, end=b))
whole = lambda: bytes(obstore.get(store, key).bytes())
`,
  },
];

const HARNESS = `
import hashlib, json, sys
endpoint, bucket, keys = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
answers = {}
for key in keys:
    exec(script)
    answer = {'size': size}
    if size < 2**30:
        answer['whole'] = hashlib.sha256(whole()).hexdigest()
    if size > 2000 and read:
        answer['range'] = hashlib.sha256(read(size - 1001, size - 1)).hexdigest()
    answers[key] = answer
print(json.dumps(answers))
`;

for (const { name, home, module, script, isWholeOnly } of LIBRARIES) {
  const python = join(home, 'bin/python');
  const missing = existsSync(python) ? undefined : `${name}: install-s3-clients.sh`;
  requires(missing)(`clients: ${name} looks at, reads whole and in ranges`, async (t) => {
    t.timeout(300_000);
    const file = join(folder.path, `run-${module}.py`);
    await writeFile(file, `script = ${JSON.stringify(script)}\n${HARNESS}`);
    const keys = Object.keys(SIZES);
    const printed = await run(python, [file, endpoint(), BUCKET, JSON.stringify(keys)]);
    const answers = JSON.parse(printed) as Record<string, Record<string, unknown>>;
    for (const key of keys) {
      const size = SIZES[key] ?? 0;
      const expected = {
        size,
        ...(size < 2 ** 30 && { whole: await sha256(key) }),
        ...(size > 2000 && !isWholeOnly && { range: await sha256(key, size - 1001, 1000) }),
      };
      t.deepEqual(answers[key], expected, key);
    }
  });
}
