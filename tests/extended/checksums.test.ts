/** What the under store says that its objects are is compared with what was stored. */
import test, { type ExecutionContext } from 'ava';
import { COMBINABLE_SUMS } from '../../src/base/crc-combine.ts';
import type { JobStatus } from '../../src/job/job-status.ts';
import { expectBytes, expectLoaded, pathOf } from '../fault/expect.ts';
import { SEGMENT_BYTES, Stage } from '../fault/stage.ts';

let stage: Stage;
test.before(async () => {
  stage = await Stage.open();
});
test.serial.beforeEach(async () => {
  stage.origin.checksums = undefined;
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

function expectChecks(
  t: ExecutionContext,
  { counters }: JobStatus,
  expected: { checkedFiles: number; uncheckedFiles: number },
): void {
  const { checkedFiles, uncheckedFiles } = counters;
  t.deepEqual({ checkedFiles, uncheckedFiles }, expected);
}

/** The set has an empty file, of which there is nothing to check. */
const FILES = 5;
const WITH_BYTES = FILES + 1;

for (const algorithm of COMBINABLE_SUMS) {
  test.serial(
    `checksums: ${algorithm} of whole objects is compared, without a second read`,
    async (t) => {
      stage.origin.checksums = { algorithm };
      const data = stage.addFiles({ count: FILES });
      stage.origin.objects.put(`${data.prefix}small`, 1_000);
      const keys = [...data.keys, `${data.prefix}small`];
      const load = await stage.load({ ...data, keys }, { replicas: 2 });
      const status = await expectLoaded(t, (await load.succeeds(), load));
      expectChecks(t, status, { checkedFiles: WITH_BYTES + 1, uncheckedFiles: 0 });
      t.is(status.counters.ufsBytes, status.counters.loadedBytes);
    },
  );

  test.serial(`checksums: a bit that flips on the way once is found by ${algorithm}`, async (t) => {
    stage.origin.checksums = { algorithm };
    const data = stage.addFiles({ count: FILES });
    const [key = ''] = data.keys;
    stage.script({ operation: 'get', key, nth: 3, action: { kind: 'flip', at: 77 } });
    const load = await stage.load(data, { replicas: 2 });
    await load.succeeds();
    const status = await expectLoaded(t, load);
    expectChecks(t, status, { checkedFiles: WITH_BYTES, uncheckedFiles: 0 });
    t.is(stage.origin.countOf('get', key), 16, 'the file, all of it, was fetched twice');
  });
}

test.serial(
  'checksums: an object that never matches fails, and nothing of it is kept',
  async (t) => {
    const data = stage.addFiles({ count: FILES });
    const [key = '', other = ''] = data.keys;
    stage.origin.checksums = { algorithm: 'crc64nvme', spoilt: key };
    const load = await stage.load(data, { replicas: 2 });
    const status = await load.fails();
    t.is(status.failure?.code, 'partially_failed');
    t.like(status.failedFiles[0], { path: pathOf(key), code: 'ufs_corrupt' });
    t.is(status.counters.failedFiles, 1);
    t.is(stage.origin.countOf('get', key), 16, 'fetched twice, and not again');
    const [peer] = stage.cluster.peers;
    await stage.cluster.waitFor(async () => {
      const placed = await peer?.api.placement(pathOf(key));
      return placed?.segments.every(({ residentOn }) => residentOn.length === 0);
    }, 'every copy of it to be dropped');
    await expectBytes(t, stage, [other]);
  },
);

test.serial('checksums: a whole object of one segment that never matches fails, too', async (t) => {
  const data = stage.addFiles({ count: FILES, sizeBytes: SEGMENT_BYTES });
  const [key = ''] = data.keys;
  stage.origin.checksums = { algorithm: 'crc32', spoilt: key };
  const load = await stage.load(data);
  const status = await load.fails();
  t.like(status.failedFiles[0], { path: pathOf(key), code: 'ufs_corrupt' });
  t.is(stage.origin.countOf('get', key), 2);
});

for (const [title, checksums] of [
  ['none', undefined],
  ['composite ones', { algorithm: 'crc32', type: 'COMPOSITE' }],
] as const) {
  test.serial(`checksums: where the origin has ${title}, that is said`, async (t) => {
    stage.origin.checksums = checksums;
    const data = stage.addFiles({ count: FILES });
    const load = await stage.load(data);
    const status = await load.succeeds();
    expectChecks(t, status, { checkedFiles: 0, uncheckedFiles: WITH_BYTES });
  });
}
