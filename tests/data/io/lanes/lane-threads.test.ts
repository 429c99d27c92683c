/** Orders that go to real lane threads, or do not. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { silentLogger } from '../../../../src/base/logger.ts';
import { BandwidthBuckets } from '../../../../src/data/bandwidth-buckets.ts';
import { DemandCount } from '../../../../src/data/demand-count.ts';
import { LaneThreads } from '../../../../src/data/io/lanes/lane-threads.ts';
import { Urgency } from '../../../../src/data/urgency.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { patientWatch } from '../../../support/patient-watch.ts';

const DEADLINE_MS = 60_000;

interface LaneStage {
  /** What was asked, in order. */
  readonly heads: readonly string[];
  /** Who was not answered yet. */
  readonly held: Socket[];
  run(
    head: string,
    options?: { readonly signal?: AbortSignal; readonly urgency?: Urgency },
  ): Promise<string>;
}

/** One lane thread, and a server that keeps connections open and answers at once whom it may. */
async function stageOf(
  t: ExecutionContext,
  { laneMaxCount, answers }: { laneMaxCount: number; answers: (head: string) => boolean },
): Promise<LaneStage> {
  const folder = await tempFolder('lane-threads');
  const path = join(folder.path, 'target');
  await writeFile(path, '');
  const heads: string[] = [];
  const held: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      heads.push(bytes.toString());
      if (answers(bytes.toString())) answer(socket);
      else held.push(socket);
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const threads = new LaneThreads({
    threadCount: 1,
    directIo: 'off',
    laneMaxCount,
    socketMaxCount: { readers: 64, loads: 64 },
    openFileMaxCount: 64,
    bandwidth: new BandwidthBuckets().memory,
    demands: new DemandCount().memory,
    logger: silentLogger,
  });
  t.teardown(async () => {
    await threads.close();
    server.close();
    await folder[Symbol.asyncDispose]();
  });
  const watch = patientWatch(DEADLINE_MS);
  const target = { path, offset: 0, length: 1, ownsPages: false, isDirect: false };
  return {
    heads,
    held,
    run: async (head, { signal = new AbortController().signal, urgency } = {}) => {
      const request = { endpoint: { address: '127.0.0.1', port }, head };
      const report = await threads.run({ request, watch, target, start: 0 }, signal, { urgency });
      return report.kind;
    },
  };
}

function answer(socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
}

test('lane threads: an order that was given up before it was given asks nothing', async (t) => {
  const { run, heads } = await stageOf(t, { laneMaxCount: 1, answers: () => true });
  // The connection of the first is at hand for the next: what is ordered then is sent at once.
  t.is(await run('first'), 'moved');
  t.is(await run('given up', { signal: AbortSignal.abort() }), 'cancelled');
  t.is(await run('last'), 'moved');
  t.deepEqual(heads, ['first', 'last']);
});

test('lane threads: what a reader waits for goes before what was ordered ahead of it', async (t) => {
  const { run, heads, held } = await stageOf(t, {
    laneMaxCount: 2,
    answers: (head) => head.startsWith('reader'),
  });
  const prefetches = Array.from({ length: 6 }, (_, number) =>
    run(`job ${number}`, { urgency: new Urgency(false) }),
  );
  await waitFor(() => held.length === 2, { what: 'the lanes to be taken' });
  // All lanes are taken, and four orders wait: readers are answered nevertheless.
  const readers = Array.from({ length: 8 }, (_, number) =>
    run(`reader ${number}`, { urgency: new Urgency(true) }),
  );
  t.deepEqual(new Set(await Promise.all(readers)), new Set(['moved']));
  t.is(held.length, 2, 'more lanes for jobs than there may be');
  while (heads.length < 14) {
    const socket = held.shift();
    if (socket) answer(socket);
    else await delay(5);
  }
  for (const socket of held.splice(0)) answer(socket);
  t.deepEqual(new Set(await Promise.all(prefetches)), new Set(['moved']));
});

test('lane threads: what a reader begins to wait for overtakes what was ordered with it', async (t) => {
  const { run, heads, held } = await stageOf(t, { laneMaxCount: 1, answers: () => false });
  const urgencies = Array.from({ length: 4 }, () => new Urgency(false));
  const ends = urgencies.map((urgency, number) => run(`job ${number}`, { urgency }));
  await waitFor(() => held.length === 1, { what: 'the lane to be taken' });
  urgencies[3]?.raise();
  await waitFor(() => heads.includes('job 3'), { what: 'the urgent one to be asked for' });
  t.deepEqual(heads, ['job 0', 'job 3']);
  const answering = setInterval(() => {
    for (const socket of held.splice(0)) answer(socket);
  }, 5);
  t.deepEqual(new Set(await Promise.all(ends)), new Set(['moved']));
  clearInterval(answering);
});
