/** Two loads of paths that lie in each other, at once and one after the other. */
import test from 'ava';
import { expectBytesFromCache, expectExactAccounting } from './expect.ts';
import { expectHeld } from './held.ts';
import type { Load } from './load.ts';
import { SEGMENT_BYTES, Stage } from './stage.ts';

test.serial(
  'overlap: loads that cut the same files alike run at once, each ends true',
  async (t) => {
    await using stage = await Stage.open({
      peers: 3,
      // Each load judges the pace of owners by its own work; here nobody is slow.
      env: { RINGLOAD_LOAD_SLOW_AFTER_MS: 60_000 },
    });
    const outer = stage.addFiles({ count: 40 });
    const inner = { ...outer, path: `${outer.path}/dir`, keys: outer.keys.slice(0, 40) };
    stage.slowReads(60);
    const loads = [
      await stage.load(outer, { replicas: 2 }),
      await stage.load(inner, { replicas: 2 }),
    ];
    const refused = await t.throwsAsync(
      stage.cluster.runningPeers[0]?.api.submit({
        path: `${inner.path}/file-0000`,
        segmentSize: 2 * SEGMENT_BYTES,
      }) ?? Promise.resolve(),
    );
    t.is((refused as { status?: number }).status, 409);
    t.regex(refused.message, /in segments of 65536 bytes/);
    for (const load of loads) {
      const { pass } = await load.succeeds();
      t.is(pass, 1, 'neither undoes what the other counts on');
    }
    stage.calm();
    for (const load of loads) await expectTrue(load);
    const ranges = stage.origin.getsBelow(outer.prefix).map(({ key, headers }) => {
      return `${key} ${headers.range}`;
    });
    t.is(new Set(ranges).size, ranges.length, 'each range is fetched once');

    async function expectTrue(load: Load): Promise<void> {
      const status = await load.status();
      t.is(status.state, 'SUCCEEDED');
      expectExactAccounting(t, load, status);
      await expectHeld(t, load, status);
    }
  },
);

test.serial('overlap: a load that cuts files of an ended one anew takes its place', async (t) => {
  await using stage = await Stage.open({ peers: 3 });
  const outer = stage.addFiles({ count: 12 });
  const inner = { ...outer, path: `${outer.path}/dir`, keys: outer.keys.slice(0, 12) };
  await (await stage.load(outer, { replicas: 2 })).succeeds();
  const again = await stage.load(inner, { replicas: 2, segmentSize: 2 * SEGMENT_BYTES });
  const ended = await again.succeeds();
  t.is(ended.pass, 1);
  expectExactAccounting(t, again, ended);
  await expectBytesFromCache(t, stage, outer.keys);
  const { record, segments } = await (stage.cluster.runningPeers[0]?.api.placement(
    `s3://origin/${inner.keys[0]}`,
  ) ?? Promise.reject(new Error('no peer')));
  t.is(record.segmentSizeBytes, 2 * SEGMENT_BYTES);
  t.is(segments.length, 4);
  t.true(segments.every(({ owners, residentOn }) => owners.every((id) => residentOn.includes(id))));
});
