import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { BandwidthLimiter } from '../../src/data/bandwidth.ts';
import { settle } from './support.ts';

const fresh = (): AbortSignal => new AbortController().signal;

/** Bytes that `takers` receive in `forMs`, each in chunks of `chunkBytes`. */
async function receive(options: {
  rateBps: number;
  takers: number;
  chunkBytes: number;
  forMs: number;
}): Promise<number> {
  const clock = new ManualClock();
  const limiter = new BandwidthLimiter(clock);
  let bytes = 0;
  let isOn = true;
  const take = async (): Promise<void> => {
    const { signal } = new AbortController();
    while (isOn) {
      await limiter.take('job', options.rateBps, options.chunkBytes, signal);
      if (isOn) bytes += options.chunkBytes;
    }
  };
  const all = Array.from({ length: options.takers }, take);
  for (let ms = 0; ms < options.forMs; ms += 10) {
    await settle();
    clock.advance(10);
  }
  isOn = false;
  clock.advance(60_000);
  await Promise.all(all);
  return bytes;
}

for (const takers of [1, 8]) {
  test(`bandwidth: ${takers} takers together keep to the rate`, async (t) => {
    const rateBps = 1_000_000;
    const bytes = await receive({ rateBps, takers, chunkBytes: 16_384, forMs: 10_000 });
    // The burst is a quarter of a second's worth; each taker may have one chunk on credit.
    t.true(bytes >= 9.8 * rateBps, `${bytes} bytes in 10 s`);
    t.true(bytes <= 10.25 * rateBps + takers * 16_384, `${bytes} bytes in 10 s`);
  });
}

test('bandwidth: groups do not share, and an idle one saves up a quarter of a second only', async (t) => {
  const clock = new ManualClock();
  const limiter = new BandwidthLimiter(clock);
  await limiter.take('a', 1000, 250, fresh());
  clock.advance(100_000);
  await limiter.take('a', 1000, 250, fresh());
  await limiter.take('b', 1000, 250, fresh());
  let taken = false;
  const waiting = limiter.take('a', 1000, 100, fresh()).then(() => (taken = true));
  clock.advance(99);
  await settle();
  t.false(taken);
  clock.advance(1);
  await waiting;
});

test('bandwidth: an abort ends the wait', async (t) => {
  const limiter = new BandwidthLimiter(new ManualClock());
  const controller = new AbortController();
  const waiting = limiter.take('a', 1, 1000, controller.signal);
  controller.abort(new Error('enough'));
  await t.throwsAsync(waiting, { message: 'enough' });
});
