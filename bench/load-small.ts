/** Small objects into one peer, beside the tools that people use for it. */
import { parseArgs } from 'node:util';
import { runLoadBenchmark } from './support/load.ts';

export const question = 'How many small objects a second does one peer load, against others?';

const KIB = 1024;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '5' },
      count: { type: 'string', default: '20000' },
      'size-kib': { type: 'string', default: '64' },
      tools: { type: 'string' },
      json: { type: 'boolean', default: false },
      profile: { type: 'string' },
      against: { type: 'string' },
    },
  });
  await runLoadBenchmark({
    name: 'load-small',
    count: Number(values.count),
    sizeBytes: Number(values['size-kib']) * KIB,
    segmentSizeBytes: 8 * KIB * KIB,
    pairs: Number(values.pairs),
    toolNames: values.tools?.split(','),
    json: values.json,
    profileFolder: values.profile,
    against: values.against,
  });
}
