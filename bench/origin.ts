/**
 * How fast the bench origin is: the ceiling of every load that is measured against it. One
 * keep-alive connection against four, bodies discarded.
 */
import { Agent, get } from 'node:http';
import { parseArgs } from 'node:util';
import { type Origin, ORIGIN_BUCKET, startOrigin } from './support/origin.ts';
import { type Contender, runPairs } from './support/pairs.ts';
import { printReport } from './support/report.ts';

export const question = 'How fast is the origin that the other benchmarks load from?';

const MIB = 1024 * 1024;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '5' },
      count: { type: 'string', default: '16' },
      'size-mib': { type: 'string', default: '64' },
    },
  });
  const count = Number(values.count);
  const sizeBytes = Number(values['size-mib']) * MIB;
  await using origin = await startOrigin({ count, sizeBytes });
  const comparison = await runPairs({
    subject: reader(origin, { connections: 4, count }),
    yardstick: reader(origin, { connections: 1, count }),
    pairs: Number(values.pairs),
  });
  printReport('origin', comparison, [
    `${count} objects of ${values['size-mib']} MiB over HTTP on loopback, discarded by this process`,
    'CPU and memory: the origin process',
  ]);
}

function reader(origin: Origin, options: { connections: number; count: number }): Contender {
  const { connections, count } = options;
  return {
    name: `${connections} connection${connections === 1 ? '' : 's'}`,
    pids: () => origin.pids,
    async run() {
      const agent = new Agent({ keepAlive: true, maxSockets: connections });
      let next = 0;
      let bytes = 0;
      const lane = async (): Promise<void> => {
        while (next < count) {
          const received = await readAll(
            `${origin.endpoint}/${ORIGIN_BUCKET}/${origin.keyOf(next++)}`,
            agent,
          );
          bytes += received;
        }
      };
      await Promise.all(Array.from({ length: connections }, lane));
      agent.destroy();
      return { bytes, objects: count };
    },
  };
}

function readAll(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    get(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}`));
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('end', () => resolve(bytes));
      response.on('error', reject);
    }).on('error', reject);
  });
}
