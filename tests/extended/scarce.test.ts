/** Where a disk lies or has no room for another file, and memory is short: slower, never wrong. */
import { join } from 'node:path';
import { expectBytes, expectLoaded, metricOf } from '../fault/expect.ts';
import { readSteadily } from '../fault/members.ts';
import { Stage } from '../fault/stage.ts';
import { requires } from '../support/requires.ts';
import { inject, mountMissing, straceMissing, Volume } from './support/disk-tools.ts';
import { MemoryGroup, memoryGroupMissing } from './support/memory-group.ts';

const MIB = 1024 * 1024;
const SETTINGS = { RINGLOAD_CACHE_REGION_SIZE_BYTES: '1MiB' };

requires(straceMissing())(
  'scarce: a disk that says more was written than was is found out by the checksums',
  async (t) => {
    await using stage = await Stage.open({ env: SETTINGS });
    const [victim] = stage.cluster.peers;
    if (!victim) throw new Error('a cluster has peers');
    const data = stage.addFiles({ count: 16 });
    const regions = Array.from({ length: 64 }, (_, id) =>
      join(victim.dataDir, 'cache', `region-${String(id).padStart(5, '0')}.dat`),
    );
    {
      // The call is not made: nothing lies where the first block of each second write should.
      await using injection = await inject({
        pid: victim.pid,
        calls: 'pwrite64',
        how: 'retval=4096:when=2+2',
        files: regions,
      });
      await (await stage.load(data, { replicas: 2 })).succeeds();
      t.log(`${injection.count()} writes that were none`);
      t.true(injection.count() > 0);
    }
    for (const peer of stage.cluster.peers) await expectBytes(t, stage, data.keys, [peer]);
    t.true((await metricOf(victim, 'ringload_segments_corrupt_total')) > 0);
  },
);

requires(mountMissing())(
  'scarce: a cache directory that may have no more files serves those it has',
  async (t) => {
    // Twelve regions of two files each, in place of 48.
    await using volume = await Volume.inMemory('64m', 28);
    const second = join(volume.path, 'cache');
    await using stage = await Stage.open({
      env: SETTINGS,
      peers: 1,
      cacheCapacity: '32MiB',
      moreCacheDirs: () => [`${second}=48MiB`],
    });
    const [victim] = stage.cluster.peers;
    if (!victim) throw new Error('a cluster has peers');
    const data = stage.addFiles({ count: 40 });
    const load = await stage.load(data);
    await load.succeeds();
    await expectLoaded(t, load);
    const { usage } = (await victim.api.self()) as unknown as {
      usage: { capacityBytes: number; directories: { state: string }[] };
    };
    t.true(usage.capacityBytes < 80 * MIB, 'what cannot be had is not counted on');
    t.deepEqual([...new Set(usage.directories.map(({ state }) => state))], ['ok']);
    t.regex(victim.logs(), /open region \d+ of .*: ENOSPC/);
    await stage.cluster.stop();
  },
);

requires(memoryGroupMissing())(
  'scarce: 256 MiB for a peer with its page cache are enough for a load and its readers',
  async (t) => {
    await using group = await MemoryGroup.create(256 * MIB);
    await using stage = await Stage.open({ cacheCapacity: '512MiB' });
    const victim = await stage.cluster.waitForLeader();
    await group.add(victim.pid);
    const first = stage.addFiles({ count: 16 });
    await (await stage.load(first, { replicas: 2 })).succeeds();
    await using reader = readSteadily(stage, first, () => [victim]);
    const data = stage.addFiles({ count: 24, sizeBytes: 4 * MIB });
    const load = await stage.load(data, { replicas: 2, segmentSizeBytes: 4 * MIB });
    await load.succeeds(120_000);
    await expectBytes(t, stage, data.keys, [victim]);
    await reader.expectUnhurt(t);
    const usedBytes = await group.figure('max_usage_in_bytes');
    t.log(`${Math.round(usedBytes / MIB)} MiB, limit met ${await group.figure('failcnt')} times`);
    t.is(await group.killedCount(), 0);
    t.true(victim.running);
  },
);
