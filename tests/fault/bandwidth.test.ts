/** Limits of bandwidth over real peers: what the origin sends in the time that a load takes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../src/base/units.ts';
import { NumberedObjects } from '../../src/sample/object-set.ts';
import { startSampleStore } from '../../src/sample/sample-store.ts';
import { Cluster } from '../support/cluster.ts';
import { tempFolder } from '../support/temp-folder.ts';

const LIMIT_BPS = 8 * MIB;
/** Sockets hold some of what a limit has not let through yet, and a limit saves up a little. */
const AHEAD_SECONDS = 1;

function originOf(count: number) {
  const objects = new NumberedObjects({ prefix: 'o', count, sizeBytes: MIB });
  return startSampleStore({ bucket: 'limited', objects });
}

const mountOf = (endpoint: string): string =>
  `s3://limited,endpoint=${endpoint},region=us-east-1,credentials=anonymous`;

function expectRate(t: ExecutionContext, given: { bytes: number; ms: number; bps: number }): void {
  const seconds = given.ms / 1000;
  const what = `${given.bytes} bytes in ${seconds.toFixed(1)} s at ${given.bps} a second`;
  t.log(what);
  t.true(given.bytes <= given.bps * (seconds + AHEAD_SECONDS) * 1.05, what);
  t.true(given.bytes >= 0.4 * given.bps * seconds, what);
}

test.serial('bandwidth: three peers share the limit of their cluster', async (t) => {
  await using origin = await originOf(64);
  await using cluster = await Cluster.start({
    mounts: [mountOf(origin.endpoint)],
    env: { RINGLOAD_UFS_CLUSTER_BANDWIDTH_BPS: LIMIT_BPS },
  });
  await cluster.waitForLeader();
  const startedMs = performance.now();
  const id = await cluster.submit({ path: 's3://limited', replicas: 2 });
  await cluster.waitForState(id, 'SUCCEEDED', 120_000);
  const ms = performance.now() - startedMs;
  const bytes = origin.totals().sentBytes;
  t.true(bytes >= 64 * MIB, 'all of it came from the origin');
  expectRate(t, { bytes, ms, bps: LIMIT_BPS });
});

for (const threadCount of [2, 0]) {
  const way = threadCount === 0 ? 'the SDK' : `${threadCount} lane threads`;
  test.serial(
    `bandwidth: a peer keeps to its limit, and jobs to theirs, over ${way}`,
    async (t) => {
      await using origin = await originOf(24);
      await using folder = await tempFolder('limited');
      const files = join(folder.path, 'files');
      await mkdir(files);
      for (let number = 0; number < 24; number++) {
        await writeFile(join(files, `file-${number}`), Buffer.alloc(MIB, number));
      }
      await using cluster = await Cluster.start({
        peers: 1,
        mounts: [mountOf(origin.endpoint), `file://${files}`],
        env: { RINGLOAD_UFS_BANDWIDTH_BPS: LIMIT_BPS, RINGLOAD_LANES_THREAD_COUNT: threadCount },
      });
      await cluster.waitForLeader();
      const load = async (request: Parameters<Cluster['submit']>[0]): Promise<number> => {
        const startedMs = performance.now();
        const id = await cluster.submit(request);
        await cluster.waitForState(id, 'SUCCEEDED', 120_000);
        return performance.now() - startedMs;
      };
      const both = [load({ path: 's3://limited' }), load({ path: `file://${files}` })];
      const ms = Math.max(...(await Promise.all(both)));
      expectRate(t, { bytes: 48 * MIB, ms, bps: LIMIT_BPS });
      const bps = 4 * MIB;
      const again = await load({ path: 's3://limited', bandwidth: bps, skipIfExists: false });
      t.true(origin.totals().sentBytes >= 48 * MIB, 'it was fetched again');
      expectRate(t, { bytes: 24 * MIB, ms: again, bps });
    },
  );
}
