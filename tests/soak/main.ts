/**
 * The soak from the command line: `npm run soak -- --minutes 10 --seed 7 [--peers 5]`. The seed
 * decides which faults come when and to whom; the processes are real, so the same seed meets them
 * in other moments. Ends with a plain line of counts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { platform } from 'node:process';
import { parseArgs } from 'node:util';
import { Ledger } from './ledger.ts';
import { runSoak } from './soak.ts';
import { Logs } from './watch.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: process.env['SOAK_MINUTES'] ?? '10' },
    seed: { type: 'string', default: process.env['SOAK_SEED'] ?? String(Date.now() % 1_000_000) },
    peers: { type: 'string', default: '5' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const peerCount = Number(values.peers);
if (!(minutes > 0) || !Number.isSafeInteger(seed) || !(peerCount >= 3)) {
  console.error('soak: --minutes is above 0, --seed an integer, --peers 3 or more');
  process.exit(2);
}
const again = `npm run soak -- --minutes ${minutes} --seed ${seed} --peers ${peerCount}`;
if (platform !== 'linux') {
  console.log('SKIPPED: the soak needs Linux (loopback addresses, /proc)');
  console.log('0 passed, 0 failed, 1 skipped');
  process.exit(0);
}
console.log(`soak of ${minutes} minutes, seed ${seed}, ${peerCount} peers`);
const folder = await mkdtemp(join(tmpdir(), 'ringload-soak-'));
const ledger = new Ledger();
const logs = new Logs(folder, ledger);
process.on('unhandledRejection', (reason) => {
  ledger.fail(`the soak itself: unhandled rejection: ${String(reason)}`);
});
try {
  await runSoak({ minutes, seed, peerCount, ledger, logs });
} catch (error) {
  ledger.fail(`the soak ended early: ${error instanceof Error ? error.stack : String(error)}`);
}
logs.close();
console.log(`seed ${seed}`);
for (const line of ledger.lines()) console.log(line);
for (const failure of ledger.failures) console.error(`FAILED: ${failure}`);
if (ledger.failures.length > 0) {
  console.error(`again: ${again}`);
  console.error(`logs: ${folder}`);
  process.exitCode = 1;
} else {
  await rm(folder, { recursive: true });
}
console.log(`${ledger.passedCount} passed, ${ledger.failures.length} failed`);
// Why: whatever a fault left open in this process must not keep the run from ending.
process.exit();
