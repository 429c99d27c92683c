import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import type { Command } from '../../src/cluster/commands.ts';
import type { Member } from '../../src/cluster/member.ts';
import { serializeState } from '../../src/cluster/cluster-state.ts';
import { Announcer } from '../../src/node/announcer.ts';
import type { Proposer } from '../../src/node/proposer.ts';
import { ReplicatedState } from '../../src/node/replicated-state.ts';
import { announcementOf, memberOf, pass, RecordingLogger, stateOf } from './support/fakes.ts';

function world(known?: Partial<Member>) {
  const clock = new ManualClock();
  const state = new ReplicatedState();
  const logger = new RecordingLogger();
  const proposed: Command[] = [];
  const result: { error: RingloadError | undefined } = { error: undefined };
  const announcement = announcementOf('a', { generation: 3, address: 'a:9' });
  const know = (member: Partial<Member>): void => {
    state.restore(serializeState(stateOf([memberOf('a', member)])));
  };
  if (known) know(known);
  const proposer: Pick<Proposer, 'commit'> = {
    commit: (command) => {
      proposed.push(command);
      if (result.error) return Promise.reject(result.error);
      know({ ...announcement, state: 'up' });
      return Promise.resolve(null);
    },
  };
  const announcer = new Announcer({
    announcement,
    proposer: proposer as Proposer,
    state,
    clock,
    logger,
  });
  return { clock, announcer, proposed, result, know, logger, announcement };
}

const current = { generation: 3, address: 'a:9' };

for (const [what, known] of Object.entries({
  'it only joins': { ...current, state: 'joining' },
  'an earlier start is known': { ...current, generation: 2 },
  'another address is known': { ...current, address: 'a:8' },
} satisfies Record<string, Partial<Member>>)) {
  test(`announce: once, when ${what}`, async (t) => {
    const { clock, announcer, proposed, announcement } = world(known);
    announcer.start();
    await pass(clock, 5000);
    t.is(proposed.length, 1);
    t.like(proposed[0], { kind: 'member.announce', member: announcement });
    announcer.close();
  });
}

for (const [what, known] of Object.entries({
  'all is known': current,
  'it is suspect': { ...current, state: 'suspect' },
  'it is down: that is the leader’s to take back': { ...current, state: 'down' },
  'it drains': { ...current, state: 'draining' },
  'it has left': { state: 'left' },
} satisfies Record<string, Partial<Member>>)) {
  test(`announce: nothing, when ${what}`, async (t) => {
    const { clock, announcer, proposed } = world(known);
    announcer.start();
    await pass(clock, 5000);
    t.deepEqual(proposed, []);
    announcer.close();
  });
}

test('announce: not before the cluster knows this peer, then soon', async (t) => {
  const { clock, announcer, proposed, know } = world();
  announcer.start();
  await pass(clock, 3000);
  t.deepEqual(proposed, []);
  know({ ...current, state: 'joining' });
  await pass(clock, 300);
  t.is(proposed.length, 1);
  announcer.close();
});

test('announce: again after a refusal, but not at every turn', async (t) => {
  const { clock, announcer, proposed, result } = world({ ...current, state: 'joining' });
  result.error = new RingloadError('invalid_argument', 'a weight of 0');
  announcer.start();
  await pass(clock, 10_000);
  t.true(proposed.length >= 3 && proposed.length <= 6, `${proposed.length} attempts`);
  result.error = undefined;
  await pass(clock, 3000);
  const { length } = proposed;
  await pass(clock, 5000);
  t.is(proposed.length, length);
  announcer.close();
});

test('announce: a wrong verdict is put right for as long as the peer runs', async (t) => {
  const { clock, announcer, proposed, know } = world(current);
  announcer.start();
  await pass(clock, 1000);
  know({ ...current, address: 'elsewhere:1' });
  await pass(clock, 1000);
  t.is(proposed.length, 1);
  announcer.close();
});

test('announce: a later start of the same id ends this process', async (t) => {
  const { clock, announcer, proposed, know } = world(current);
  const ended: RingloadError[] = [];
  void announcer.overtaken.then((error) => ended.push(error));
  announcer.start();
  await pass(clock, 1000);
  t.deepEqual(ended, []);
  know({ ...current, generation: 4 });
  await pass(clock, 1000);
  t.deepEqual(
    ended.map(({ code }) => code),
    ['data_dir_foreign'],
  );
  t.deepEqual(proposed, []);
  announcer.close();
});

test('announce: closed, it says nothing any more', async (t) => {
  const { clock, announcer, proposed } = world({ ...current, state: 'joining' });
  announcer.start();
  announcer.close();
  await pass(clock, 5000);
  t.deepEqual(proposed, []);
});
