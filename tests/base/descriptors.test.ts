import { EventEmitter } from 'node:events';
import test from 'ava';
import { DescriptorGate, whenDescriptorsAllow } from '../../src/base/descriptors.ts';

const shortage = (code: string): Error => Object.assign(new Error(code), { code });

test('descriptors: an opening waits as long as the process may open nothing', async (t) => {
  const codes = ['EMFILE', 'ENFILE', 'EMFILE'];
  const pauses: number[] = [];
  const opened = await whenDescriptorsAllow(
    async () => {
      const code = codes.shift();
      if (code !== undefined) throw shortage(code);
      return 'open';
    },
    async (ms) => pauses.push(ms),
  );
  t.is(opened, 'open');
  t.deepEqual(pauses, [20, 40, 80]);
});

test('descriptors: an opening does not wait for ever, and other errors are not waited for', async (t) => {
  let waitedMs = 0;
  const wait = async (ms: number): Promise<void> => {
    waitedMs += ms;
  };
  const failing = (code: string) => () => Promise.reject(shortage(code));
  await t.throwsAsync(whenDescriptorsAllow(failing('EMFILE'), wait), { code: 'EMFILE' });
  t.true(waitedMs >= 20_000 && waitedMs < 21_000, `${waitedMs} ms`);
  const before = waitedMs;
  await t.throwsAsync(whenDescriptorsAllow(failing('ENOENT'), wait), { code: 'ENOENT' });
  t.is(waitedMs, before);
});

function connectionWith(fd?: number) {
  return Object.assign(new EventEmitter(), { _handle: fd === undefined ? null : { fd } });
}

test('descriptors: beyond a number of connections in use further ones are refused', (t) => {
  const gate = new DescriptorGate({ limit: 100, refuseFrom: 50, dropFrom: 60, maxCount: 2 });
  const first = connectionWith(1);
  t.deepEqual(
    [first, connectionWith(2), connectionWith(3)].map((each) => gate.enter(each)),
    ['use', 'use', 'refuse'],
  );
  first.emit('close');
  t.is(gate.enter(connectionWith(4)), 'use');
  t.is(gate.enter(connectionWith(5)), 'refuse');
});

test('descriptors: connections are refused by the number that they come with', (t) => {
  const gate = new DescriptorGate({ limit: 100, refuseFrom: 50, dropFrom: 60 });
  const socket = connectionWith;
  const [low, high] = [socket(49), socket(59)];
  t.deepEqual(
    [low, high, socket(50), socket(60), socket()].map((each) => gate.enter(each)),
    ['use', 'refuse', 'refuse', 'drop', 'use'],
  );
  t.deepEqual([gate.admits(low), gate.admits(high)], [true, false]);
  t.regex(gate.reason, /limit of 100 open files/);
});
