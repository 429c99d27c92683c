/**
 * How long a load stands still when its leader is killed: from the kill until a peer reports, as
 * the new leader knows it, more bytes than before. Default timers.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NumberedObjects } from '../src/sample/object-set.ts';
import { startSampleStore } from '../src/sample/sample-store.ts';
import { Cluster } from '../tests/support/cluster.ts';
import { DEFAULT_TIMERS } from './support/default-timers.ts';
import { median } from './support/pairs.ts';
import { hostLine, printTable } from './support/report.ts';

export const question = 'How long does a load stand still when its leader is killed?';

const BUCKET = 'bench';
const MIB = 1024 * 1024;
const POLL_MS = 20;
const KILL_AT = 0.3;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '5' },
      count: { type: 'string', default: '1500' },
      'mb-per-second': { type: 'string', default: '60' },
    },
  });
  const count = Number(values.count);
  const bytesPerSecond = Number(values['mb-per-second']) * 1e6;
  const rows: { standstillMs: number; repeatedMb: number; state: string }[] = [];
  for (let round = 1; round <= Number(values.runs); round++) {
    rows.push(await killOnce(count, bytesPerSecond));
    console.error(`run ${round}: ${rows.at(-1)?.standstillMs.toFixed(0)} ms`);
  }
  printTable([
    ['run', 'standstill s', 'fetched again MB', 'end'],
    ...rows.map((row, index) => [
      String(index + 1),
      (row.standstillMs / 1_000).toFixed(2),
      row.repeatedMb.toFixed(1),
      row.state,
    ]),
  ]);
  console.log(`\n${hostLine()}`);
  console.log(
    `${count} objects of 1 MiB at ${values['mb-per-second']} MB/s, 3 peers, 2 replicas, leader killed (SIGKILL) at ${100 * KILL_AT} %`,
  );
  const standstill = median(rows.map((row) => row.standstillMs)) / 1_000;
  const repeated = median(rows.map((row) => row.repeatedMb));
  console.log(`failover standstill_s=${standstill.toFixed(2)} repeated_mb=${repeated.toFixed(1)}`);
}

async function killOnce(count: number, bytesPerSecond: number) {
  const objects = new NumberedObjects({ prefix: 'o', count, sizeBytes: MIB });
  await using store = await startSampleStore({ bucket: BUCKET, objects, bytesPerSecond });
  await using cluster = await Cluster.start({
    mounts: [`s3://${BUCKET},endpoint=${store.endpoint},region=us-east-1,credentials=anonymous`],
    cacheCapacity: '4GiB',
    env: { ...DEFAULT_TIMERS, RINGLOAD_CACHE_REGION_SIZE_BYTES: '64MiB' },
  });
  const leader = await cluster.waitForLeader();
  const id = await cluster.submit({ path: `s3://${BUCKET}`, replicas: 2 });
  const loadedBytes = async (): Promise<number | undefined> => {
    const status = await cluster.status(id);
    return status?.stale === false ? status.counters.loadedBytes : undefined;
  };
  let last = 0;
  while (last < KILL_AT * count * MIB) {
    await delay(POLL_MS);
    last = (await loadedBytes()) ?? last;
  }
  const killedMs = performance.now();
  await leader.kill();
  for (;;) {
    const bytes = await loadedBytes();
    if (bytes !== undefined && bytes > last) break;
    if (performance.now() - killedMs > 60_000) throw new Error(`no progress\n${cluster.logs()}`);
    await delay(POLL_MS);
  }
  const standstillMs = performance.now() - killedMs;
  const { state } = await cluster.waitForState(id, 'SUCCEEDED', 240_000);
  // What the dead peer had fetched alone is lost with it, and counts here too.
  const repeatedMb = (store.totals().sentBytes - count * MIB) / 1e6;
  return { standstillMs, repeatedMb, state };
}
