import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { Bandwidth, type FillToLimit } from '../../src/data/bandwidth.ts';
import { BandwidthBuckets } from '../../src/data/bandwidth-buckets.ts';
import { settle } from './support.ts';

const fresh = (): AbortSignal => new AbortController().signal;
const SEED = Number(process.env['BANDWIDTH_SEED'] ?? 1);
const MB = 1_000_000;

/** Fills on a virtual clock, as streams or as lane threads receive them, and what came when. */
class Receivers {
  readonly clock = new ManualClock();
  readonly came: { atMs: number; bytes: number; isPrefetch: boolean }[] = [];
  readonly bandwidth: Bandwidth;
  readonly #lanes: BandwidthBuckets;
  #isOn = true;

  constructor(ufsBps?: number) {
    this.bandwidth = new Bandwidth(this.clock, ufsBps);
    this.#lanes = new BandwidthBuckets(this.bandwidth.memory);
  }

  async receive(fill: FillToLimit, chunkBytes: number, way: 'stream' | 'lane'): Promise<void> {
    while (this.#isOn) {
      const passage = await this.bandwidth.admit(fill, fresh());
      for (let got = 0; got < fill.lengthBytes && this.#isOn; got += chunkBytes) {
        const bytes = Math.min(chunkBytes, fill.lengthBytes - got);
        this.came.push({ atMs: this.clock.nowMs(), bytes, isPrefetch: fill.isPrefetch });
        if (way === 'stream') await passage?.pass(bytes, fresh());
        else if (passage) await this.#pass(passage.buckets, bytes);
      }
      passage?.done();
    }
  }

  async #pass(buckets: Parameters<BandwidthBuckets['charge']>[0], bytes: number): Promise<void> {
    let restMs = this.#lanes.charge(buckets, bytes);
    while (restMs > 0) {
      await new Promise<void>((resolve) => this.clock.setTimer(restMs, resolve));
      restMs = this.#lanes.restMs(buckets.awaited);
    }
  }

  async run(forMs: number, each: (nowMs: number) => void = () => undefined): Promise<void> {
    for (let ms = 0; ms < forMs; ms += 5) {
      await settle();
      this.clock.advance(5);
      each(this.clock.nowMs());
    }
  }

  async stop(all: readonly Promise<void>[]): Promise<void> {
    this.#isOn = false;
    this.bandwidth.setUfsRate(1e12);
    const ended = Promise.all(all);
    await this.run(2000);
    await ended;
  }

  /** Bytes of the fullest and the emptiest ten seconds that lie in the given time. */
  windows(fromMs: number, toMs: number): { most: number; least: number } {
    const sums: number[] = [];
    for (let startMs = fromMs; startMs + 10_000 <= toMs; startMs += 250) {
      sums.push(this.between(startMs, startMs + 10_000));
    }
    return { most: Math.max(...sums), least: Math.min(...sums) };
  }

  between(fromMs: number, toMs: number, isWanted = (_isPrefetch: boolean) => true): number {
    return this.came
      .filter(({ atMs, isPrefetch }) => atMs >= fromMs && atMs < toMs && isWanted(isPrefetch))
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

const CASES = [
  { rateBps: 10 * MB, lengthBytes: 8 * 1024 * 1024, chunkBytes: 65_536, takers: 16 },
  { rateBps: 100 * MB, lengthBytes: 8 * 1024 * 1024, chunkBytes: 1_048_576, takers: 16 },
  { rateBps: 5 * MB, lengthBytes: 65_536, chunkBytes: 65_536, takers: 64 },
  { rateBps: 300_000, lengthBytes: 8 * 1024 * 1024, chunkBytes: 65_536, takers: 4 },
];

for (const { rateBps, lengthBytes, chunkBytes, takers } of CASES) {
  test(`bandwidth: ${takers} fills of ${lengthBytes} at ${rateBps} B/s keep to the limit over any ten seconds`, async (t) => {
    const receivers = new Receivers();
    const fill = { lengthBytes, isFromUfs: true, isPrefetch: true, group: 'job', rateBps };
    const all = Array.from({ length: takers }, (_, index) =>
      receivers.receive(fill, chunkBytes, index % 2 === 0 ? 'stream' : 'lane'),
    );
    await receivers.run(25_000);
    const { most, least } = receivers.windows(0, 25_000);
    await receivers.stop(all);
    t.true(most <= 1.05 * 10 * rateBps, `${most / (10 * rateBps)}`);
    t.true(least >= 0.95 * 10 * rateBps, `${least / (10 * rateBps)}`);
  });
}

test('bandwidth: jobs do not share, and both count against what comes from under stores', async (t) => {
  const receivers = new Receivers(5 * MB);
  const fill = { lengthBytes: MB, isFromUfs: true, isPrefetch: true };
  const all = [
    receivers.receive({ ...fill, group: 'a', rateBps: MB }, 65_536, 'lane'),
    receivers.receive({ ...fill, group: 'b', rateBps: 100 * MB }, 65_536, 'lane'),
    receivers.receive({ ...fill, group: 'b', rateBps: 100 * MB }, 65_536, 'stream'),
    // A copy from a peer is none of the under store's.
    receivers.receive({ ...fill, isFromUfs: false, group: 'c', rateBps: MB }, 65_536, 'lane'),
  ];
  await receivers.run(20_000);
  const { most, least } = receivers.windows(2000, 20_000);
  await receivers.stop(all);
  t.true(most <= 1.05 * 60 * MB && least >= 0.95 * 60 * MB, `${least} to ${most}`);
});

test('bandwidth: readers go first, and with them nothing exceeds the limit', async (t) => {
  const receivers = new Receivers(10 * MB);
  const prefetch = { lengthBytes: 8 * MB, isFromUfs: true, isPrefetch: true };
  const read = { lengthBytes: 2 * MB, isFromUfs: true, isPrefetch: false };
  const all = Array.from({ length: 16 }, () => receivers.receive(prefetch, 65_536, 'lane'));
  await receivers.run(15_000);
  all.push(...Array.from({ length: 4 }, () => receivers.receive(read, 65_536, 'stream')));
  await receivers.run(15_000);
  const { most, least } = receivers.windows(0, 30_000);
  const read10s = receivers.between(16_000, 26_000, (isPrefetch) => !isPrefetch);
  await receivers.stop(all);
  t.true(most <= 1.05 * 100 * MB && least >= 0.95 * 100 * MB, `${least} to ${most}`);
  t.true(read10s >= 90 * MB, `readers got ${read10s} of 100 MB`);
});

test('bandwidth: a rate that changes all the time is kept', async (t) => {
  const random = new SeededRandom(SEED);
  const receivers = new Receivers(MB);
  const fill = { lengthBytes: 8 * MB, isFromUfs: true, isPrefetch: true };
  const all = Array.from({ length: 8 }, () => receivers.receive(fill, 65_536, 'lane'));
  let allowed = 0;
  let rateBps = MB;
  await receivers.run(40_000, (nowMs) => {
    allowed += (rateBps * 5) / 1000;
    if (nowMs % 400 === 0) {
      rateBps = random.next() < 0.2 ? 0 : random.next() * 20 * MB;
      receivers.bandwidth.setUfsRate(rateBps);
    }
  });
  const came = receivers.between(0, 40_000);
  await receivers.stop(all);
  t.true(came <= 1.02 * allowed && came >= 0.9 * allowed, `${came} of ${allowed}, seed ${SEED}`);
});

test('bandwidth: without a limit nothing waits', async (t) => {
  const bandwidth = new Bandwidth(new ManualClock());
  const fill = { lengthBytes: MB, isFromUfs: true, isPrefetch: true };
  t.is(await bandwidth.admit(fill, fresh()), undefined);
  t.is(await bandwidth.admit({ ...fill, isPrefetch: false }, fresh()), undefined);
});

test('bandwidth: an abort ends the wait, before a fill begins and in its course', async (t) => {
  const clock = new ManualClock();
  const bandwidth = new Bandwidth(clock, 0);
  const fill = { lengthBytes: MB, isFromUfs: true, isPrefetch: true };
  const controller = new AbortController();
  const waiting = bandwidth.admit(fill, controller.signal);
  controller.abort(new Error('enough'));
  await t.throwsAsync(waiting, { message: 'enough' });
  await t.throwsAsync(bandwidth.admit(fill, controller.signal), { message: 'enough' });
  bandwidth.setUfsRate(MB);
  const passage = await bandwidth.admit(fill, fresh());
  const other = new AbortController();
  const passing = passage?.pass(MB, other.signal);
  other.abort(new Error('enough of it'));
  await t.throwsAsync(async () => passing, { message: 'enough of it' });
});

test('bandwidth: as many limited jobs as there are buckets, and then others', async (t) => {
  const clock = new ManualClock();
  const bandwidth = new Bandwidth(clock);
  const fill = { lengthBytes: 1, isFromUfs: true, isPrefetch: true, rateBps: 1 };
  for (let round = 0; round < 1000; round++) {
    const passage = await bandwidth.admit({ ...fill, group: `job ${round}` }, fresh());
    t.truthy(passage);
    passage?.done();
  }
});
