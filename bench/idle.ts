/** What a peer costs that has nothing to do. */
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../tests/support/cluster.ts';
import { DEFAULT_TIMERS } from './support/default-timers.ts';
import { median } from './support/pairs.ts';
import { hostLine, printTable } from './support/report.ts';
import { cpuSeconds, residentBytes } from './support/usage.ts';

export const question = 'What do the peers of an idle cluster of three cost?';

/** Elections, joins and the compiler are over by then. */
const SETTLE_MS = 10_000;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { seconds: { type: 'string', default: '30' } },
  });
  const seconds = Number(values.seconds);
  await using cluster = await Cluster.start({ mounts: [], env: DEFAULT_TIMERS });
  const leader = await cluster.waitForLeader();
  await delay(SETTLE_MS);
  const pids = cluster.peers.map((peer) => peer.pid);
  const usage = (): Promise<number[]> => Promise.all(pids.map((pid) => cpuSeconds([pid])));
  const before = await usage();
  await delay(seconds * 1_000);
  const after = await usage();
  const resident = await Promise.all(pids.map(residentBytes));
  const shares = after.map((cpu, index) => (cpu - (before[index] ?? 0)) / seconds);
  printTable([
    ['', 'CPU % of a core', 'resident MB'],
    ...cluster.peers.map((peer, index) => [
      peer === leader ? `peer ${index}, leader` : `peer ${index}`,
      (100 * (shares[index] ?? 0)).toFixed(2),
      ((resident[index] ?? 0) / 1e6).toFixed(0),
    ]),
  ]);
  console.log(`\n${hostLine()}\n${seconds} s, default settings, no mounts, no requests`);
  const cpu = (100 * median(shares)).toFixed(2);
  console.log(`idle cpu_percent=${cpu} resident_mb=${(median(resident) / 1e6).toFixed(0)}`);
}
