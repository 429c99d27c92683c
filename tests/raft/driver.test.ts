import type { ExecutionContext } from 'ava';
import test from 'ava';
import type { ErrorCode } from '../../src/base/errors.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { logIndex, raftId, term } from '../../src/base/ids.ts';
import { createConsensus } from '../../src/raft/create-consensus.ts';
import { RaftCore } from '../../src/raft/library.ts';
import type { LogBatch, LogImage } from '../../src/raft/log-storage.ts';
import { MemoryLogStorage } from '../../src/raft/memory-log-storage.ts';
import { ManualClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { MESSAGE_TYPE, encodeMessage } from '../../src/raft/wire-message.ts';
import { LocalCluster, settled } from './local-cluster.ts';
import { ListMachine, entry } from './support.ts';

const FIRST = raftId(1);
const ALONE = { kind: 'bootstrap', voters: [FIRST] } as const;

/** A storage whose writes wait for a gate, or fail. */
class GatedStorage extends MemoryLogStorage {
  batches: LogBatch[] = [];
  failure: Error | undefined;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;

  shut(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }
  open(): void {
    this.#open();
  }
  override async persist(batch: LogBatch): Promise<void> {
    await this.#gate;
    if (this.failure) throw this.failure;
    this.batches.push(batch);
    await super.persist(batch);
  }
}

/** Waits for a rejection with `code` and, if given, the detail that the outcome is open. */
async function rejects(
  t: ExecutionContext,
  call: Promise<unknown>,
  code: ErrorCode,
  maybeCommitted?: boolean,
): Promise<void> {
  const error = await t.throwsAsync(call, { instanceOf: RingloadError });
  t.is(error.code, code);
  t.is(error.details['maybeCommitted'], maybeCommitted);
}

test('driver: a single member leads at once and answers with the result of its machine', async (t) => {
  const cluster = new LocalCluster();
  const { consensus, machine } = await cluster.add(FIRST, { start: ALONE });
  t.like(consensus.status(), { role: 'leader', leaderId: FIRST, voters: [FIRST], term: 2 });
  const results = [consensus.propose('a', 1_000), consensus.propose('b', 1_000)];
  t.deepEqual(await Promise.all(results), [1, 2]);
  t.deepEqual(machine.commands, ['a', 'b']);
  await cluster.stop();
});

test('driver: nothing is given to the library while a batch is being stored', async (t) => {
  const storage = new GatedStorage();
  const calls: string[] = [];
  class WatchedCore extends RaftCore {
    override ready() {
      calls.push('ready');
      return super.ready();
    }
    override advance(): void {
      calls.push('advance');
      super.advance();
    }
    override step(...message: Parameters<RaftCore['step']>): void {
      calls.push('step');
      super.step(...message);
    }
    override tick(): void {
      calls.push('tick');
      super.tick();
    }
  }
  const clock = new ManualClock();
  const consensus = await createConsensus(
    {
      id: FIRST,
      start: { kind: 'bootstrap', voters: [FIRST, raftId(2)] },
      storage,
      stateMachine: new ListMachine(),
      transport: { send: () => undefined },
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
    },
    (options) => new WatchedCore(options),
  );
  const append = (index: number): string =>
    encodeMessage({
      type: MESSAGE_TYPE.append,
      to: FIRST,
      from: raftId(2),
      term: term(2),
      logTerm: term(index === 2 ? 1 : 2),
      index: logIndex(index - 1),
      commit: logIndex(1),
      reject: false,
      rejectHint: logIndex(0),
      context: null,
      entries: [entry(index, 2)],
      snapshot: undefined,
    });
  storage.shut();
  calls.length = 0;
  consensus.receive(append(2));
  await settled();
  consensus.receive(append(3));
  clock.advance(300);
  await settled();
  t.deepEqual(calls, ['step', 'ready']);
  storage.open();
  await settled();
  const ticks = ['tick', 'tick', 'tick'];
  t.deepEqual(calls, ['step', 'ready', 'advance', 'step', ...ticks, 'ready', 'advance']);
  await consensus.stop();
});

test('driver: nothing is shown or answered before it is stored', async (t) => {
  const storage = new GatedStorage();
  const cluster = new LocalCluster();
  storage.shut();
  const starting = cluster.add(FIRST, { start: ALONE, storage });
  await settled();
  storage.open();
  const { consensus, machine } = await starting;
  storage.shut();
  const before = consensus.status();
  const answer = consensus.propose('a', 1_000);
  await settled();
  t.deepEqual(machine.commands, []);
  t.is(consensus.status().commitIndex, before.commitIndex);
  storage.open();
  t.is(await answer, 1);
  await cluster.stop();
});

test('driver: a failed sync ends the member, its callers hear that the outcome is open', async (t) => {
  const storage = new GatedStorage();
  const cluster = new LocalCluster();
  const { consensus } = await cluster.add(FIRST, { start: ALONE, storage });
  storage.failure = new Error('EIO');
  await rejects(t, consensus.propose('a', 1_000), 'not_leader', true);
  t.is((await consensus.failed).message, 'EIO');
  t.not(consensus.status().role, 'leader');
  await rejects(t, consensus.propose('b', 1_000), 'not_leader');
  const writes = storage.batches.length;
  await cluster.ticks(50);
  t.is(storage.batches.length, writes);
  await cluster.stop();
});

test('driver: a command is refused by a follower, which names the leader', async (t) => {
  const cluster = await LocalCluster.of(3);
  const leader = await cluster.leader();
  const { consensus } = cluster.followerOf(leader);
  const refused = { instanceOf: RingloadError, message: `member ${leader.id} leads` };
  await t.throwsAsync(consensus.propose('a', 1_000), refused);
  await t.throwsAsync(consensus.readBarrier(1_000), refused);
  const change = { kind: 'add-learner', id: raftId(9) } as const;
  await t.throwsAsync(consensus.changeMembership(change, 1_000), refused);
  await t.throwsAsync(consensus.transferLeadership(FIRST, 1_000), refused);
  await cluster.stop();
});

test('driver: without a majority a command runs into its deadline or the loss of leadership', async (t) => {
  const cluster = await LocalCluster.of(3);
  const leader = await cluster.leader();
  for (const { id } of cluster.members.values()) if (id !== leader.id) cluster.isolated.add(id);
  const short = rejects(t, leader.consensus.propose('a', 150), 'deadline_exceeded', true);
  const long = rejects(t, leader.consensus.propose('b', 60_000), 'not_leader', true);
  const read = rejects(t, leader.consensus.readBarrier(60_000), 'not_leader');
  await cluster.ticks(40);
  await Promise.all([short, long, read]);
  await cluster.stop();
});

test('driver: deadlines hold while the disk stalls', async (t) => {
  const storage = new GatedStorage();
  const cluster = new LocalCluster();
  const { consensus } = await cluster.add(FIRST, { start: ALONE, storage, maxBatchEntries: 1 });
  storage.shut();
  const appended = rejects(t, consensus.propose('a', 250), 'deadline_exceeded', true);
  const queued = rejects(t, consensus.propose('b', 250), 'deadline_exceeded');
  await cluster.ticks(4);
  await Promise.all([appended, queued]);
  storage.open();
  await cluster.stop();
});

test('driver: too many and too large commands are refused', async (t) => {
  const cluster = new LocalCluster();
  const limits = { maxPendingProposals: 2, maxCommandBytes: 3 };
  const { consensus, machine } = await cluster.add(FIRST, { start: ALONE, ...limits });
  await rejects(t, consensus.propose('abcd', 1_000), 'payload_too_large');
  const taken = [consensus.propose('abc', 1_000), consensus.propose('b', 1_000)];
  await rejects(t, consensus.propose('c', 1_000), 'overloaded');
  await Promise.all(taken);
  t.deepEqual(machine.commands, ['abc', 'b']);
  await cluster.stop();
});

test('driver: commands proposed together are stored together, within the batch limit', async (t) => {
  const storage = new GatedStorage();
  const cluster = new LocalCluster();
  const { consensus } = await cluster.add(FIRST, { start: ALONE, storage, maxBatchEntries: 60 });
  storage.batches = [];
  await Promise.all(Array.from({ length: 100 }, (_, at) => consensus.propose(`${at}`, 1_000)));
  const sizes = storage.batches.map((batch) => batch.entries.length).filter((size) => size > 0);
  t.deepEqual(sizes, [60, 40]);
  await cluster.stop();
});

test('driver: a read sees all that was answered before it was asked', async (t) => {
  const cluster = await LocalCluster.of(3);
  const leader = await cluster.leader();
  await leader.consensus.propose('a', 5_000);
  const reads = Array.from({ length: 50 }, () => leader.consensus.readBarrier(5_000));
  await Promise.all(reads);
  t.deepEqual(leader.machine.commands, ['a']);
  await cluster.stop();
});

test('driver: a restart restores the snapshot and applies what was committed behind it', async (t) => {
  const cluster = new LocalCluster();
  const tuning = { snapshotEveryEntries: 10, keepTailEntries: 3 };
  const { consensus } = await cluster.add(FIRST, { start: ALONE, ...tuning });
  const commands = Array.from({ length: 25 }, (_, at) => `c${at}`);
  for (const command of commands) await consensus.propose(command, 5_000);
  await cluster.remove(FIRST);
  const again = await cluster.add(FIRST, { start: { kind: 'restart' }, ...tuning });
  t.deepEqual(again.machine.commands, commands);
  t.is(again.consensus.status().role, 'leader');
  t.true(again.consensus.status().term > consensus.status().term);
  await cluster.stop();
});

test('driver: a member that lags behind the log is sent a snapshot', async (t) => {
  const cluster = await LocalCluster.of(3, { snapshotEveryEntries: 5, keepTailEntries: 0 });
  const leader = await cluster.leader();
  const lagging = cluster.followerOf(leader);
  cluster.isolated.add(lagging.id);
  for (let at = 0; at < 20; at++) await leader.consensus.propose(`c${at}`, 5_000);
  cluster.isolated.delete(lagging.id);
  await cluster.ticks(30);
  t.is(lagging.machine.commands.length, 20);
  t.deepEqual(lagging.machine.commands, leader.machine.commands);
  await cluster.stop();
});

test('driver: a member joins as a learner, gets a vote, and is removed again', async (t) => {
  const cluster = await LocalCluster.of(1);
  const leader = await cluster.leader();
  await leader.consensus.propose('before', 5_000);
  const joiner = raftId(2);
  const { consensus, machine } = await cluster.add(joiner, { start: { kind: 'join' } });
  t.is(consensus.status().role, 'learner');
  await leader.consensus.changeMembership({ kind: 'add-learner', id: joiner }, 5_000);
  await cluster.ticks(3);
  t.deepEqual(machine.commands, ['before']);
  t.like(consensus.status(), { role: 'learner', learners: [joiner] });
  await leader.consensus.changeMembership({ kind: 'add-voter', id: joiner }, 5_000);
  await cluster.ticks(1);
  t.like(consensus.status(), { role: 'follower', voters: [FIRST, joiner], learners: [] });
  await leader.consensus.changeMembership({ kind: 'remove', id: joiner }, 5_000);
  await cluster.ticks(30);
  const failure = await consensus.failed;
  t.like(failure, { code: 'peer_refused', details: { removed: true } });
  t.deepEqual(leader.consensus.status().voters, [FIRST]);
  await cluster.stop();
});

test('driver: that a removal is committed is stored before anybody hears of it', async (t) => {
  const storages = new Map([1, 2].map((id) => [id, new GatedStorage()]));
  const cluster = new LocalCluster();
  const voters = [FIRST, raftId(2)];
  for (const id of voters) {
    const storage = storages.get(id) ?? new GatedStorage();
    await cluster.add(id, { start: { kind: 'bootstrap', voters }, storage });
  }
  const leader = await cluster.leader();
  const follower = cluster.followerOf(leader);
  const storage = storages.get(leader.id);
  const change = leader.consensus.changeMembership({ kind: 'remove', id: follower.id }, 5_000);
  await change;
  const removal = storage?.batches.find(({ entries }) => entries.some(({ type }) => type === 2));
  const index = removal?.entries.at(-1)?.index ?? Number.NaN;
  const proofs = storage?.batches.filter(
    ({ hardState, mustSync }) => mustSync && hardState.commit >= index,
  );
  t.is(proofs?.length, 1);
  t.deepEqual(leader.consensus.status().voters, [leader.id]);
  await cluster.stop();
});

test('driver: a change that is done already, or impossible, changes nothing', async (t) => {
  const cluster = await LocalCluster.of(3);
  const leader = await cluster.leader();
  const { consensus } = leader;
  const before = consensus.status();
  await consensus.changeMembership({ kind: 'add-voter', id: raftId(2) }, 5_000);
  await consensus.changeMembership({ kind: 'remove', id: raftId(9) }, 5_000);
  await rejects(
    t,
    consensus.changeMembership({ kind: 'remove', id: leader.id }, 5_000),
    'conflict',
  );
  await rejects(
    t,
    consensus.changeMembership({ kind: 'demote', id: leader.id }, 5_000),
    'conflict',
  );
  await rejects(
    t,
    consensus.changeMembership({ kind: 'add-voter', id: raftId(9) }, 5_000),
    'conflict',
  );
  t.deepEqual(consensus.status().voters, before.voters);
  await cluster.stop();
});

test('driver: while one removal is not committed another one is refused, then made', async (t) => {
  const cluster = await LocalCluster.of(5);
  const leader = await cluster.leader();
  const others = [...cluster.members.values()].filter(({ id }) => id !== leader.id);
  const [deadA, deadB, ...living] = others;
  if (!deadA || !deadB) throw new Error('four followers');
  for (const { id } of [deadA, deadB]) cluster.isolated.add(id);
  const { consensus } = leader;
  // For a moment nobody hears the leader: what it proposes stays open.
  for (const { id } of living) cluster.isolated.add(id);
  const first = consensus.changeMembership({ kind: 'remove', id: deadA.id }, 5_000);
  await cluster.ticks(2);
  await rejects(t, consensus.changeMembership({ kind: 'remove', id: deadB.id }, 5_000), 'conflict');
  t.is(consensus.status().voters.length, 5, 'a change counts once it is committed');
  for (const { id } of living) cluster.isolated.delete(id);
  await cluster.ticks(3);
  await first;
  t.is(consensus.status().voters.length, 4);
  await consensus.changeMembership({ kind: 'remove', id: deadB.id }, 5_000);
  const three = [leader, ...living].map(({ id }) => id).sort();
  t.deepEqual([...consensus.status().voters].sort(), three);
  // The removed have heard of nothing: two of what they take for five elect nobody.
  cluster.isolated.clear();
  for (const { id } of [leader, ...living]) cluster.isolated.add(id);
  await cluster.ticks(100);
  t.not(deadA.consensus.status().role, 'leader');
  t.not(deadB.consensus.status().role, 'leader');
  await cluster.stop();
});

test('driver: leadership is handed over on request and commands go on', async (t) => {
  const cluster = await LocalCluster.of(3);
  const leader = await cluster.leader();
  const heir = cluster.followerOf(leader);
  const seen: string[] = [];
  heir.consensus.onStatusChange(({ role }) => seen.push(role));
  const transfer = leader.consensus.transferLeadership(heir.id, 5_000);
  await cluster.ticks(5);
  await transfer;
  t.is((await cluster.leader()).id, heir.id);
  t.is(seen.at(-1), 'leader');
  t.is(await heir.consensus.propose('after', 5_000), 1);
  await cluster.stop();
});

test('driver: malformed and misdirected messages are dropped', async (t) => {
  const cluster = await LocalCluster.of(1);
  const { consensus } = await cluster.leader();
  const strange = ['', '{', 'null', '[]', '[1]', '[1,3,2,9,5,0,0,0,0,0,null,[]]', '[9,3,1,2,5]'];
  const deep = '['.repeat(50_000);
  for (const text of [...strange, deep]) consensus.receive(text);
  await settled();
  t.is(await consensus.propose('a', 1_000), 1);
  await cluster.stop();
});

test('driver: an entry of an unknown type stops the member with a clear error', async (t) => {
  const storage = new MemoryLogStorage();
  const cluster = new LocalCluster();
  const first = await cluster.add(FIRST, { start: ALONE, storage });
  const { term: lastTerm, commitIndex } = first.consensus.status();
  await cluster.remove(FIRST);
  const image: LogImage | undefined = await storage.load();
  t.truthy(image);
  const index = commitIndex + 1;
  await storage.persist({
    hardState: { term: lastTerm, vote: FIRST, commit: logIndex(index) },
    entries: [{ index, term: lastTerm, type: 7, data: null }],
    mustSync: true,
  });
  const { consensus } = await cluster.add(FIRST, { start: { kind: 'restart' }, storage });
  t.like(await consensus.failed, { code: 'data_corrupt' });
  await cluster.stop();
});

test('create consensus: each way to start checks what it finds', async (t) => {
  const cluster = new LocalCluster();
  const lost = cluster.add(FIRST, { start: { kind: 'restart' } });
  await rejects(t, lost, 'not_found');
  const notNamed = cluster.add(FIRST, { start: { kind: 'bootstrap', voters: [raftId(2)] } });
  await rejects(t, notNamed, 'config_invalid');
  const storage = new MemoryLogStorage();
  await cluster.add(FIRST, { start: ALONE, storage });
  await cluster.remove(FIRST);
  const other = raftId(2);
  const foreign = cluster.add(other, { start: { kind: 'bootstrap', voters: [other] }, storage });
  await rejects(t, foreign, 'conflict');
  const again = await cluster.add(FIRST, { start: ALONE, storage });
  t.is(again.consensus.status().role, 'leader');
  const odd = cluster.add(raftId(3), { start: ALONE, electionTicks: 2 });
  await rejects(t, odd, 'config_invalid');
  await cluster.stop();
});
