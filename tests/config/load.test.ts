import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import test from 'ava';
import { GIB, KIB, MIB } from '../../src/base/units.ts';
import { loadConfig } from '../../src/config/load.ts';
import { CONFIG_OPTIONS } from '../../src/config/options.ts';
import { load, refused, temporaryFolder } from './support.ts';

const SECRET = 'canary-9f8e7d6c5b4a';

test('config: without any source gives the defaults', async (t) => {
  const { config, preset, configPath, secrets } = await load(t);
  t.like(config.peer, { dataDir: './ringload-data', host: '127.0.0.1', restPort: 19_999 });
  t.is(config.peer.advertiseHost, '127.0.0.1');
  t.is(config.raft.electionTicks, 10);
  t.is(config.load.segmentSizeBytes, 8 * MIB);
  t.deepEqual(config.cache.directories, [
    { path: './ringload-data/cache', capacityBytes: 10 * GIB },
  ]);
  t.is(preset, 'lan');
  t.is(configPath, undefined);
  t.is(secrets.clusterSecret, undefined);
});

test('config: flags beat the environment, which beats the file, which beats the preset', async (t) => {
  const yaml = 'preset: wan\nraft: {electionTicks: 40}\nliveness: {downAfterMs: 60s}\n';
  const env = { RINGLOAD_RAFT_ELECTION_TICKS: '30', RINGLOAD_LOG_LEVEL: 'warn' };
  const flags = { raftElectionTicks: '20' };
  const onlyPreset = await load(t, { yaml: 'preset: wan' });
  t.is(onlyPreset.config.raft.electionTicks, 50);
  t.is((await load(t, { yaml })).config.raft.electionTicks, 40);
  t.is((await load(t, { yaml, env })).config.raft.electionTicks, 30);
  const all = await load(t, { yaml, env, flags });
  t.is(all.config.raft.electionTicks, 20);
  t.is(all.config.raft.heartbeatTicks, 5);
  t.is(all.config.liveness.downAfterMs, 60_000);
  t.is(all.config.log.level, 'warn');
  t.is(all.config.raft.tickMs, 100);
});

test('config: the preset itself follows the same precedence', async (t) => {
  const yaml = 'preset: wan';
  t.is((await load(t, { yaml })).preset, 'wan');
  t.is((await load(t, { yaml, env: { RINGLOAD_PRESET: 'local' } })).preset, 'local');
  const flags = { preset: 'lan' };
  t.is((await load(t, { yaml, env: { RINGLOAD_PRESET: 'local' }, flags })).preset, 'lan');
  t.regex(await refused(t, { flags: { preset: 'lam' } }), /unknown preset lam.*did you mean lan/);
});

for (const preset of ['local', 'lan', 'wan']) {
  test(`config: the preset ${preset} is valid as it stands`, async (t) => {
    await t.notThrowsAsync(load(t, { flags: { preset } }));
  });
}

test('config: every option can be set by its flag, its variable and its place in the file', async (t) => {
  for (const option of CONFIG_OPTIONS.filter(({ secret }) => !secret)) {
    const value = option.kind === 'boolean' ? 'true' : sample(option.key);
    if (value === undefined) continue;
    const yaml = `${option.section}:\n  ${option.name}: ${value}\n`;
    const loaded = await Promise.all([
      load(t, { yaml }),
      load(t, { env: { [option.envName]: value } }),
      load(t, { flags: { [option.flagName!]: option.kind === 'boolean' ? true : value } }),
    ]);
    const origins = loaded.map((one) =>
      one.describeOrigins().find(({ key }) => key === option.key),
    );
    t.is(new Set(origins.map((origin) => origin!.value)).size, 1, `value of ${option.key}`);
    t.regex(origins[0]!.origin, /ringload\.yaml line 2$/);
    t.is(origins[1]!.origin, `environment ${option.envName}`);
    t.is(origins[2]!.origin, `flag ${option.flagName!}`);
  }
});

/** A value that is neither the default nor in conflict with one; undefined for lists and files. */
function sample(key: string): string | undefined {
  const option = CONFIG_OPTIONS.find((other) => other.key === key)!;
  if (option.kind === 'list' || /(?:ecret|Keys)File$/.test(key)) return undefined;
  const special: Readonly<Record<string, string>> = {
    'peer.dataDir': '/data',
    'peer.host': '127.0.0.2',
    'peer.advertiseHost': 'here',
    'peer.zone': 'z1',
    'peer.weight': '2.5',
    'log.level': 'warn',
    'log.format': 'plain',
    'raft.maxVoters': '3',
    'liveness.downAfterMs': '40s',
    'liveness.suspectAfterMs': '4s',
    'load.batchSize': '100',
    'load.segmentSizeBytes': '4MiB',
    'load.windowTasks': '600',
    'load.windowBytes': '512MiB',
    'cache.regionSizeBytes': '128MiB',
    'lanes.directIo': 'off',
    'http.queryMaxBytes': '4KiB',
    's3.host': '127.0.0.3',
    's3.anonymous': 'refuse',
    's3.region': 'eu-west-1',
    'worker.missingStatus': 'internal',
  };
  return special[key] ?? String(Number(option.shownDefault.replace(/\D/g, '')) + 1) + unitOf(key);
}

function unitOf(key: string): string {
  const option = CONFIG_OPTIONS.find((other) => other.key === key)!;
  return /[a-zA-Z]+$/.exec(option.shownDefault)?.[0] ?? '';
}

test('config: lists come from repeated flags, from blanks in the environment, from sequences', async (t) => {
  const mounts = [
    { path: 's3://one' },
    {
      path: 's3://two/a,b',
      endpoint: 'http://127.0.0.1:9000',
      forcePathStyle: true,
      credentials: { kind: 'env', accessKeyIdName: 'ID', secretAccessKeyName: 'KEY' },
    },
  ];
  const texts = [
    's3://one',
    's3://two/a,b,endpoint=http://127.0.0.1:9000,forcePathStyle=true,credentials=env:ID:KEY',
  ];
  const fromFlags = await load(t, { flags: { mount: texts } });
  t.deepEqual(fromFlags.config.ufs.mounts as unknown, mounts);
  const fromEnv = await load(t, { env: { RINGLOAD_UFS_MOUNTS: texts.join('  ') } });
  t.deepEqual(fromEnv.config.ufs.mounts as unknown, mounts);
  const fromFile = await load(t, { yaml: JSON.stringify({ ufs: { mounts } }) });
  t.deepEqual(fromFile.config.ufs.mounts as unknown, mounts);

  const joined = await load(t, { flags: { join: ['a:1,b:2', '[::1]:3'] } });
  t.deepEqual(joined.config.peer.join, ['a:1', 'b:2', '[::1]:3']);
  const directories = { cacheDir: ['/a=1GiB', '/b=2GiB'] };
  t.deepEqual((await load(t, { flags: directories })).config.cache.directories, [
    { path: '/a', capacityBytes: GIB },
    { path: '/b', capacityBytes: 2 * GIB },
  ]);
});

test('config: units are taken from text, plain numbers are bytes and milliseconds', async (t) => {
  const yaml =
    'load: {segmentSizeBytes: 64KiB, windowBytes: 1048576, retryDelayMs: 1.5s, jobRetentionMs: 2h}';
  const { load: slice } = (await load(t, { yaml })).config;
  t.like(slice, { segmentSizeBytes: 64 * KIB, windowBytes: MIB, retryDelayMs: 1500 });
  t.is(slice.jobRetentionMs, 7_200_000);
});

test('config: bounds are refused one below and one above, and taken at the edge', async (t) => {
  for (const value of ['65535', '1073741825', '-1', '8XB', '8.0001KB']) {
    const message = await refused(t, { flags: { 'load-segment-size-bytes': value } });
    t.regex(message, /^load\.segmentSizeBytes.*flag --load-segment-size-bytes/);
  }
  await t.notThrowsAsync(load(t, { flags: { 'load-segment-size-bytes': '65536' } }));
  for (const value of ['65536', '-1', '1.5', 'x', '1e3', '0x10']) {
    t.regex(await refused(t, { flags: { restPort: value } }), /^peer\.restPort/);
  }
  t.is((await load(t, { flags: { restPort: '65535' } })).config.peer.restPort, 65_535);
  t.is((await load(t, { flags: { restPort: 0 } })).config.peer.restPort, 0);
});

test('config: wrong types in the file are refused with their line', async (t) => {
  for (const [value, shown] of [
    ['"19999"', "'19999'"],
    ['[1]', ''],
    ['{a: 1}', ''],
    ['yes', "'yes'"],
    ['', "'null'"],
    ['-1', "'-1'"],
    ['.inf', "'Infinity'"],
    ['.nan', "'NaN'"],
  ] as const) {
    const message = await refused(t, { yaml: `log: {level: info}\npeer:\n  restPort: ${value}\n` });
    t.regex(message, /^peer\.restPort.*ringload\.yaml line 3\)$/);
    t.true(message.includes(shown));
  }
});

test('config: several faults are told at once', async (t) => {
  const message = await refused(t, {
    yaml: 'raft: {tickMs: 0, maxVoters: 10}\nlog: {level: loud}',
  });
  t.regex(message, /raft\.tickMs.*line 1.*raft\.maxVoters.*log\.level.*line 2/);
});

test('config: unknown names are refused with the nearest known one', async (t) => {
  t.regex(await refused(t, { flags: { dataDri: 'x' } }), /--data-dri; did you mean --data-dir\?/);
  t.regex(await refused(t, { flags: { zzzzzz: 'x' } }), /^unknown flag --zzzzzz$/);
  t.regex(
    await refused(t, { env: { RINGLOAD_PEER_HOTS: 'x' } }),
    /RINGLOAD_PEER_HOTS; did you mean RINGLOAD_PEER_HOST\?/,
  );
  t.regex(
    await refused(t, { yaml: 'peer: {host: a}\nraft:\n  electionTick: 5\n' }),
    /raft\.electionTick \(.*line 3\); did you mean raft\.electionTicks\?/,
  );
  t.regex(await refused(t, { yaml: '\nraf: {}' }), /section raf \(.*line 2\); did you mean raft\?/);
  t.regex(
    await refused(t, { yaml: 'ufs: {mounts: [{path: s3://b, endpont: x}]}' }),
    /ufs\.mounts\[0\] has the unknown key endpont; did you mean endpoint\? \(.*line 1\)/,
  );
  for (const name of ['__proto__', 'constructor', 'toString']) {
    t.regex(await refused(t, { yaml: `${name}: {a: 1}` }), /unknown section/);
    t.regex(await refused(t, { yaml: `peer: {${name}: 1}` }), /unknown key/);
    t.regex(
      await refused(t, { yaml: `ufs: {mounts: [{path: s3://b, ${name}: 1}]}` }),
      /unknown key/,
    );
    t.regex(await refused(t, { flags: JSON.parse(`{"${name}": "x"}`) }), /unknown flag/);
  }
});

test('config: variables that are no options are left alone when they are known', async (t) => {
  const env = {
    RINGLOAD_PEER: 'host:1',
    RINGLOAD_CONFIG: '',
    RINGLOAD_LOG_LEVEL: '',
    RINGLOAD_SERVICE_HOST: '10.0.0.1',
    RINGLOAD_SERVICE_PORT_REST: '19999',
    RINGLOAD_PORT: 'tcp://10.0.0.1:19999',
    RINGLOAD_PORT_19999_TCP_ADDR: '10.0.0.1',
    RINGLOAD_PEERS_SERVICE_HOST: '10.0.0.1',
    OTHER: 'x',
  };
  t.is((await load(t, { env })).config.log.level, 'info');
  t.regex(await refused(t, { env: { RINGLOAD_PEERS_PORT: '19999' } }), /unknown environment/);
});

test('config: a flag that is given twice, or without its value, is refused', async (t) => {
  t.regex(await refused(t, { flags: { host: ['a', 'b'] } }), /flag --host is given 2 times/);
  t.regex(await refused(t, { flags: { host: true } }), /flag --host needs a value/);
  t.regex(await refused(t, { flags: { insecure: 'maybe' } }), /cluster\.insecure.*true or false/);
});

test('config: other than loopback needs a secret or an explicit insecure', async (t) => {
  for (const host of ['10.0.0.1', 'example.org', '::2', '128.0.0.1', '127.evil.org']) {
    t.regex(await refused(t, { flags: { host } }), /not loopback.*cluster\.secretFile/);
    await t.notThrowsAsync(load(t, { flags: { host, insecure: true } }));
    await t.notThrowsAsync(load(t, { flags: { host }, env: { RINGLOAD_CLUSTER_SECRET: SECRET } }));
  }
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
    await t.notThrowsAsync(load(t, { flags: { host } }));
  }
});

test('config: a wildcard needs the host that is told to others', async (t) => {
  for (const host of ['0.0.0.0', '::', '0', '0:0:0:0:0:0:0:0']) {
    t.regex(await refused(t, { flags: { host, insecure: true } }), /peer\.advertiseHost is needed/);
    const flags = { host, insecure: true, advertiseHost: 'node-1' };
    t.is((await load(t, { flags })).config.peer.advertiseHost, 'node-1');
  }
});

test('config: secrets come from the environment or a private file, and show nowhere', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'secret');
  await writeFile(path, `${SECRET}\n`, { mode: 0o600 });
  const previous = { RINGLOAD_CLUSTER_PREVIOUS_SECRET: `old-${SECRET}` };
  const loaded = await load(t, { yaml: `cluster: {secretFile: ${path}}`, env: previous });
  t.is(loaded.secrets.clusterSecret, SECRET);
  t.is(loaded.secrets.previousClusterSecret, `old-${SECRET}`);
  t.deepEqual(loaded.secrets.values(), [SECRET, `old-${SECRET}`]);
  const shown = [loaded, loaded.config, loaded.secrets, loaded.describeOrigins()].map(
    (value) => JSON.stringify(value) + inspect(value, { depth: 9, showHidden: true }),
  );
  t.false(shown.join().includes('canary'));
  const origin = loaded.describeOrigins().find(({ key }) => key === 'cluster.previousSecret');
  t.deepEqual(origin, {
    key: 'cluster.previousSecret',
    value: '(hidden)',
    origin: 'environment RINGLOAD_CLUSTER_PREVIOUS_SECRET',
  });

  await chmod(path, 0o644);
  t.regex(await refused(t, { flags: { clusterSecretFile: path } }), /mode 0644.*set 0600/);
});

test('config: bad secrets are refused without being shown', async (t) => {
  const folder = await temporaryFolder(t);
  const short = join(folder, 'short');
  await writeFile(short, 'canary', { mode: 0o600 });
  const messages = [
    await refused(t, { env: { RINGLOAD_CLUSTER_SECRET: 'canary' } }),
    await refused(t, { env: { RINGLOAD_CLUSTER_SECRET: 'canary canary canary' } }),
    await refused(t, { flags: { clusterSecretFile: short } }),
    await refused(t, { yaml: 'cluster: {secret: canary-canary-canary}' }),
    await refused(t, { flags: { clusterSecret: 'canary-canary-canary' } }),
    await refused(t, { env: { RINGLOAD_CLUSTER_PREVIOUS_SECRET: SECRET } }),
    await refused(t, { flags: { clusterSecretFile: join(folder, 'none') } }),
    await refused(t, { flags: { clusterSecretFile: folder } }),
    await refused(t, {
      env: { RINGLOAD_CLUSTER_SECRET: SECRET },
      flags: { clusterSecretFile: short },
    }),
  ];
  t.false(messages.join().includes('canary'));
  t.regex(messages[3]!, /set RINGLOAD_CLUSTER_SECRET or cluster\.secretFile/);
  t.regex(messages[8]!, /both given/);
});

test('config: a password in an endpoint or a mount never reaches the message', async (t) => {
  for (const mount of [
    's3://b,endpoint=http://u:canary@h',
    's3://u:canary@b',
    's3://u:canary@b,region=a,region=b',
  ]) {
    t.false((await refused(t, { flags: { mount } })).includes('canary'));
  }
});

test('config: mounts are checked', async (t) => {
  for (const mount of [
    'bucket',
    's3:///key',
    's3://',
    'S3://b',
    'http://169.254.169.254/',
    'file://host/dir',
    's3://b,endpoint=ftp://x',
    's3://b,endpoint=http://h/path',
    's3://b,region=a b',
    's3://b,forcePathStyle=maybe',
    's3://b,credentials=root',
    's3://b,credentials=env:ONE',
    's3://b,responseChecksums=no',
  ]) {
    t.regex(await refused(t, { flags: { mount: [mount] } }), /ufs\.mounts/);
  }
  t.regex(
    await refused(t, { flags: { mount: ['s3://b/a', 's3://b/a/'] } }),
    /name s3:\/\/b\/a twice/,
  );
  const mount = ['s3://b', 's3://b/a', 'file:///', 's3://b2/,credentials=anonymous'];
  t.is((await load(t, { flags: { mount } })).config.ufs.mounts.length, 4);
});

test('config: the result is frozen through and through', async (t) => {
  const { config } = await load(t, { flags: { mount: ['s3://b'], join: ['a:1'] } });
  const check = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    t.true(Object.isFrozen(value));
    Object.values(value).forEach(check);
  };
  check(config);
});

test('config: the file is found by flag, by variable, in the home and by nothing else', async (t) => {
  const folder = await temporaryFolder(t);
  const write = async (path: string, level: string) => {
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, `log: {level: ${level}}`);
    return path;
  };
  const byFlag = await write(join(folder, 'flag.yaml'), 'error');
  const byEnv = await write(join(folder, 'env.yaml'), 'warn');
  await write(join(folder, 'xdg/ringload/ringload.yaml'), 'debug');
  await write(join(folder, 'home/.config/ringload/ringload.yaml'), 'silent');
  const home = { HOME: join(folder, 'home') };
  const xdg = { ...home, XDG_CONFIG_HOME: join(folder, 'xdg') };
  const env = { ...xdg, RINGLOAD_CONFIG: byEnv };
  t.is((await loadConfig({ env: home })).config.log.level, 'silent');
  t.is((await loadConfig({ env: xdg })).config.log.level, 'debug');
  t.is((await loadConfig({ env })).config.log.level, 'warn');
  const loaded = await loadConfig({ env, flags: { config: byFlag } });
  t.is(loaded.config.log.level, 'error');
  t.is(loaded.configPath, byFlag);
  t.regex(await refused(t, { configPath: join(folder, 'none') }), /there is no such file/);
  t.regex(await refused(t, { configPath: folder }), /EISDIR/);
});
