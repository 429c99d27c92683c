/**
 * How fast two peers in one process talk over loopback: one request after the other, and many at
 * a time. Both ends share the process's one thread, so a peer of its own does about twice that.
 *
 * Run: `npx tsc -p tsconfig.test.json && node build/tests/peer/support/measure-round-trips.js`
 */
import { allLinked, mesh, SECRET, SocketWorld } from './world.ts';
import type { TestPeer } from './world.ts';

const PAYLOAD = { jobId: 'j', term: 7, tasks: Array.from({ length: 8 }, (_, index) => index) };

async function ask(a: TestPeer, b: TestPeer, count: number, atATime: number): Promise<number> {
  const startMs = performance.now();
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await a.network.request(b.id, 'echo', PAYLOAD, 60_000);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return Math.round(count / ((performance.now() - startMs) / 1_000));
}

for (const secrets of [[], [SECRET]]) {
  const world = new SocketWorld({ secrets });
  const a = await world.start({ name: 'a' });
  const b = await world.start({ name: 'b' });
  mesh([a, b]);
  await world.until('the link', () => allLinked([a, b]));
  b.network.onRequest('echo', (_from, payload) => Promise.resolve(payload));
  await ask(a, b, 20_000, 64);
  for (const [count, atATime] of [
    [20_000, 1],
    [100_000, 64],
    [100_000, 1_000],
  ] as const) {
    const perSecond = await ask(a, b, count, atATime);
    const seal = secrets.length > 0 ? 'sealed' : 'plain';
    console.log(`${seal}, ${atATime} at a time: ${perSecond} round trips/s`);
  }
  await world.close();
}
