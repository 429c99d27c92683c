import test from 'ava';
import { nearest, editDistance } from '../../src/config/nearest.ts';
import { CONFIG_OPTIONS, OPTION_BY_KEY } from '../../src/config/options.ts';
import { PRESETS } from '../../src/config/presets.ts';
import { readEnv, readMountEnv } from '../../src/config/env-source.ts';
import { JOB_DEFAULTS, JOB_LIMITS } from '../../src/job/spec.ts';
import { load } from './support.ts';

test('options: names are unique, well-formed and follow from section and key', (t) => {
  const flags = CONFIG_OPTIONS.flatMap(({ flagName }) => flagName ?? []);
  t.is(new Set(flags).size, flags.length);
  t.is(new Set(CONFIG_OPTIONS.map(({ envName }) => envName)).size, CONFIG_OPTIONS.length);
  t.true(flags.every((flag) => /^--[a-z][a-z0-9-]*[a-z]$/.test(flag)));
  const option = OPTION_BY_KEY.get('load.segmentSizeBytes');
  t.like(option, {
    flagName: '--load-segment-size-bytes',
    envName: 'RINGLOAD_LOAD_SEGMENT_SIZE_BYTES',
    shownDefault: '8MiB',
    range: '64KiB to 1GiB',
    repeatable: false,
  });
  t.like(OPTION_BY_KEY.get('ufs.mounts'), { flagName: '--mount', repeatable: true });
});

test('options: all are described in whole sentences and show a default', (t) => {
  for (const { key, description, shownDefault } of CONFIG_OPTIONS) {
    t.regex(description, /^[A-Z].*[.]$/, `description of ${key}`);
    t.not(shownDefault, '', `default of ${key}`);
  }
});

test('options: secrets come from the environment alone', (t) => {
  const secrets = CONFIG_OPTIONS.filter(({ secret }) => secret);
  t.deepEqual(
    secrets.map(({ key }) => key),
    ['cluster.secret', 'cluster.previousSecret', 's3.accessKeys'],
  );
  for (const option of secrets) {
    t.deepEqual(option.sources, ['env']);
    t.is(option.flagName, undefined);
  }
});

test('options: presets name known options', (t) => {
  for (const preset of Object.values(PRESETS)) {
    for (const key of Object.keys(preset)) t.true(OPTION_BY_KEY.has(key), `option ${key}`);
  }
});

test('options: defaults and bounds of a load agree with those of the job spec', async (t) => {
  const { config } = await load(t);
  t.is(config.load.segmentSizeBytes, JOB_DEFAULTS.segmentSizeBytes);
  t.is(config.load.batchSize, JOB_DEFAULTS.batchSize);
  t.is(JOB_LIMITS.segmentSizeMinBytes, 64 * 1024);
  t.is(JOB_LIMITS.segmentSizeMaxBytes, 1024 ** 3);
  t.is(OPTION_BY_KEY.get('load.segmentSizeBytes')?.range, '64KiB to 1GiB');
  t.is(OPTION_BY_KEY.get('load.batchSize')?.range, `1 to ${JOB_LIMITS.batchMaxSize}`);
});

test('options: readEnv copies what the program looks at, nothing else', (t) => {
  process.env['RINGLOAD_PEER_ZONE'] = 'from-env';
  process.env['SOME_OTHER_SECRET'] = 'x';
  t.teardown(() => {
    delete process.env['RINGLOAD_PEER_ZONE'];
    delete process.env['SOME_OTHER_SECRET'];
  });
  const env = readEnv();
  t.is(env['RINGLOAD_PEER_ZONE'], 'from-env');
  t.true(Object.keys(env).every((name) => /^(RINGLOAD_|HOME$|XDG_CONFIG_HOME$)/.test(name)));
});

test('options: readMountEnv copies AWS settings and what credentials name, nothing else', (t) => {
  const values = { AWS_REGION: 'r', DATA_ID: 'id', DATA_SECRET: 's', SOME_OTHER_SECRET: 'x' };
  Object.assign(process.env, values);
  t.teardown(() => {
    for (const name of Object.keys(values)) Reflect.deleteProperty(process.env, name);
  });
  const names = { accessKeyIdName: 'DATA_ID', secretAccessKeyName: 'DATA_SECRET' };
  const env = readMountEnv([
    { path: 's3://a' },
    { path: 's3://b', credentials: { kind: 'anonymous' } },
    { path: 's3://c', credentials: { kind: 'env', ...names } },
  ]);
  t.like(env, { AWS_REGION: 'r', DATA_ID: 'id', DATA_SECRET: 's' });
  t.true(Object.keys(env).every((name) => /^(AWS_.*|DATA_ID|DATA_SECRET)$/.test(name)));
});

test('nearest: finds the closest name and nothing when all are far', (t) => {
  const known = ['--host', '--data-dir', '--data-port'];
  t.is(nearest('--hots', known), '--host');
  t.is(nearest('--data-prot', known), '--data-port');
  t.is(nearest('--DATA-DIR', known), '--data-dir');
  t.is(nearest('--verbose', known), undefined);
  t.is(nearest('', known), undefined);
});

test('editDistance: counts insertions, deletions, replacements and swaps', (t) => {
  t.is(editDistance('abc', 'abc'), 0);
  t.is(editDistance('abc', 'acb'), 1);
  t.is(editDistance('abc', 'ab'), 1);
  t.is(editDistance('abc', 'abxc'), 1);
  t.is(editDistance('abc', 'axc'), 1);
  t.is(editDistance('', 'abc'), 3);
  t.is(editDistance('kitten', 'sitting'), 3);
});
