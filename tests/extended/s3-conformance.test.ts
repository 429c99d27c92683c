/**
 * The reading part of ceph/s3-tests against Ringload in front of Ceph RGW: the suite writes to RGW
 * and reads from Ringload. Each test that RGW passes by itself has to pass here as well, but for
 * those that are named below with their reason.
 *
 * The suite is not part of this project: S3_TESTS_CHECKOUT names a checkout of it, and
 * install-s3-clients.sh installs the Python packages that it needs.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cleanEnvironment } from '../support/child.ts';
import { Cluster } from '../support/cluster.ts';
import { requires } from '../support/requires.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { cephRgwMissing, startCephRgw } from './support/ceph-rgw.ts';
import { startS3Router } from './support/s3-router.ts';

const CHECKOUT = process.env['S3_TESTS_CHECKOUT'] ?? '';
const PYTHON = resolve(process.env['S3_TESTS_PYTHON'] ?? '.cache/s3-clients/bin/python');
const BUCKET_MAX_COUNT = 400;
const SUITE_DEADLINE_MS = 400_000;

const SELECTED =
  'bucket_list or bucket_listv2 or ranged_request or object_read or object_head or get_object_if or bucket_head or object_raw_get or multipart_get_part or list_buckets or object_raw_authenticated';

/** What RGW passes and Ringload does not, and why. */
const EXPECTED: readonly { readonly names: readonly string[]; readonly reason: string }[] = [
  {
    names: [
      'test_bucket_list_objects_anonymous',
      'test_bucket_listv2_objects_anonymous',
      'test_object_raw_get',
      'test_object_raw_get_bucket_acl',
      'test_object_raw_get_bucket_gone',
      'test_object_raw_get_object_gone',
    ],
    reason: 'who may read without a signature is a setting of the cluster, not an access list',
  },
  {
    names: ['test_object_raw_authenticated_bucket_gone'],
    reason: 'a key of a bucket that is gone is told as NoSuchKey: the mount is still there',
  },
  {
    names: ['test_bucket_list_long_name'],
    reason: 'the bucket has a name that is not among the mounts of this test',
  },
  {
    names: ['test_bucket_list_prefix_unreadable'],
    reason: 'version 1 encodes Prefix as AWS documents it, which boto3 does not decode there',
  },
];

const missing =
  CHECKOUT === ''
    ? 'a checkout of ceph/s3-tests, named by S3_TESTS_CHECKOUT'
    : !existsSync(PYTHON)
      ? 'Python with the packages of install-s3-clients.sh'
      : cephRgwMissing();

requires(missing)('s3-tests: what Ceph RGW passes, Ringload in front of it passes', async (t) => {
  t.timeout(900_000);
  await using folder = await tempFolder('s3-tests');
  await using rgw = await startCephRgw({ users: OTHER_USERS });
  const alone = await runSuite(folder.path, 'rgw', Number(new URL(rgw.endpoint).port), rgw);
  const keys = [rgw, ...OTHER_USERS].map((user) => `${user.accessKeyId}:${user.secretAccessKey}`);
  await using cluster = await Cluster.start({
    peers: 1,
    mounts: Array.from(
      { length: BUCKET_MAX_COUNT },
      (_unused, i) =>
        `s3://rl-ringload-${i + 1},endpoint=${rgw.endpoint},credentials=env:RGW_KEY:RGW_SECRET,freshness=always`,
    ),
    env: {
      RGW_KEY: rgw.accessKeyId,
      RGW_SECRET: rgw.secretAccessKey,
      RINGLOAD_S3_ACCESS_KEYS: keys.join(','),
    },
  });
  const [peer] = cluster.peers;
  await using router = await startS3Router(peer?.s3Url ?? '', rgw.endpoint);
  const through = await runSuite(folder.path, 'ringload', router.port, rgw);

  const passed = (results: Results): string[] =>
    [...results].filter(([, ok]) => ok).map(([n]) => n);
  const lost = passed(alone).filter((name) => through.get(name) !== true);
  const unexpected = lost.filter((name) => !EXPECTED.some(({ names }) => names.includes(name)));
  t.log(`Ceph RGW: ${passed(alone).length} of ${alone.size} pass`);
  t.log(`Ringload in front of it: ${passed(through).length} of ${through.size} pass`);
  t.log(`reads that went to Ringload: ${router.readCount}`);
  t.log(`passed by RGW alone: ${lost.join(', ') || 'none'}`);
  t.log(
    `passed by Ringload alone: ${
      passed(through)
        .filter((n) => !alone.get(n))
        .join(', ') || 'none'
    }`,
  );
  t.true(alone.size > 100, 'the suite ran');
  t.true(router.readCount > 100, 'reads were served by Ringload');
  t.deepEqual(unexpected, []);
});

interface User {
  readonly name: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const OTHER_USERS = [
  { name: 'alt', accessKeyId: 'alt-key', secretAccessKey: 'alt-secret-alt' },
  { name: 'tenant', accessKeyId: 'tenant-key', secretAccessKey: 'tenant-secret' },
] as const;

type Results = ReadonlyMap<string, boolean>;

/** Which tests were run, and whether they passed. */
async function runSuite(folder: string, name: string, port: number, main: User): Promise<Results> {
  const config = join(folder, `${name}.conf`);
  const report = join(folder, `${name}.xml`);
  await writeFile(config, configuration(name, port, main));
  const args = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--junitxml=${report}`];
  const output = await new Promise<string>((settle) => {
    execFile(
      PYTHON,
      [...args, 's3tests/functional/test_s3.py', '-k', SELECTED],
      {
        cwd: CHECKOUT,
        env: cleanEnvironment({ S3TEST_CONF: config, PYTHONDONTWRITEBYTECODE: '1' }),
        timeout: SUITE_DEADLINE_MS,
        maxBuffer: 64 * 1024 * 1024,
      },
      // Tests that fail make the exit code, and are what is wanted.
      (_error, stdout, stderr) => {
        settle(stdout + stderr);
      },
    );
  });
  if (!existsSync(report)) throw new Error(`the suite wrote no report: ${output.slice(-2000)}`);
  const xml = await readFile(report, 'utf8');
  const keep = process.env['S3_TESTS_OUTPUT'];
  if (keep !== undefined) await writeFile(join(keep, `${name}.log`), output);
  const cases = xml.matchAll(/<testcase [^>]*? name="([^"]+)"[^>]*?(?:\/>|>([^]*?)<\/testcase>)/g);
  return new Map(
    [...cases]
      .filter(([, , inner = '']) => !inner.includes('<skipped'))
      .map(([, title = '', inner = '']) => [title, !/<(failure|error)/.test(inner)] as const),
  );
}

function configuration(name: string, port: number, main: User): string {
  const user = (id: string, { accessKeyId, secretAccessKey }: User): string =>
    `display_name = ${id}\nuser_id = ${id}\nemail = ${id}@example.com\napi_name = default\naccess_key = ${accessKeyId}\nsecret_key = ${secretAccessKey}\n`;
  const [alt, tenant] = OTHER_USERS;
  return [
    `[DEFAULT]\nhost = 127.0.0.1\nport = ${port}\nis_secure = False\nssl_verify = False\n`,
    `[fixtures]\nbucket prefix = rl-${name}-\niam name prefix = s3-tests-\niam path prefix = /s3-tests/\n`,
    `[s3 main]\n${user('test', main)}`,
    `[s3 alt]\n${user('alt', alt)}`,
    `[s3 tenant]\n${user('tenant', tenant)}tenant = testx\n`,
    `[iam]\n${user('test', main)}`,
    `[iam root]\n${user('test', main)}`,
    `[iam alt root]\n${user('alt', alt)}`,
  ].join('\n');
}
