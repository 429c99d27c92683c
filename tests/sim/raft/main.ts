/**
 * The simulator from the command line: `node build/tests/sim/raft/main.js --seeds 1..1000`, with
 * `--go-on` to look for more than one failure.
 */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { describeFailure, parseSeeds, runRange } from './seed-range.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..100' },
    'go-on': { type: 'boolean', default: false },
  },
});
const startMs = performance.now();
const { failures, counts } = await runRange(parseSeeds(values.seeds), values['go-on']);
const seconds = (performance.now() - startMs) / 1_000;
for (const what of Object.keys(counts).sort()) console.log(`${what.padEnd(24)} ${counts[what]}`);
console.log(`${((counts['seeds'] ?? 0) / seconds).toFixed(1)} seeds/s`);
for (const failure of failures) console.error(describeFailure(failure));
console.log(failures.length === 0 ? 'no violation' : `${failures.length} violations`);
if (failures.length > 0) process.exitCode = 1;
