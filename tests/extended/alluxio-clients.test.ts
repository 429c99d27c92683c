/**
 * The unmodified Python packages alluxio and alluxiofs against three peers. Each peer listens on an
 * address of its own, since the clients know no other port than 29998 for ranges.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { ObjectSet } from '../../src/sample/object-set.ts';
import { Cluster } from '../support/cluster.ts';
import { FaultyOrigin } from '../support/faulty-origin.ts';
import { requires } from '../support/requires.ts';
import { tempFolder } from '../support/temp-folder.ts';

const PYTHON = join(process.cwd(), '.cache/alluxio-clients/bin/python');
const SCRIPT = join(process.cwd(), 'tests/extended/support/alluxio-clients.py');
const HOSTS = ['127.0.29.1', '127.0.29.2', '127.0.29.3'];
const BUCKET = `s3://${FaultyOrigin.BUCKET}`;
const DIRECTORY = `${BUCKET}/d`;
const SMALL_COUNT = 20;
const MIB = 1024 * 1024;
const BIG_BYTES = 3 * MIB + 12_345;

const missing = existsSync(PYTHON)
  ? undefined
  : 'the clients of Alluxio: run tests/extended/install-alluxio-clients.sh';

type Outcome = { readonly ok?: unknown; readonly error?: string };

async function drive(): Promise<ReadonlyMap<string, Outcome>> {
  await using folder = await tempFolder('alluxio-clients');
  const words = [SCRIPT, HOSTS.join(','), DIRECTORY, `${DIRECTORY}/big`, `${BUCKET}/slow`];
  const { stdout } = await promisify(execFile)(PYTHON, words, {
    cwd: folder.path,
    timeout: 150_000,
    maxBuffer: 16 * MIB,
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"step"'));
  return new Map(
    lines.map((line) => {
      const { step, ...outcome } = JSON.parse(line) as Outcome & { step: string };
      return [step, outcome];
    }),
  );
}

function tellErrors(t: ExecutionContext, outcomes: ReadonlyMap<string, Outcome>): void {
  for (const [step, { error }] of outcomes) if (error !== undefined) t.log(`${step}: ${error}`);
}

requires(missing)(
  'alluxio clients: submit, progress, stop, list, stat, ranges and whole reads, unmodified',
  async (t) => {
    t.timeout(240_000);
    const objects = new ObjectSet([['d/big', BIG_BYTES]]);
    for (let n = 0; n < SMALL_COUNT; n += 1) {
      objects.put(`d/f${String(n).padStart(2, '0')}`, 100 * n);
      objects.put(`slow/${n}`, 1000);
    }
    await using origin = await FaultyOrigin.start(objects);
    let release: () => void = () => undefined;
    const until = new Promise<void>((resolve) => (release = resolve));
    origin.script({ operation: 'get', key: /^slow\//, action: { kind: 'hold', until } });
    await using cluster = await Cluster.start({
      peers: HOSTS.length,
      places: HOSTS.map((host) => ({ host, prefix: [] })),
      mounts: [`${BUCKET},endpoint=${origin.endpoint},region=us-east-1,credentials=anonymous`],
      env: {
        RINGLOAD_S3_PORT: 29_998,
        RINGLOAD_WORKER_ENABLED: true,
        RINGLOAD_WORKER_MISSING_STATUS: 'internal',
      },
    });
    t.is(cluster.peers.length, HOSTS.length);
    const outcomes = await drive().finally(release);
    tellErrors(t, outcomes);
    const ok = (step: string): unknown => outcomes.get(step)?.ok;
    const sha256 = (start: number, stop: number): string =>
      createHash('sha256')
        .update(origin.expectedBytes('d/big', start, stop - start))
        .digest('hex');
    const whole = sha256(0, BIG_BYTES);
    const range = sha256(1_500_000, 2_200_000);
    const names = [
      'big',
      ...Array.from({ length: SMALL_COUNT }, (_, n) => `f${String(n).padStart(2, '0')}`),
    ];

    for (const client of ['alluxio', 'alluxiofs client']) {
      t.is(ok(`${client} load`), true, client);
      t.is(ok(`${client} progress`), 'LoadState.SUCCEEDED', client);
      t.is(ok(`${client} submit`), true, client);
      t.is(ok(`${client} stop`), true, client);
      t.is(ok(`${client} stop again`), false, client);
      t.deepEqual(ok(`${client} stat`), ['file', 0, `${DIRECTORY}/f00`], client);
      t.deepEqual(ok(`${client} list`), names, client);
      t.is(ok(`${client} read`), whole, client);
    }
    t.is(ok('alluxio range'), range);
    t.is(ok('alluxiofs client head'), sha256(0, 1000));
    t.is(ok('alluxiofs client tail'), sha256(BIG_BYTES - 1000, BIG_BYTES));
    t.regex(outcomes.get('alluxiofs client mkdir')?.error ?? '', /does not write there/);
    t.deepEqual(ok('fs info'), ['file', BIG_BYTES]);
    t.is(ok('fs exists'), true);
    t.is(ok('fs isdir'), true);
    t.is(ok('fs missing'), false);
    t.is(ok('fs range'), range);
    t.is(ok('fs whole'), whole);
    t.is(ok('fs cat'), sha256(10, 1_000_010));
    t.regex(outcomes.get('fs rm')?.error ?? '', /would delete in the under store|403/);
    // All that was read came from the caches: the loads fetched each byte once.
    t.is(origin.sentBytesOf('d/big'), BIG_BYTES);
  },
);
