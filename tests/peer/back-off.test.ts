import test from 'ava';
import { SeededRandom } from '../../src/base/random.ts';
import { nextDialDelayMs } from '../../src/peer/back-off.ts';
import { DEFAULT_PEER_LIMITS, resolvePeerLimits } from '../../src/peer/limits.ts';

const limits = resolvePeerLimits({
  dialBackoffMinMs: 50,
  dialBackoffMaxMs: 2_000,
  dialCourtesyMs: 200,
});
const highest = { next: () => 0.999_999 };
const delay = (failuresCount: number, changes = {}, random = highest): number =>
  nextDialDelayMs(
    { failuresCount, lastingRefusal: false, courtesy: false, ...changes },
    limits,
    random,
  );

test('back-off: doubles from the first failure to the maximum and stays there', (t) => {
  t.deepEqual(
    [0, 1, 2, 3, 6, 7, 8, 40, 5_000].map((count) => Math.round(delay(count))),
    [0, 50, 100, 200, 1_600, 2_000, 2_000, 2_000, 2_000],
  );
});

test('back-off: is spread over the upper half', (t) => {
  const random = new SeededRandom(1);
  const delays = Array.from({ length: 500 }, () => delay(20, {}, random));
  t.true(delays.every((ms) => ms >= 1_000 && ms < 2_000));
  t.true(Math.max(...delays) - Math.min(...delays) > 900);
});

test('back-off: a lasting refusal waits the maximum at once', (t) => {
  t.is(Math.round(delay(1, { lastingRefusal: true })), 2_000);
});

test('back-off: the larger id gives the other one a head start', (t) => {
  t.is(delay(0, { courtesy: true }), 200);
  t.is(Math.round(delay(1, { courtesy: true })), 250);
});

test('limits: defaults are valid, and contradictions are refused', (t) => {
  t.deepEqual(resolvePeerLimits(), DEFAULT_PEER_LIMITS);
  for (const wrong of [
    { callsMax: 0 },
    { callsMax: 1.5 },
    { callsMax: Number.NaN },
    { partBytes: DEFAULT_PEER_LIMITS.frameMaxBytes },
    { messageMaxBytes: DEFAULT_PEER_LIMITS.partBytes - 1 },
    { deadAfterMs: DEFAULT_PEER_LIMITS.pingIntervalMs * 2 - 1 },
    { dialBackoffMinMs: DEFAULT_PEER_LIMITS.dialBackoffMaxMs + 1 },
  ]) {
    t.throws(() => resolvePeerLimits(wrong), { code: 'config_invalid' });
  }
  t.notThrows(() => resolvePeerLimits({ deadAfterMs: DEFAULT_PEER_LIMITS.pingIntervalMs * 2 }));
});
