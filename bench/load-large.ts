/** Large objects into one peer, beside the tools that people use for it. */
import { parseArgs } from 'node:util';
import { runLoadBenchmark } from './support/load.ts';

export const question = 'How fast does one peer load large objects, against s5cmd and others?';

const MIB = 1024 * 1024;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '5' },
      count: { type: 'string', default: '2' },
      'size-mib': { type: 'string', default: '1024' },
      'segment-mib': { type: 'string', default: '8' },
      tools: { type: 'string' },
      json: { type: 'boolean', default: false },
      tls: { type: 'boolean', default: false },
      profile: { type: 'string' },
      against: { type: 'string' },
    },
  });
  await runLoadBenchmark({
    name: 'load-large',
    count: Number(values.count),
    sizeBytes: Number(values['size-mib']) * MIB,
    segmentSizeBytes: Number(values['segment-mib']) * MIB,
    pairs: Number(values.pairs),
    toolNames: values.tools?.split(','),
    json: values.json,
    tls: values.tls,
    profileFolder: values.profile,
    against: values.against,
  });
}
