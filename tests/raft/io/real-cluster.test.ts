/** Three members with real files and a real clock: they elect, commit, and survive a restart. */
import test from 'ava';
import { raftId } from '../../../src/base/ids.ts';
import type { RaftId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { SeededRandom } from '../../../src/base/random.ts';
import type { Consensus } from '../../../src/raft/consensus.ts';
import { createConsensus } from '../../../src/raft/create-consensus.ts';
import { openFileLogStorage } from '../../../src/raft/io/file-log-storage.ts';
import type { ConsensusStart } from '../../../src/raft/options.ts';
import { ListMachine, eventually, realClock, temporaryFolder } from '../support.ts';

interface Member {
  readonly consensus: Consensus;
  readonly machine: ListMachine;
}

const VOTERS = [raftId(1), raftId(2), raftId(3)];

class RealCluster {
  readonly members = new Map<RaftId, Member>();
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(id: RaftId, start: ConsensusStart): Promise<void> {
    const machine = new ListMachine();
    const consensus = await createConsensus({
      id,
      start,
      storage: await openFileLogStorage(`${this.#folder}/${id}`, silentLogger),
      stateMachine: machine,
      transport: {
        send: (to, message, onOutcome) => {
          setImmediate(() => {
            const target = this.members.get(to);
            target?.consensus.receive(message);
            onOutcome?.(target !== undefined);
          });
        },
      },
      clock: realClock,
      random: new SeededRandom(id),
      logger: silentLogger,
      tickMs: 20,
      snapshotEveryEntries: 200,
      keepTailEntries: 50,
    });
    this.members.set(id, { consensus, machine });
  }

  leader(): Promise<Member> {
    return eventually('a leader', () =>
      [...this.members.values()].find(({ consensus }) => consensus.status().role === 'leader'),
    );
  }

  /** Proposes until it is acknowledged, whoever leads. */
  async commit(command: string): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt++) {
      const { consensus } = await this.leader();
      const isDone = await consensus.propose(command, 5_000).then(
        () => true,
        () => false,
      );
      if (isDone) return;
    }
    throw new Error(`could not commit ${command}`);
  }

  async stop(id: RaftId): Promise<void> {
    const member = this.members.get(id);
    this.members.delete(id);
    await member?.consensus.stop();
  }

  async converged(commands: readonly string[]): Promise<void> {
    await eventually('all members to apply everything', () => {
      const isComplete = (member: Member): boolean =>
        new Set(member.machine.commands).size === commands.length;
      return [...this.members.values()].every(isComplete) ? true : undefined;
    });
  }
}

test('raft on real files: elects, commits, replaces a dead leader, survives a restart of all', async (t) => {
  t.timeout(60_000);
  const cluster = new RealCluster(await temporaryFolder(t));
  for (const id of VOTERS) await cluster.start(id, { kind: 'bootstrap', voters: VOTERS });
  const commands: string[] = [];
  const commitSome = async (count: number): Promise<void> => {
    const fresh = Array.from({ length: count }, (_, at) => `c${commands.length + at}`);
    commands.push(...fresh);
    await Promise.all(fresh.map((command) => cluster.commit(command)));
  };

  await commitSome(300);
  const first = (await cluster.leader()).consensus.status();
  await cluster.stop(first.id);
  await commitSome(300);
  const second = (await cluster.leader()).consensus.status();
  t.not(second.id, first.id);
  t.true(second.term > first.term);

  await cluster.start(first.id, { kind: 'restart' });
  await cluster.converged(commands);

  for (const id of VOTERS) await cluster.stop(id);
  for (const id of VOTERS) await cluster.start(id, { kind: 'restart' });
  await commitSome(10);
  await cluster.converged(commands);
  const [one, two, three] = VOTERS.map((id) => cluster.members.get(id)?.machine.commands);
  t.deepEqual(one, two);
  t.deepEqual(two, three);
  for (const id of VOTERS) await cluster.stop(id);
});
