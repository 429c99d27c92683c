/** A load by one peer and by every installed tool, side by side: behind load-large, load-small. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startOrigin } from './origin.ts';
import { runPairs } from './pairs.ts';
import { peerContender } from './peer-contender.ts';
import { printReport } from './report.ts';
import { diskContender, installedTools, missingTools, toolContender, versionOf } from './tools.ts';

export interface LoadBenchmark {
  readonly name: string;
  readonly count: number;
  readonly sizeBytes: number;
  readonly segmentSizeBytes: number;
  readonly pairs: number;
  /** Tools to compare with, by name; undefined: all that are installed. */
  readonly toolNames: readonly string[] | undefined;
  readonly json: boolean;
  /** Over TLS; the tools do not check the certificate, the peer does. */
  readonly tls?: boolean;
  /** Run the peer alone and write CPU profiles there. */
  readonly profileFolder: string | undefined;
  /** Folder of another build of the peer, to compare with in place of tools: before and after. */
  readonly against: string | undefined;
}

export async function runLoadBenchmark(benchmark: LoadBenchmark): Promise<void> {
  const {
    name,
    count,
    sizeBytes,
    segmentSizeBytes,
    pairs,
    profileFolder,
    against,
    tls = false,
  } = benchmark;
  const folder = await mkdtemp(join(tmpdir(), 'ringload-bench-'));
  try {
    await using origin = await startOrigin({ count, sizeBytes, tls });
    const alone = profileFolder !== undefined || against !== undefined;
    const installed = alone ? [] : installedTools(benchmark.toolNames);
    const tools = installed.filter(({ isPlainOnly = false }) => !(tls && isPlainOnly));
    const subject = peerContender({ origin, folder, segmentSizeBytes, profileFolder });
    const rivals = tools.map((tool) => toolContender(tool, origin, folder));
    if (against !== undefined) {
      const program = join(resolve(against), 'cli/main.js');
      rivals.push(peerContender({ origin, folder, segmentSizeBytes, program, name: against }));
    }
    const [yardstick, ...others] = rivals;
    const limit = diskContender(count * sizeBytes, folder);
    const comparison = await runPairs({
      subject,
      // Without any tool the disk is all there is to compare with.
      yardstick: yardstick ?? limit,
      others,
      ...(yardstick && { limit }),
      pairs,
    });
    const versions = await Promise.all(tools.map(versionOf));
    const missing = alone ? [] : missingTools(benchmark.toolNames);
    printReport(
      name,
      comparison,
      [
        `${count} objects of ${sizeBytes} bytes from ${origin.endpoint} (${origin.server}), segments of ${segmentSizeBytes} bytes, into ${folder}`,
        `timed until the data is synced; medians of ${pairs} rounds; ratio and cpu_ratio are to ${yardstick?.name ?? limit.name}, limit to ${limit.name}`,
        'CPU: whole process, all threads; the origin has processes of its own on the same cores',
        ...versions,
        ...(missing.length > 0 ? [`not installed: ${missing.join(', ')}`] : []),
      ],
      { json: benchmark.json },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
