/** Members in one process on a hand-driven clock, with a transport that delivers at once. */
import { ManualClock } from '../../src/base/clock.ts';
import type { RaftId } from '../../src/base/ids.ts';
import { raftId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import type { Consensus } from '../../src/raft/consensus.ts';
import { createConsensus } from '../../src/raft/create-consensus.ts';
import type { LogStorage } from '../../src/raft/log-storage.ts';
import { MemoryLogStorage } from '../../src/raft/memory-log-storage.ts';
import type { ConsensusOptions, ConsensusStart } from '../../src/raft/options.ts';
import { ListMachine } from './support.ts';

export interface LocalMember {
  readonly id: RaftId;
  readonly consensus: Consensus;
  readonly machine: ListMachine;
}

export interface MemberSetup extends Partial<ConsensusOptions> {
  readonly start?: ConsensusStart;
  readonly storage?: LogStorage;
}

export class LocalCluster {
  readonly clock = new ManualClock();
  readonly members = new Map<RaftId, LocalMember>();
  readonly storages = new Map<RaftId, LogStorage>();
  /** Members that nothing reaches and nothing leaves. */
  readonly isolated = new Set<RaftId>();
  #seed = 1;

  /** `count` members that all vote. */
  static async of(count: number, setup: MemberSetup = {}): Promise<LocalCluster> {
    const cluster = new LocalCluster();
    const voters = Array.from({ length: count }, (_, at) => raftId(at + 1));
    for (const id of voters)
      await cluster.add(id, { start: { kind: 'bootstrap', voters }, ...setup });
    return cluster;
  }

  async add(id: RaftId, setup: MemberSetup): Promise<LocalMember> {
    const machine = new ListMachine();
    const storage = setup.storage ?? this.storages.get(id) ?? new MemoryLogStorage();
    const consensus = await createConsensus({
      start: { kind: 'restart' },
      transport: {
        send: (to, message, onOutcome) => {
          const isCut = this.isolated.has(id) || this.isolated.has(to);
          if (!isCut) this.members.get(to)?.consensus.receive(message);
          onOutcome?.(!isCut);
        },
      },
      clock: this.clock,
      random: new SeededRandom(this.#seed++),
      logger: silentLogger,
      ...setup,
      id,
      stateMachine: machine,
      storage,
    });
    const member = { id, consensus, machine };
    this.members.set(id, member);
    this.storages.set(id, storage);
    return member;
  }

  member(id: number): LocalMember {
    const member = this.members.get(raftId(id));
    if (!member) throw new Error(`no member ${id}`);
    return member;
  }

  /** Lets `count` ticks pass, each with all its consequences. */
  async ticks(count: number): Promise<void> {
    for (let tick = 0; tick < count; tick++) {
      this.clock.advance(100);
      await settled();
    }
  }

  /** Ticks until one member leads and all reachable ones know it. */
  async leader(): Promise<LocalMember> {
    for (let tick = 0; tick < 200; tick++) {
      const reachable = [...this.members.values()].filter(({ id }) => !this.isolated.has(id));
      const leaderId = reachable[0]?.consensus.status().leaderId;
      const isAgreed = reachable.every(({ consensus }) => consensus.status().leaderId === leaderId);
      const leader = leaderId === undefined ? undefined : this.members.get(leaderId);
      if (leader && isAgreed && !this.isolated.has(leader.id)) return leader;
      await this.ticks(1);
    }
    throw new Error('no leader after 200 ticks');
  }

  followerOf(leader: LocalMember): LocalMember {
    const follower = [...this.members.values()].find(({ id }) => id !== leader.id);
    if (!follower) throw new Error('no follower');
    return follower;
  }

  /** Ends a member without its goodbye reaching anybody; its storage stays for a restart. */
  async remove(id: RaftId): Promise<void> {
    const member = this.members.get(id);
    this.members.delete(id);
    await member?.consensus.stop();
  }

  async stop(): Promise<void> {
    for (const { consensus } of this.members.values()) await consensus.stop();
  }
}

export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
