/**
 * How fast a leader lists a bucket that takes its time: an origin that answers each page after so
 * many milliseconds, listed into the real scheduler with owners that answer at once. Beside it the
 * same bucket one page after another, as a store without keys is listed.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { S3UnderStore } from '../src/ufs/io/s3-under-store.ts';
import type { UnderStore } from '../src/ufs/under-store.ts';
import { Child, cleanEnvironment } from '../tests/support/child.ts';
import { ufsDependencies } from '../tests/support/ufs-dependencies.ts';
import { waitFor } from '../tests/support/wait-for.ts';
import { runLoneLoad } from './support/lone-leader.ts';
import { median } from './support/pairs.ts';
import { hostLine, printTable } from './support/report.ts';

export const question = 'How fast is a bucket listed whose every page takes 30 ms?';

const BUCKET = 'bench';
const PEER_COUNT = 10;
const SIZE_BYTES = 64 * 1024;

interface Listing {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly callCount: number;
  readonly parallelMaxCount: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string', default: '200000' },
      'page-ms': { type: 'string', default: '30' },
      pairs: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  });
  const count = Number(values.count);
  const pageMs = Number(values['page-ms']);
  const ahead: Listing[] = [];
  const plain: Listing[] = [];
  for (let pair = 1; pair <= Number(values.pairs); pair++) {
    ahead.push(await listOnce(count, pageMs, true));
    plain.push(await listOnce(count, pageMs, false));
  }
  const ratio = median(ahead.map(({ seconds }, at) => (plain[at]?.seconds ?? NaN) / seconds));
  const cpuRatio = median(ahead.map((own, at) => own.cpuSeconds / (plain[at]?.cpuSeconds ?? NaN)));
  const closing = `listing ratio=${ratio.toFixed(3)} cpu_ratio=${cpuRatio.toFixed(3)} limit=none`;
  if (values.json) {
    const report = { name: 'listing', host: hostLine(), count, pageMs, ahead, plain };
    console.log(JSON.stringify(report, undefined, 2));
    console.log(closing);
    return;
  }
  const row = (name: string, listings: readonly Listing[]): string[] => {
    const middle = (figure: (listing: Listing) => number): number => median(listings.map(figure));
    return [
      name,
      middle(({ seconds }) => count / seconds).toFixed(0),
      middle(({ seconds }) => seconds).toFixed(2),
      middle(({ cpuSeconds }) => (1e6 * cpuSeconds) / count).toFixed(1),
      middle(({ callCount }) => callCount).toFixed(0),
      middle(({ parallelMaxCount }) => parallelMaxCount).toFixed(0),
    ];
  };
  printTable([
    ['', 'objects/s', 'seconds', 'CPU us/object', 'calls', 'at once'],
    row('read ahead', ahead),
    row('page after page', plain),
  ]);
  console.log(`\n${hostLine()}`);
  console.log(
    `${count} objects, 1,000 a page, ${pageMs} ms a page; medians of ${values.pairs} pairs; ratios are to page after page; CPU of the leader, the origin is a process of its own`,
  );
  console.log(closing);
}

async function listOnce(count: number, pageMs: number, isAhead: boolean): Promise<Listing> {
  const origin = await startLister(count, pageMs);
  const path = `s3://${BUCKET}`;
  const mount = {
    ...{ path, endpoint: origin.endpoint, region: 'us-east-1' },
    credentials: { kind: 'anonymous' as const },
  };
  const store = new S3UnderStore(mount, ufsDependencies());
  const counted = countCalls(store, isAhead);
  try {
    const { seconds, cpuSeconds, fileCount } = await runLoneLoad({
      store: counted,
      spec: { path, replicaCount: 1, segmentSizeBytes: SIZE_BYTES },
      peerCount: PEER_COUNT,
    });
    if (fileCount !== count) throw new Error(`${fileCount} of ${count} objects were listed`);
    const { callCount, parallelMaxCount } = counted;
    return { seconds, cpuSeconds, callCount, parallelMaxCount };
  } finally {
    await store.close();
    await origin.child.stop();
  }
}

async function startLister(count: number, pageMs: number) {
  const child = await Child.start({
    command: process.execPath,
    args: [
      join(import.meta.dirname, 'support/slow-lister-process.js'),
      ...[BUCKET, 'data/part-', String(count), String(SIZE_BYTES), String(pageMs)],
    ],
    env: cleanEnvironment(),
  });
  const endpoint = await waitFor(() => /^http:\S+$/m.exec(child.logs())?.[0], {
    what: 'the origin to listen',
    context: () => child.logs(),
  });
  return { child, endpoint };
}

function countCalls(store: UnderStore, listsByKey: boolean) {
  const counted = { callCount: 0, parallelMaxCount: 0 };
  let runningCount = 0;
  const list: UnderStore['list'] = async (request, signal) => {
    counted.callCount += 1;
    counted.parallelMaxCount = Math.max(counted.parallelMaxCount, ++runningCount);
    try {
      return await store.list(request, signal);
    } finally {
      runningCount -= 1;
    }
  };
  const rest: UnderStore = {
    listsByKey,
    list,
    stat: (path, signal) => store.stat(path, signal),
    readRange: (request, signal) => store.readRange(request, signal),
    checksum: (object, signal) => store.checksum(object, signal),
    close: () => store.close(),
  };
  return Object.assign(counted, rest);
}
