/**
 * Clients that people use write through a cluster of three into SeaweedFS, and read back through
 * the other peers: small objects and such in parts, loaded ones that are overwritten, deletes; then
 * many writes and reads of several clients, against a model. `S3_WRITES_SEED=n` replays one history.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import test from 'ava';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import { Cluster } from '../support/cluster.ts';
import { requires } from '../support/requires.ts';
import { type SeaweedFs, seaweedFsMissing, startSeaweedFs } from '../support/seaweedfs.ts';
import { tempFolder, type TempFolder } from '../support/temp-folder.ts';
import { clientEnvironment, KEY_ID, SECRET } from './support/client-environment.ts';

const SEED = Number(process.env['S3_WRITES_SEED'] ?? 1);
const HOME = resolve('.cache/s3-clients');
const STEP_DEADLINE_MS = 120_000;
const MIB = 1024 * 1024;

const missing = seaweedFsMissing();
let folder: TempFolder;
let store: SeaweedFs;
let cluster: Cluster;
let clients: S3Client[] = [];

if (missing === undefined) {
  test.before(async (t) => {
    t.timeout(120_000);
    folder = await tempFolder('s3-writes');
    store = await startSeaweedFs();
    cluster = await Cluster.start({
      peers: 3,
      mounts: [
        `s3://${store.bucket},endpoint=${store.endpoint},credentials=env:STORE_ID:STORE_SECRET,writes=through`,
      ],
      env: {
        RINGLOAD_S3_ACCESS_KEYS: `${KEY_ID}:${SECRET}`,
        STORE_ID: store.accessKeyId,
        STORE_SECRET: store.secretAccessKey,
      },
    });
    clients = cluster.peers.map(
      ({ s3Url }) =>
        new S3Client({
          endpoint: s3Url ?? '',
          region: 'us-east-1',
          forcePathStyle: true,
          credentials: { accessKeyId: KEY_ID, secretAccessKey: SECRET },
          maxAttempts: 1,
        }),
    );
  });
  test.after.always(async () => {
    for (const client of clients) client.destroy();
    await cluster?.[Symbol.asyncDispose]();
    await store?.stop();
    await folder?.[Symbol.asyncDispose]();
  });
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The sum of what that peer gives, or the code of its refusal. */
async function sumThrough(client: S3Client, Key: string): Promise<string> {
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: store.bucket, Key }));
    return sha256((await Body?.transformToByteArray()) ?? new Uint8Array());
  } catch (thrown) {
    return (thrown as Error).name;
  }
}

const sumsOf = (key: string): Promise<string[]> =>
  Promise.all(clients.map((client) => sumThrough(client, key)));

function run(program: string, ...args: string[]): Promise<string> {
  const env = clientEnvironment(folder.path);
  return new Promise((settle, fail) => {
    const options = { env, timeout: STEP_DEADLINE_MS, maxBuffer: 16 * MIB };
    execFile(join(HOME, 'bin', program), args, options, (error, stdout, stderr) => {
      if (error) fail(new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`));
      else settle(stdout);
    });
  });
}

const endpoint = (): string => cluster.peers[0]?.s3Url ?? '';
const rclone = (key: string): string =>
  `:s3,provider=Other,endpoint="${endpoint()}",env_auth=true,force_path_style=true:${store.bucket}/${key}`;

const TOOLS: readonly {
  readonly program: string;
  readonly put: (from: string, key: string) => readonly string[];
  readonly remove: (key: string) => readonly string[];
}[] = [
  {
    program: 'aws',
    put: (from, key) => ['s3', 'cp', '--quiet', from, at(key), '--endpoint-url', endpoint()],
    remove: (key) => ['s3', 'rm', '--quiet', at(key), '--endpoint-url', endpoint()],
  },
  {
    program: 's5cmd',
    put: (from, key) => ['--endpoint-url', endpoint(), 'cp', '--part-size', '5', from, at(key)],
    remove: (key) => ['--endpoint-url', endpoint(), 'rm', at(key)],
  },
  {
    program: 'rclone',
    put: (from, key) => ['copyto', '--checksum', '--s3-upload-cutoff', '8M', from, rclone(key)],
    remove: (key) => ['deletefile', rclone(key)],
  },
];

const at = (key: string): string => `s3://${store.bucket}/${key}`;

for (const { program, put, remove } of TOOLS) {
  const lacks = existsSync(join(HOME, 'bin', program))
    ? missing
    : `${program}: install-s3-clients.sh`;
  requires(lacks)(
    `writes: ${program} copies up, in one piece and in parts, and removes`,
    async (t) => {
      t.timeout(300_000);
      for (const sizeBytes of [0, 1000, 2 * MIB, 20 * MIB + 17]) {
        const key = `${program}/grüße ${sizeBytes}`;
        const from = join(folder.path, `${program}-${sizeBytes}`);
        for (const round of ['first', 'again']) {
          const bytes = randomBytes(sizeBytes);
          await writeFile(from, bytes);
          await run(program, ...put(from, key));
          const sum = sha256(bytes);
          t.deepEqual(await sumsOf(key), [sum, sum, sum], `${key} ${round}`);
        }
        await run(program, ...remove(key));
        t.deepEqual(await sumsOf(key), ['NoSuchKey', 'NoSuchKey', 'NoSuchKey'], key);
      }
    },
  );
}

requires(missing)(
  'writes: what was loaded is replaced on all peers, by whichever it comes',
  async (t) => {
    t.timeout(120_000);
    const Bucket = store.bucket;
    const keys = Array.from({ length: 6 }, (_, i) => `loaded/${i}`);
    for (const Key of keys) {
      await clients[0]!.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(100_000) }));
    }
    const job = await cluster.submit({ path: at('loaded'), replicas: 2 });
    await cluster.waitForState(job, 'SUCCEEDED', 60_000);
    for (const [index, Key] of keys.slice(0, 4).entries()) {
      const Body = randomBytes(100_000);
      await clients[index % 3]!.send(new PutObjectCommand({ Bucket, Key, Body }));
      t.deepEqual(new Set(await sumsOf(Key)), new Set([sha256(Body)]), Key);
    }
    const Objects = keys.map((Key) => ({ Key }));
    const { Deleted } = await clients[1]!.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects } }),
    );
    t.is(Deleted?.length, keys.length);
    for (const key of keys) t.deepEqual(new Set(await sumsOf(key)), new Set(['NoSuchKey']), key);
  },
);

requires(missing)(
  `writes: several clients write, read and delete through all peers (seed ${SEED})`,
  async (t) => {
    t.timeout(180_000);
    const Bucket = store.bucket;
    const counts = { puts: 0, deletes: 0, reads: 0 };
    const client = async (number: number): Promise<void> => {
      const random = new SeededRandom(SEED * 100 + number);
      const truth = new Map<string, string>();
      const through = (): S3Client => clients[randomInt(random, 3)]!;
      for (let step = 0; step < 60; step++) {
        const Key = `random/${number}/${randomInt(random, 4)}`;
        const kind = randomInt(random, 10);
        if (kind < 4) {
          const Body = randomBytes(randomInt(random, 3) === 0 ? 3 * MIB : randomInt(random, 5000));
          await through().send(new PutObjectCommand({ Bucket, Key, Body }));
          truth.set(Key, sha256(Body));
          counts.puts++;
        } else if (kind < 6) {
          await through().send(new DeleteObjectCommand({ Bucket, Key }));
          truth.set(Key, 'NoSuchKey');
          counts.deletes++;
        }
        const expected = truth.get(Key) ?? 'NoSuchKey';
        t.is(await sumThrough(through(), Key), expected, `client ${number}, step ${step}: ${Key}`);
        counts.reads++;
      }
    };
    await Promise.all([1, 2, 3, 4].map(client));
    t.log(JSON.stringify(counts));
  },
);
