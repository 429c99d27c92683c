/**
 * Wall clocks that jump, differ, and processors that have no time left: loads go on, nobody is
 * deposed or lost by a date, and no duration is negative or not a number.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Child, cleanEnvironment } from '../support/child.ts';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';
import { type TempFolder, tempFolder } from '../support/temp-folder.ts';
import { expectLoaded } from '../fault/expect.ts';
import type { Load } from '../fault/load.ts';
import { PARALLEL_FETCHES, Stage } from '../fault/stage.ts';
import { FakeClock, fakeTimeMissing } from './support/fake-time.ts';

const PEERS = [0, 1, 2];
/** As S3 does; the origin itself lives by the true time. */
const SKEW_MAX_MS = 15 * 60_000;

const withFakeTime = requires(fakeTimeMissing);

let folder: TempFolder;
let stage: Stage;
let clocks: readonly FakeClock[];

test.before(async () => {
  folder = await tempFolder('time');
  if (fakeTimeMissing !== undefined) return;
  clocks = await Promise.all(PEERS.map((index) => FakeClock.open(folder.path, String(index))));
  stage = await Stage.open({
    // Signed requests: their signatures carry the peer's date.
    mountsAt: (endpoint) => [`s3://origin/signed,endpoint=${endpoint},region=us-east-1`],
    env: { AWS_ACCESS_KEY_ID: 'AKIAOFTHETEST', AWS_SECRET_ACCESS_KEY: 'secret-of-the-test' },
    envOf: (index) => clocks[index]?.env ?? {},
  });
});
test.after.always(async () => {
  await stage?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const setAll = (time: string): Promise<unknown> =>
  Promise.all(clocks.map((clock) => clock.set(time)));

/** Jumps in the middle of a load, each away from what was before. */
const JUMPS: readonly (readonly [title: string, time: string, year: RegExp | undefined])[] = [
  ['an hour ahead', '+1h', undefined],
  ['an hour back', '-1h', undefined],
  ['ten years ahead', '+3652d', /^203\d$/],
  ['ten years back', '-3652d', /^201\d$/],
  ['1970', '@1970-01-02 00:00:00', /^1970$/],
  ['the end of a leap day', '@2028-02-29 23:59:58', /^2028$/],
  ['the change to summer time', '@2027-03-28 00:59:58', /^2027$/],
];

withFakeTime(
  'time: jumps of every clock in the middle of a load change nothing but dates',
  async (t) => {
    t.timeout(180_000);
    for (const [title, time, year] of JUMPS) {
      await setAll('+0');
      const before = await stage.cluster.peers[0]?.api.cluster();
      const data = stage.addFiles({ count: 6, below: 'signed/' });
      refuseSkewed();
      const startMs = performance.now();
      const load = await stage.load(data, { replicas: 2 });
      await load.isUnderWay();
      await setAll(time);
      for (const peer of stage.cluster.peers) {
        if (year) await stage.cluster.waitFor(async () => year.test(await yearOf(peer)), title);
      }
      await expectPlausible(t, load, title);
      await expectTrueElapsed(t, load, startMs, title);
      await load.succeeds();
      await expectPlausible(t, load, `after ${title}`);
      await expectTrueElapsed(t, load, startMs, `after ${title}`);
      stage.calm();
      t.is((await expectLoaded(t, load)).amplification, 1, title);
      const after = await stage.cluster.peers[0]?.api.cluster();
      t.is(after?.term, before?.term, `${title}: the leader was not deposed`);
      t.deepEqual([...new Set(after?.members.map(({ state }) => state))], ['up'], title);
    }
    await setAll('+0');
    t.is(
      (await stage.cluster.peers[0]?.api.json<{ jobs: unknown[] }>('GET', '/v1/jobs'))?.jobs.length,
      JUMPS.length,
    );
  },
);

withFakeTime('time: peers whose clocks differ by two hours elect, load and agree', async (t) => {
  t.timeout(120_000);
  const [ahead, right, behind] = clocks as [FakeClock, FakeClock, FakeClock];
  await Promise.all([ahead.set('+1h'), right.set('+0'), behind.set('-1h')]);
  const data = stage.addFiles({ count: 16 });
  stage.slowReads(100);
  const startMs = performance.now();
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  await (await stage.cluster.waitForLeader()).kill();
  await load.succeeds();
  await expectPlausible(t, load, 'another leader');
  await expectTrueElapsed(t, load, startMs, 'another leader');
  stage.calm();
  await stage.restore();
  await expectPlausible(t, load, 'every peer');
  const again = await stage.cluster.submit({ path: data.path, replicas: 2 });
  const status = await stage.cluster.waitForState(again, 'SUCCEEDED');
  t.is(status.counters.listedFiles, data.keys.length);
  // What the dead peer held was copied by its successors, or is found again: nothing is fetched.
  t.true(status.counters.ufsBytes <= PARALLEL_FETCHES * 64 * 1024);
  await setAll('+0');
});

test.serial(
  'time: with every processor busy, loads are slower, and one leads in a term',
  async (t) => {
    t.timeout(180_000);
    await using starved = await Stage.open();
    const data = starved.addFiles({ count: 4 });
    const busy = await Promise.all(
      Array.from({ length: 2 * availableParallelism() }, () =>
        Child.start({ command: process.execPath, args: ['-e', 'for (;;);'] }),
      ),
    );
    const leaders = new Map<number, Set<string>>();
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        const views = await Promise.all(
          starved.cluster.peers.map(({ api }) => api.cluster().catch(() => undefined)),
        );
        for (const view of views) {
          if (view?.leaderId === undefined) continue;
          leaders.set(view.term, (leaders.get(view.term) ?? new Set()).add(view.leaderId));
        }
      }
    })();
    try {
      const load = await starved.load(data, { replicas: 2 });
      await starved.cluster.waitForState(load.id, 'SUCCEEDED', 120_000);
      await expectPlausible(t, load, 'busy');
      await expectLoaded(t, load);
    } finally {
      isOver = true;
      await Promise.all(busy.map((child) => child.stop(0)));
      await watching;
    }
    t.true(leaders.size > 0);
    for (const [term, ids] of leaders) t.is(ids.size, 1, `leaders of term ${term}`);
  },
);

/** By the peer's clock. */
async function yearOf(peer: Peer): Promise<string> {
  const { headers } = await fetch(`${peer.restUrl}/healthz`);
  return String(new Date(headers.get('date') ?? '').getUTCFullYear());
}

/** The origin is slow, and takes only signatures of its own time. */
function refuseSkewed(): void {
  stage.script(
    {
      when: ({ headers }) => Math.abs(signedAtMs(headers['x-amz-date']) - Date.now()) > SKEW_MAX_MS,
      action: { kind: 'status', status: 403, code: 'RequestTimeTooSkewed' },
    },
    { operation: 'get', action: { kind: 'delay', delayMs: 60 } },
  );
}

function signedAtMs(header: unknown): number {
  const text = typeof header === 'string' ? header : '';
  return Date.parse(text.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

/** Whatever tells about time tells neither a negative duration nor what is no number. */
async function expectPlausible(t: ExecutionContext, load: Load, when: string): Promise<void> {
  const path = encodeURIComponent(load.files.path);
  for (const peer of load.stage.cluster.runningPeers) {
    const targets = [
      ...['/v1/jobs', `/v1/jobs/${load.id}`, '/v1/cluster', '/v1/self', '/metrics'],
      ...['TEXT', 'JSON'].map(
        (format) => `/v1/load?path=${path}&opType=progress&progressFormat=${format}`,
      ),
      `/api/v1/master/progress_job/load?path=${path}`,
    ];
    for (const target of targets) {
      const text = await (await fetch(`${peer.restUrl}${target}`)).text();
      expectSane(t, text, `${when}: ${target}`);
    }
  }
  const [peer] = load.stage.cluster.runningPeers as [Peer];
  for (const words of [
    ['job', 'status', load.id],
    ['job', 'list'],
  ]) {
    expectSane(t, await cli(peer, words), `${when}: ${words.join(' ')}`);
  }
}

/** The time that the load took, and no date, is what every peer tells. */
async function expectTrueElapsed(
  t: ExecutionContext,
  load: Load,
  startMs: number,
  when: string,
): Promise<void> {
  for (const peer of load.stage.cluster.runningPeers) {
    const { elapsedMs } = await peer.api.job(load.id);
    const sinceStartMs = Math.ceil(performance.now() - startMs);
    const text = `${when}: ${elapsedMs} ms told, ${sinceStartMs} ms passed`;
    t.true(Number.isInteger(elapsedMs) && elapsedMs > 0 && elapsedMs <= sinceStartMs, text);
  }
}

function expectSane(t: ExecutionContext, text: string, where: string): void {
  t.notRegex(text, /\bNaN\b|\bundefined\b|\bInfinity\b|\[object/, where);
  // A minus before a number that does not belong to a date, a UUID or a key.
  t.notRegex(text, /(?:^|[\s:,[(=])-\d/m, where);
}

async function cli(peer: Peer, words: readonly string[]): Promise<string> {
  const child = await Child.start({
    command: process.execPath,
    args: [join(process.cwd(), 'build/program/cli/main.js'), ...words, '--peer', peer.restUrl],
    env: cleanEnvironment(),
  });
  await child.exited;
  return child.logs();
}
