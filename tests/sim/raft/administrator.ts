/**
 * Changes the membership while everything else goes on: adds learners, gives and takes votes,
 * removes members (a leader after handing over), and replaces members whose disk is lost.
 */
import type { RaftId } from '../../../src/base/ids.ts';
import type { MembershipChange, RaftStatus } from '../../../src/raft/consensus.ts';
import type { MemberHealth } from '../../../src/raft/membership-policy.ts';
import { planMembership } from '../../../src/raft/membership-policy.ts';
import { quorumOf } from '../../../src/raft/membership.ts';
import type { Chance } from './chance.ts';
import type { SimNode, SimWorld } from './sim-node.ts';
import type { Workload } from './workload.ts';

const MAX_MEMBERS = 7;

export class Administrator {
  readonly #world: SimWorld;
  readonly #chance: Chance;
  readonly #nodes: ReadonlyMap<number, SimNode>;
  readonly #workload: Workload;
  readonly #addNode: () => SimNode;
  readonly #leaving = new Set<RaftId>();
  /** Its disk is lost; it has to be removed before another one may go. */
  #lost: RaftId | undefined;
  #isOver = false;

  constructor(parts: {
    world: SimWorld;
    chance: Chance;
    nodes: ReadonlyMap<number, SimNode>;
    workload: Workload;
    addNode: () => SimNode;
  }) {
    this.#world = parts.world;
    this.#chance = parts.chance;
    this.#nodes = parts.nodes;
    this.#workload = parts.workload;
    this.#addNode = parts.addNode;
  }

  run(): void {
    if (this.#isOver) return;
    const leader = this.#chance.pick(this.#workload.leaders());
    if (leader?.consensus) this.#act(leader, leader.consensus.status());
    this.#world.time.after(this.#chance.between(20, 300), () => {
      this.run();
    });
  }

  stop(): void {
    this.#isOver = true;
  }

  #act(leader: SimNode, status: RaftStatus): void {
    const chance = this.#chance;
    const fate = chance.random.next();
    const others = [...status.voters, ...status.learners].filter((id) => id !== status.id);
    const pick = (ids: readonly RaftId[]): RaftId => chance.pick(ids) ?? status.id;
    if (fate < 0.2) this.#transfer(leader, pick(status.voters));
    else if (fate < 0.5) this.#followPolicy(leader, status);
    else if (fate < 0.65) this.#add(leader, status);
    else if (fate < 0.75) this.#change(leader, { kind: 'add-voter', id: pick(status.learners) });
    else if (fate < 0.83) this.#change(leader, { kind: 'demote', id: pick(status.voters) });
    else if (fate < 0.9) this.#change(leader, { kind: 'remove', id: pick(others) });
    else if (fate < 0.95) this.#leaving.add(pick(status.voters));
    else this.#loseDisk(status);
  }

  #add(leader: SimNode, status: RaftStatus): void {
    if (status.voters.length + status.learners.length >= MAX_MEMBERS) return;
    const { id } = this.#addNode();
    this.#change(leader, { kind: 'add-learner', id });
  }

  #followPolicy(leader: SimNode, status: RaftStatus): void {
    const members: MemberHealth[] = [...status.voters, ...status.learners].map((id) => ({
      raftId: id,
      alive: this.#nodes.get(id)?.isUp ?? false,
      goneForMs: this.#nodes.get(id)?.isUp ? 0 : 1_000,
      zone: `z${id % 2}`,
      leaving: this.#leaving.has(id) || id === this.#lost,
    }));
    const limits = { maxVoters: 5, replaceAfterMs: 500, promoteLagEntries: 20 };
    const change = planMembership(status, members, limits);
    if (change) this.#change(leader, change);
    else if (this.#leaving.has(status.id)) {
      const heir = status.voters.find((id) => id !== status.id);
      if (heir !== undefined) this.#transfer(leader, heir);
    }
  }

  /** Only while those who are left are a majority whatever change is under way. */
  #loseDisk(status: RaftStatus): void {
    if (this.#lost !== undefined || status.voters.length < 3) return;
    const id = this.#chance.pick(status.voters.filter((voter) => voter !== status.id));
    if (id === undefined) return;
    const left = status.voters.filter((voter) => !this.#nodes.get(voter)?.isRetired).length - 1;
    if (left < quorumOf(status.voters.length + 1)) return;
    this.#count('lostDisks');
    this.#lost = id;
    const node = this.#nodes.get(id);
    node?.crash();
    if (node) node.isRetired = true;
  }

  #transfer(leader: SimNode, to: RaftId): void {
    if (!leader.consensus || to === leader.id) return;
    leader.consensus.transferLeadership(to, this.#chance.between(50, 500)).then(
      () => {
        this.#count('transfers');
      },
      (error: unknown) => this.#workload.expected(error),
    );
  }

  #change(leader: SimNode, change: MembershipChange): void {
    leader.consensus?.changeMembership(change, this.#chance.between(50, 1_000)).then(
      () => {
        this.#count(`change.${change.kind}`);
        if (change.kind === 'remove' && change.id === this.#lost) this.#lost = undefined;
      },
      (error: unknown) => this.#workload.expected(error),
    );
  }

  #count(what: string): void {
    this.#world.counts[what] = (this.#world.counts[what] ?? 0) + 1;
  }
}
