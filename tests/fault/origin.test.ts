/** The under store throttles, breaks off, lies, changes and refuses. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ErrorCode } from '../../src/base/errors.ts';
import { CredentialEndpoint } from '../support/credential-endpoints.ts';
import type { FaultAction, FaultRule } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import {
  expectBytes,
  expectExactAccounting,
  expectLoaded,
  pathOf,
  segmentCountOf,
} from './expect.ts';
import { PARALLEL_FETCHES, SEGMENT_BYTES, Stage, type FileSet } from './stage.ts';

/** Its mount takes credentials from the standard chain: here, from an endpoint for containers. */
const SIGNED = 'signed/';

let stage: Stage;
let credentials: CredentialEndpoint;
test.before(async () => {
  credentials = await CredentialEndpoint.start();
  stage = await Stage.open({
    mountsAt: (endpoint) => [`${pathOf(SIGNED)},endpoint=${endpoint},region=us-east-1`],
    env: credentials.environment('container'),
  });
});
test.serial.beforeEach(async () => {
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
  await credentials[Symbol.asyncDispose]();
});

const below = ({ prefix }: FileSet): RegExp => new RegExp(`^${prefix}`);
const gets = (data: FileSet, rest: Omit<FaultRule, 'operation' | 'key'>): FaultRule => ({
  operation: 'get',
  key: below(data),
  ...rest,
});

/** Faults that pass: the load succeeds, every byte is right. */
const PASSING: readonly [title: string, rule: Omit<FaultRule, 'operation' | 'key'>][] = [
  ['503 in a burst', { times: 25, action: { kind: 'status', status: 503, code: 'SlowDown' } }],
  [
    '500 now and then',
    { probability: 0.2, action: { kind: 'status', status: 500, code: 'InternalError' } },
  ],
  [
    '502 with a page of HTML',
    { times: 10, action: { kind: 'status', status: 502, body: '<html>' } },
  ],
  [
    'connections reset in the middle of a body',
    { probability: 0.2, action: { kind: 'reset', at: 30_000 } },
  ],
  [
    'connections closed in the middle of a body',
    { probability: 0.2, action: { kind: 'fin', at: 30_000 } },
  ],
  ['bodies shorter than the range', { times: 10, action: { kind: 'resize', byBytes: -1_000 } }],
  ['bodies longer than the range', { times: 10, action: { kind: 'resize', byBytes: 1_000 } }],
  [
    'another range than the one asked for',
    { times: 10, action: { kind: 'shift-range', byBytes: 512, honest: true } },
  ],
  ['the whole object in place of a range', { times: 10, action: { kind: 'whole' } }],
];

for (const [title, rule] of PASSING) {
  test.serial(`origin: ${title} does not fail a load`, async (t) => {
    const data = stage.addFiles({ count: 8, sizeBytes: 4 * SEGMENT_BYTES });
    stage.script(gets(data, rule));
    const load = await stage.load(data, { replicas: 2 });
    await load.succeeds();
    stage.calm();
    await expectLoaded(t, load);
    const fetches = stage.origin.getsBelow(data.prefix).length;
    t.true(fetches > segmentCountOf(stage, data.keys), 'the fault was met');
  });
}

/** Each of them a few times, in any order, on top of each other. */
const MIXED: readonly FaultAction[] = [
  { kind: 'status', status: 429, body: '' },
  { kind: 'status', status: 504, body: '<html>gateway</html>' },
  { kind: 'status', status: 400, code: 'RequestTimeout' },
  { kind: 'status', status: 403, code: 'RequestTimeTooSkewed' },
  { kind: 'status', status: 200, code: 'InternalError' },
  { kind: 'no-length' },
  { kind: 'no-length', cutAt: 30_000 },
  { kind: 'cut-chunks', how: 'reset', at: 30_000 },
  { kind: 'headers', set: { etag: null } },
  { kind: 'headers', set: { 'content-range': `bytes 0-1/2` } },
];

test.serial('origin: a mixture of everything that passes does not fail a load', async (t) => {
  const data = stage.addFiles({ count: 16, sizeBytes: 4 * SEGMENT_BYTES });
  stage.script(
    ...MIXED.map((action, position) =>
      gets(data, { when: everyNth(position + 2), times: 3, action }),
    ),
  );
  const load = await stage.load(data, { replicas: 2 });
  await load.succeeds();
  stage.calm();
  await expectLoaded(t, load);
  t.true(stage.origin.getsBelow(data.prefix).length > segmentCountOf(stage, data.keys));
});

/** True for every n-th request that gets as far as this rule. */
function everyNth(n: number): () => boolean {
  let count = 0;
  return () => ++count % n === 0;
}

test.serial(
  'origin: a tenth of 503 all along costs no byte twice and few requests (L2)',
  async (t) => {
    const data = stage.addFiles({ count: 24, sizeBytes: 4 * SEGMENT_BYTES });
    const throttled = { kind: 'status', status: 503, code: 'SlowDown' } as const;
    stage.script(gets(data, { when: everyNth(10), action: throttled }));
    const load = await stage.load(data, { replicas: 2 });
    const status = await load.succeeds();
    stage.calm();
    const segments = segmentCountOf(stage, data.keys);
    const requests = stage.origin.getsBelow(data.prefix).length;
    t.log(`${requests} requests for ${segments} segments`);
    // Every tenth is refused, so a ninth more are needed, and nothing else is.
    t.true(requests > segments && requests <= Math.ceil((segments * 10) / 9), `${requests}`);
    const sent = data.keys.reduce((sum, key) => sum + stage.origin.sentBytesOf(key), 0);
    const errorDocuments = requests - segments;
    t.is(status.amplification, 1);
    t.true(sent - status.counters.loadedBytes <= errorDocuments * 1_000, `${sent} bytes sent`);
    await expectLoaded(t, load);
  },
);

test.serial(
  'origin: an object that changes between listing and fetch is loaded anew',
  async (t) => {
    const data = stage.addFiles({ count: 4 });
    const [changed = ''] = data.keys;
    const before = stage.origin.expectedSha256(changed);
    // After two segments of the first version: what is stored of them must not be served.
    stage.script({ operation: 'get', key: changed, nth: 3, action: { kind: 'change' } });
    const load = await stage.load(data, { replicas: 2 });
    await load.succeeds();
    stage.calm();
    t.not(stage.origin.expectedSha256(changed), before);
    await expectLoaded(t, load);
  },
);

test.serial('origin: an object that changes and shrinks is counted by its new size', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const [changed = ''] = data.keys;
  stage.script({
    operation: 'get',
    key: changed,
    nth: 2,
    action: { kind: 'change', sizeBytes: 100_000 },
  });
  const load = await stage.load(data, { replicas: 2 });
  await load.succeeds();
  stage.calm();
  await expectLoaded(t, load);
});

test.serial('origin: an object that grows is counted by its new size', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const [changed = ''] = data.keys;
  const sizeBytes = 13 * SEGMENT_BYTES + 1;
  stage.script({ operation: 'get', key: changed, nth: 4, action: { kind: 'change', sizeBytes } });
  const load = await stage.load(data, { replicas: 2 });
  await load.succeeds();
  stage.calm();
  await expectLoaded(t, load);
});

test.serial('origin: an object that never stops changing fails alone as ufs_changed', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const [restless = ''] = data.keys;
  stage.script({ operation: 'get', key: restless, action: { kind: 'change' } });
  const load = await stage.load(data);
  const status = await load.fails();
  t.deepEqual(
    status.failedFiles.map(({ path, code }) => ({ path, code })),
    [{ path: pathOf(restless), code: 'ufs_changed' }],
  );
  expectExactAccounting(t, load, status, { failed: [restless] });
  // The version of the listing and three more: not for ever.
  t.true(stage.origin.countOf('get', restless) <= 4 * PARALLEL_FETCHES * 3);
  stage.calm();
  await expectBytes(t, stage, data.keys.slice(1));
});

/** What a store may have against a single key, and the reason that the job tells for it. */
const REFUSALS: readonly (readonly [FaultAction, code: ErrorCode, says: RegExp])[] = [
  [
    {
      kind: 'status',
      status: 404,
      code: 'NoSuchKey',
      headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': 'v2' },
    },
    'ufs_not_found',
    /NoSuchKey/,
  ],
  [{ kind: 'status', status: 403, code: 'AccessDenied' }, 'ufs_forbidden', /AccessDenied/],
  [{ kind: 'status', status: 403, code: 'InvalidObjectState' }, 'ufs_forbidden', /archived/],
  // What S3 says about a key of the customer's own that is missing.
  [{ kind: 'status', status: 400, code: 'InvalidRequest' }, 'ufs_forbidden', /InvalidRequest/],
];

test.serial(
  'origin: each refused key fails with its own reason, the others are loaded',
  async (t) => {
    const data = stage.addFiles({ count: 8 });
    const refused = data.keys.slice(0, REFUSALS.length);
    stage.script(
      ...REFUSALS.map(([action], position): FaultRule => ({
        operation: 'get',
        key: refused[position] ?? '',
        action,
      })),
    );
    const load = await stage.load(data, { replicas: 2 });
    const status = await load.fails();
    t.is(status.failure?.code, 'partially_failed');
    t.is(status.failedFiles.length, REFUSALS.length);
    for (const [position, [, code, says]] of REFUSALS.entries()) {
      const path = pathOf(refused[position] ?? '');
      const failed = status.failedFiles.find((file) => file.path === path);
      t.is(failed?.code, code);
      t.regex(failed?.message ?? '', says);
    }
    expectExactAccounting(t, load, status, { failed: refused });
    stage.calm();
    await expectBytes(t, stage, data.keys.slice(REFUSALS.length));
  },
);

test.serial(
  'origin: a bucket that goes in the middle of a job fails it with that reason',
  async (t) => {
    const data = stage.addFiles({ count: 14 });
    const gone = { kind: 'status', status: 404, code: 'NoSuchBucket' } as const;
    let getCount = 0;
    const isGone = (): boolean => getCount > 30;
    stage.origin.pageMaxKeys = 10;
    stage.script({
      when: ({ operation }) => {
        if (operation === 'get') getCount++;
        return isGone();
      },
      action: gone,
    });
    const load = await stage.load(data);
    const status = await load.fails();
    t.is(status.failure?.code, 'ufs_not_found');
    t.regex(status.failure?.message ?? '', /the bucket does not exist/);
    t.true(status.counters.loadedFiles < data.keys.length);
    stage.calm();
    await stage.cluster.peers[0]?.api.retry(load.id);
    await load.succeeds();
    await expectLoaded(t, load);
  },
);

test.serial('origin: a key that no path can name fails alone', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const unnameable = `${data.prefix}a\0b`;
  stage.origin.objects.put(unnameable, 100);
  const load = await stage.load({ ...data, keys: [...data.keys, unnameable] });
  const status = await load.fails();
  t.deepEqual(
    status.failedFiles.map(({ code }) => code),
    ['invalid_argument'],
  );
  expectExactAccounting(t, load, status, { failed: [unnameable] });
  await expectBytes(t, stage, data.keys);
});

test.serial(
  'origin: a listing that is refused half way fails the job, counted so far',
  async (t) => {
    const data = stage.addFiles({ count: 40, sizeBytes: 1_000 });
    stage.origin.pageMaxKeys = 10;
    const refused = { kind: 'status', status: 403, code: 'AccessDenied' } as const;
    const delayed = { kind: 'delay', delayMs: 500 } as const;
    const isFurther: FaultRule['when'] = ({ query }) =>
      (query.get('start-after') ?? '') >= data.prefix;
    stage.script(
      { operation: 'list', when: isFurther, nth: 1, action: delayed },
      { operation: 'list', when: isFurther, action: refused },
    );
    const load = await stage.load(data);
    const listing = await load.reaches(({ counters }) => counters.listedFiles > 0, 'a page listed');
    t.true(listing.counters.listedFiles < data.keys.length, 'progress shows what is listed so far');
    const status = await load.fails();
    t.is(status.failure?.code, 'ufs_forbidden');
    const { listedFiles, loadedFiles, failedFiles } = status.counters;
    t.is(loadedFiles + failedFiles, listedFiles, 'at the end what is listed is what is settled');
    t.true(listedFiles < data.keys.length);
  },
);

test.serial('origin: pages of a listing that fail now and then cost no file', async (t) => {
  const data = stage.addFiles({ count: 36, sizeBytes: 1_000 });
  stage.origin.pageMaxKeys = 7;
  const faults: readonly FaultAction[] = [
    { kind: 'status', status: 503, code: 'SlowDown' },
    { kind: 'reset', at: 100 },
    { kind: 'edit', edit: (text) => text.slice(0, text.length / 2) },
    { kind: 'edit', edit: () => '<!DOCTYPE x [<!ENTITY a "&a;">]><ListBucketResult>&a;' },
  ];
  stage.script(
    ...faults.map((action): FaultRule => ({ operation: 'list', when: everyNth(4), action })),
  );
  const load = await stage.load(data);
  await load.succeeds();
  stage.calm();
  await expectLoaded(t, load);
});

test.serial('origin: redirects lead a load nowhere', async (t) => {
  let trapCount = 0;
  const trap = createServer((_request, response) => {
    trapCount++;
    response.end();
  }).listen(0, '127.0.0.1');
  await once(trap, 'listening');
  t.teardown(() => trap.close());
  const { port } = trap.address() as AddressInfo;
  const data = stage.addFiles({ count: 2, sizeBytes: 1_000 });
  stage.script(
    gets(data, {
      action: { kind: 'status', status: 307, headers: { location: `http://127.0.0.1:${port}/x` } },
    }),
  );
  const status = await (await stage.load(data)).fails();
  t.deepEqual([...new Set(status.failedFiles.map(({ code }) => code))], ['ufs_bad_response']);
  t.regex(status.failedFiles[0]?.message ?? '', /redirects are not followed/);
  t.is(trapCount, 0);
});

test.serial(
  'origin: credentials that rotate in the middle of a job are renewed, unseen',
  async (t) => {
    const data = stage.addFiles({ count: 12, below: SIGNED });
    // What was valid is refused from one moment on, as when a role's session ends.
    stage.script(
      {
        when: ({ headers }) => !headers.authorization?.includes(`=${credentials.keyId}/`),
        action: { kind: 'status', status: 400, code: 'ExpiredToken' },
      },
      gets(data, { action: { kind: 'delay', delayMs: 50 } }),
    );
    const load = await stage.load(data, { replicas: 2 });
    await load.isUnderWay();
    credentials.rotate();
    await load.succeeds();
    stage.calm();
    await expectLoaded(t, load);
    const refused = stage.origin
      .getsBelow(data.prefix)
      .filter(({ headers }) => !headers.authorization?.includes(credentials.keyId));
    t.true(refused.length > 0, 'both generations were used');
    const told = stage.cluster.logs() + JSON.stringify(await load.status());
    t.false(/canarysecret|token-ASIA/.test(told));
  },
);

test.serial('origin: a source of credentials that died is what the job names', async (t) => {
  const data = stage.addFiles({ count: 4, below: SIGNED });
  credentials.mood = 'dead';
  credentials.rotate();
  stage.script({
    when: ({ headers }) => !headers.authorization?.includes(`=${credentials.keyId}/`),
    action: { kind: 'status', status: 400, code: 'ExpiredToken' },
  });
  const [peer] = stage.cluster.peers as [Peer];
  const error = await t.throwsAsync(peer.api.submit({ path: data.path }));
  t.regex(error.message, /ufs_credentials/);
  t.false(/canarysecret|token-ASIA/.test(error.message + stage.cluster.logs()));
  credentials.mood = 'well';
  const load = await stage.load(data);
  await load.succeeds();
  stage.calm();
  await expectLoaded(t, load);
});

test.serial('origin: a deleted object fails alone, and a retry loads the rest', async (t) => {
  const data = stage.addFiles({ count: 6 });
  const [gone = '', ...others] = data.keys;
  stage.script({ operation: 'get', key: gone, nth: 1, action: { kind: 'delete' } });
  const load = await stage.load(data);
  const status = await load.fails();
  t.is(status.failure?.code, 'partially_failed');
  t.deepEqual(
    status.failedFiles.map(({ path, code }) => ({ path, code })),
    [{ path: pathOf(gone), code: 'ufs_not_found' }],
  );
  expectExactAccounting(t, load, status, { failed: [gone] });
  stage.calm();
  await expectBytes(t, stage, others);
});

test.serial('origin: a forbidden key fails alone, and is loaded when it is allowed', async (t) => {
  const data = stage.addFiles({ count: 6 });
  const [forbidden = '', ...others] = data.keys;
  const denied = { kind: 'status', status: 403, code: 'AccessDenied' } as const;
  stage.script({ operation: 'get', key: forbidden, action: denied });
  const load = await stage.load(data, { replicas: 2 });
  const status = await load.fails();
  t.is(status.failure?.code, 'partially_failed');
  t.deepEqual(
    status.failedFiles.map(({ path, code }) => ({ path, code })),
    [{ path: pathOf(forbidden), code: 'ufs_forbidden' }],
  );
  expectExactAccounting(t, load, status, { failed: [forbidden] });
  await expectBytes(t, stage, others);

  stage.calm();
  const fetches = stage.origin.getsBelow(data.prefix).length;
  const { jobId } = (await stage.cluster.peers[0]?.api.retry(load.id)) ?? { jobId: '' };
  t.is(jobId, load.id);
  await load.succeeds();
  t.is(
    stage.origin.getsBelow(data.prefix).length - fetches,
    segmentCountOf(stage, [forbidden]),
    'only what failed is fetched',
  );
  await expectLoaded(t, load);
});

test.serial('origin: credentials that are refused fail the job with that reason', async (t) => {
  const data = stage.addFiles({ count: 6 });
  const refused = { kind: 'status', status: 403, code: 'InvalidAccessKeyId' } as const;
  stage.script(gets(data, { action: refused }));
  const load = await stage.load(data);
  const status = await load.fails();
  t.is(status.failure?.code, 'ufs_credentials');
  t.is(status.counters.loadedBytes, 0);
  // Where the listing is refused already, the submitter hears of it.
  stage.script({ action: refused });
  const { path } = stage.addFiles({ count: 1 });
  const [peer] = stage.cluster.peers as [Peer];
  await t.throwsAsync(peer.api.submit({ path }), { message: /ufs_credentials/ });
  t.true(stage.cluster.peers.every(({ running }) => running));
});

test.serial('origin: dead for reads, every file fails and none counts as loaded', async (t) => {
  const data = stage.addFiles({ count: 4, sizeBytes: SEGMENT_BYTES });
  stage.script(gets(data, { action: { kind: 'status', status: 503, code: 'SlowDown' } }));
  const load = await stage.load(data);
  const status = await load.fails();
  const failed = data.keys.filter((key) => !key.endsWith('/empty'));
  t.is(status.failure?.code, 'partially_failed');
  expectExactAccounting(t, load, status, { failed });
  t.deepEqual([...new Set(status.failedFiles.map(({ code }) => code))], ['ufs_throttled']);
  stage.calm();
  await stage.cluster.peers[0]?.api.retry(load.id);
  await load.succeeds();
  await expectLoaded(t, load);
});

test.serial(
  'origin: dead from here on, what is cached is read, also by a peer that restarts (L3)',
  async (t) => {
    const data = stage.addFiles({ count: 6 });
    const load = await stage.load(data, { replicas: 2 });
    await load.succeeds();
    await stage.origin[Symbol.asyncDispose]();
    const [first] = stage.cluster.peers as [Peer];
    for (const peer of stage.cluster.peers) await expectBytes(t, stage, data.keys, [peer]);
    await first.restart();
    await first.waitReady();
    for (const peer of stage.cluster.peers) await expectBytes(t, stage, data.keys, [peer]);
    t.is((await load.status()).state, 'SUCCEEDED');
    const next = await stage.load(stage.addFiles({ count: 1 }));
    const unread = first.api.readFile(`${next.files.path}/odd`);
    await t.throwsAsync(unread, { message: /ufs_unavailable/ });
    t.is((await next.status()).counters.loadedFiles, 0);
    t.deepEqual(await first.api.stop(next.id), { stopped: true });
    t.true(await first.api.ready());
  },
);
