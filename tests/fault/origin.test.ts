/** The under store throttles, breaks off, lies, changes and refuses. */
import test from 'ava';
import type { FaultRule } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import {
  expectBytes,
  expectExactAccounting,
  expectLoaded,
  pathOf,
  segmentCountOf,
} from './expect.ts';
import { SEGMENT_BYTES, Stage, type FileSet } from './stage.ts';

let stage: Stage;
test.before(async () => {
  stage = await Stage.open();
});
test.serial.beforeEach(async () => {
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
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
