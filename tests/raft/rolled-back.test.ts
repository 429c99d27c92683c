/**
 * A member whose log was cut or replaced by an older copy: its own files cannot tell, but what the
 * leader remembers of it can.
 */
import test from 'ava';
import { MemoryLogStorage } from '../../src/raft/memory-log-storage.ts';
import { LocalCluster } from './local-cluster.ts';

test('a member that comes back with an older log stops, and says why', async (t) => {
  const cluster = await LocalCluster.of(3);
  t.teardown(() => cluster.stop());
  const leader = await cluster.leader();
  const propose = async (command: string): Promise<void> => {
    const applied = leader.consensus.propose(command, 60_000);
    await cluster.ticks(3);
    await applied;
  };
  await propose('first');
  const follower = cluster.followerOf(leader);
  const image = await cluster.storages.get(follower.id)?.load();
  if (!image) throw new Error('the follower has a log');
  const older = new MemoryLogStorage();
  await older.replaceWith(structuredClone(image));
  for (const command of ['second', 'third']) await propose(command);
  await cluster.remove(follower.id);
  const back = await cluster.add(follower.id, { storage: older });
  let failure: Error | undefined;
  void back.consensus.failed.then((error) => (failure = error));
  await cluster.ticks(30);
  t.regex(String(failure), /Was the raft log corrupted, truncated, or lost/);
  t.deepEqual(back.machine.commands, ['first']);
  t.is(back.consensus.status().leaderId, undefined);
});
