import test from 'ava';
import { SharedStat } from '../../src/read/shared-stat.ts';
import { Gate, settle } from '../data/support.ts';

test('shared stat: a crowd asks twice, and nobody hears of what was before he asked', async (t) => {
  const shared = new SharedStat<number>();
  const gates: Gate[] = [];
  let version = 1;
  const stat = async (): Promise<number> => {
    const seen = version;
    const gate = new Gate();
    gates.push(gate);
    await gate.opened;
    return seen;
  };
  const first = shared.run('a', stat);
  version = 2;
  const crowd = Array.from({ length: 1000 }, () => shared.run('a', stat));
  const other = shared.run('b', stat);
  t.is(gates.length, 2);
  for (const gate of gates) gate.open();
  t.is(await first, 1);
  await settle();
  t.is(gates.length, 3);
  gates[2]?.open();
  t.deepEqual(new Set(await Promise.all(crowd)), new Set([2]));
  t.is(await other, 2);
  await settle();
  version = 3;
  const last = shared.run('a', stat);
  t.is(gates.length, 4);
  gates[3]?.open();
  t.is(await last, 3);
});

test('shared stat: a failure is that of those who waited for it', async (t) => {
  const shared = new SharedStat<number>();
  const failing = shared.run('a', () => Promise.reject(new Error('no')));
  const next = shared.run('a', () => Promise.resolve(4));
  await t.throwsAsync(failing, { message: 'no' });
  t.is(await next, 4);
});
