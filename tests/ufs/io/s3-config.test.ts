/** Where an S3 mount connects to and as whom. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';

import { RingloadError } from '../../../src/base/errors.ts';
import { openUnderStores } from '../../../src/ufs/io/open-under-stores.ts';
import type { MountConfig } from '../../../src/ufs/mounts.ts';
import { FaultyOrigin } from '../../support/faulty-origin.ts';
import { failureOf } from '../../support/s3-fixture.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const signal = new AbortController().signal;

interface Seen {
  readonly authorization: string | undefined;
  readonly token: string | undefined;
}

/** What the origin sees of one stat through a mount. */
async function seenBy(
  origin: FaultyOrigin,
  mount: Partial<MountConfig>,
  env: Record<string, string> = {},
): Promise<Seen> {
  const path = `s3://${FaultyOrigin.BUCKET}`;
  const stores = await openUnderStores([{ path, ...mount }], ufsDependencies(env));
  try {
    await stores.storeOf(`${path}/k`).stat(`${path}/k`, signal);
  } finally {
    await stores.close();
  }
  const headers = origin.requests.at(-1)?.headers;
  const token = headers?.['x-amz-security-token'];
  return { authorization: headers?.authorization, token: token?.toString() };
}

async function startOrigin(): Promise<FaultyOrigin> {
  const origin = await FaultyOrigin.start();
  origin.objects.put('k', 1);
  return origin;
}

test('s3 config: an anonymous mount does not sign', async (t) => {
  await using origin = await startOrigin();
  const { endpoint } = origin;
  const seen = await seenBy(origin, { endpoint, credentials: { kind: 'anonymous' } });
  t.is(seen.authorization, undefined);
});

test('s3 config: credentials by names of variables, endpoint and region of the environment', async (t) => {
  await using origin = await startOrigin();
  const env = {
    MY_ID: 'id-of-mine',
    MY_SECRET: 'secret',
    MY_TOKEN: 'token',
    AWS_ENDPOINT_URL_S3: origin.endpoint,
    AWS_REGION: 'eu-central-1',
  };
  const credentials = {
    kind: 'env',
    accessKeyIdName: 'MY_ID',
    secretAccessKeyName: 'MY_SECRET',
    sessionTokenName: 'MY_TOKEN',
  } as const;
  const seen = await seenBy(origin, { credentials }, env);
  t.regex(seen.authorization ?? '', /Credential=id-of-mine\/\d+\/eu-central-1\/s3/);
  t.is(seen.token, 'token');
});

test('s3 config: credential files are read again after a refusal', async (t) => {
  await using origin = await startOrigin();
  const directory = await mkdtemp(join(tmpdir(), 'ringload-credentials-'));
  const [idPath, secretPath] = [join(directory, 'id'), join(directory, 'secret')];
  await writeFile(idPath, 'old-id\n');
  await writeFile(secretPath, ' secret\n');
  const path = `s3://${FaultyOrigin.BUCKET}`;
  const stores = await openUnderStores(
    [
      {
        path,
        endpoint: origin.endpoint,
        region: 'us-east-1',
        credentials: {
          kind: 'file',
          accessKeyIdPath: idPath,
          secretAccessKeyPath: secretPath,
        },
      },
    ],
    ufsDependencies(),
  );
  const store = stores.storeOf(path);
  await store.stat(`${path}/k`, signal);
  t.regex(origin.requests.at(-1)?.headers.authorization ?? '', /Credential=old-id\//);
  await writeFile(idPath, 'new-id\n');
  origin.script({ times: 2, action: { kind: 'status', status: 403, code: 'InvalidAccessKeyId' } });
  await store.stat(`${path}/k`, signal);
  t.regex(origin.requests.at(-1)?.headers.authorization ?? '', /Credential=new-id\//);
  await stores.close();
  await rm(directory, { recursive: true });
});

test('s3 config: a credential that is missing is named, not told', async (t) => {
  await using origin = await startOrigin();
  const { endpoint } = origin;
  const env = { kind: 'env', accessKeyIdName: 'ABSENT', secretAccessKeyName: 'ALSO' } as const;
  const first = await failureOf(seenBy(origin, { endpoint, credentials: env }));
  t.is(first.code, 'ufs_credentials');
  t.regex(first.message, /environment variable ABSENT/);
  const file = { kind: 'file', accessKeyIdPath: '/no/id', secretAccessKeyPath: '/no/s' } as const;
  const second = await failureOf(seenBy(origin, { endpoint, credentials: file }));
  t.regex(second.message, /file \/no\/id/);
});

test('s3 config: link-local endpoints are refused, spelled in any way', async (t) => {
  for (const host of ['169.254.169.254', '[fe80::1]', '[::ffff:169.254.169.254]', '0xa9fea9fe']) {
    const open = (): Promise<unknown> =>
      openUnderStores([{ path: 's3://b', endpoint: `http://${host}` }], ufsDependencies());
    const error = await t.throwsAsync(
      open,
      { instanceOf: RingloadError, message: /link-local/ },
      host,
    );
    t.is(error.code, 'config_invalid');
  }
});

test('s3 config: several mounts are routed to their stores', async (t) => {
  await using origin = await startOrigin();
  const directory = await mkdtemp(join(tmpdir(), 'ringload-mounts-'));
  await writeFile(join(directory, 'f'), 'abc');
  const stores = await openUnderStores(
    [
      {
        path: `s3://${FaultyOrigin.BUCKET}`,
        endpoint: origin.endpoint,
        region: 'us-east-1',
        credentials: { kind: 'anonymous' },
      },
      { path: `file://${directory}` },
    ],
    ufsDependencies(),
  );
  for (const [path, sizeBytes] of [
    [`s3://${FaultyOrigin.BUCKET}/k`, 1],
    [`file://${directory}/f`, 3],
  ] as const) {
    t.is((await stores.storeOf(path).stat(path, signal)).sizeBytes, sizeBytes);
  }
  await stores.close();
  await rm(directory, { recursive: true });
});

test('s3 config: the chain is asked for a region once, not with every request', async (t) => {
  await using origin = await startOrigin();
  const path = `s3://${FaultyOrigin.BUCKET}`;
  let lookUpCount = 0;
  const env: Record<string, string> = {};
  Object.defineProperty(env, 'AWS_REGION', {
    get: () => {
      lookUpCount += 1;
      return 'eu-west-1';
    },
  });
  const credentials = { kind: 'anonymous' } as const;
  const stores = await openUnderStores([{ path, endpoint: origin.endpoint, credentials }], {
    ...ufsDependencies(),
    env,
  });
  for (let request = 0; request < 5; request += 1)
    await stores.storeOf(path).stat(`${path}/k`, signal);
  await stores.close();
  t.is(lookUpCount, 1);
});
