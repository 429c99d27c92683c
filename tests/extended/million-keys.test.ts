/** A listing of a million keys: a load goes through it in memory that does not grow with it. */
import test from 'ava';
import { NumberedObjects } from '../../src/sample/object-set.ts';
import { startSampleStore } from '../../src/sample/sample-store.ts';
import { metricOf } from '../fault/expect.ts';
import { Cluster } from '../support/cluster.ts';
import type { Peer } from '../support/peer-process.ts';

const KEY_COUNT = 1_000_000;
/** What a heap may swing by between collections; a million records would take several times that. */
const GROWTH_MAX_BYTES = 160 * 1024 * 1024;

test.serial(
  'a million keys: listed and counted by a load in the memory of a few pages',
  async (t) => {
    t.timeout(580_000);
    const objects = new NumberedObjects({ prefix: 'many/', count: KEY_COUNT, sizeBytes: 3 });
    await using store = await startSampleStore({ bucket: 'origin', objects });
    await using cluster = await Cluster.start({
      peers: 1,
      mounts: [`s3://origin,endpoint=${store.endpoint},credentials=anonymous`],
    });
    const [peer] = cluster.peers as [Peer];
    // Every key is listed, looked at, and passed over: the listing alone is what takes memory.
    const request = { path: 's3://origin/many', fileFilterRegex: 'none' };
    const id = await cluster.submit(request);
    const memory: number[] = [];
    const listed: number[] = [];
    const status = await cluster.waitFor(
      async () => {
        memory.push(await metricOf(peer, 'ringload_process_resident_memory_bytes'));
        const current = await cluster.status(id);
        listed.push(current?.counters.listedFiles ?? 0);
        return current?.endedAtMs === undefined ? undefined : current;
      },
      'the listing to end',
      560_000,
    );
    t.is(status.state, 'SUCCEEDED', JSON.stringify(status.failure));
    t.like(status.counters, { listedFiles: KEY_COUNT, filteredFiles: KEY_COUNT, loadedFiles: 0 });
    t.deepEqual(
      listed,
      [...listed].sort((a, b) => a - b),
      'progress only grows',
    );
    t.true(new Set(listed).size > 3, 'progress was to be seen');
    // From the first fifth on, when everything is warm, the rest of the keys costs nothing.
    const warm = memory.slice(Math.floor(memory.length / 5));
    const growth = Math.max(...warm) - (warm[0] ?? 0);
    t.log(`${memory.length} samples, grown by ${Math.round(growth / 1024 / 1024)} MiB`);
    t.true(growth < GROWTH_MAX_BYTES, `${growth} bytes`);
  },
);
