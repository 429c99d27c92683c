/**
 * One run: a cluster under faults, then healed. Safety is checked throughout, progress after the
 * healing. Everything in it follows from the seed.
 */
import { raftId } from '../../../src/base/ids.ts';
import type { ConsensusStart } from '../../../src/raft/options.ts';
import { Administrator } from './administrator.ts';
import { Chance } from './chance.ts';
import { Faults, restart } from './faults.ts';
import { History, Violation } from './history.ts';
import type { PlantedBug, SimWorld } from './sim-node.ts';
import { SimNode } from './sim-node.ts';
import { SimNetwork } from './sim-network.ts';
import { VirtualTime } from './virtual-time.ts';
import { Workload } from './workload.ts';

const TICK_MS = 10;
const STORM_MS = 4_000;
/** A hundred election timeouts. */
const HEALING_MS = 10_000;

export interface RunOptions {
  readonly bug?: PlantedBug;
  /** Leaders that hardly last, among five voters; default for every fourth seed. */
  readonly churn?: boolean;
  readonly stormMs?: number;
}

export interface RunResult {
  readonly seed: number;
  readonly violation: Error | undefined;
  readonly events: number;
  readonly virtualMs: number;
  readonly healedAfterMs: number;
  readonly committed: number;
  readonly counts: Readonly<Record<string, number>>;
}

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  return new Run(seed, options).run();
}

class Run {
  readonly #seed: number;
  readonly #stormMs: number;
  readonly #isChurn: boolean;
  readonly #time = new VirtualTime();
  readonly #history = new History();
  readonly #nodes = new Map<number, SimNode>();
  readonly #world: SimWorld;
  readonly #workload: Workload;
  readonly #faults: Faults;
  readonly #administrator: Administrator;
  readonly #chance: Chance;
  #violation: Error | undefined;
  #events = 0;
  #nextId = 1;

  constructor(seed: number, options: RunOptions) {
    this.#seed = seed;
    this.#stormMs = options.stormMs ?? STORM_MS;
    this.#isChurn = options.churn ?? seed % 4 === 0;
    const chance = new Chance(seed, 1);
    this.#chance = chance;
    this.#world = {
      time: this.#time,
      network: new SimNetwork(this.#time, new Chance(seed, 2)),
      history: this.#history,
      chance: new Chance(seed, 3),
      disk: { syncMaxMs: 3, failSyncs: 0 },
      tuning: {
        tickMs: TICK_MS,
        electionTicks: this.#isChurn ? 3 : 10,
        heartbeatTicks: this.#isChurn ? 1 : chance.whole(1, 3),
        snapshotEveryEntries: chance.whole(5, 80),
        keepTailEntries: chance.whole(0, 30),
        maxMessageBytes: chance.whole(100, 2_000),
        maxInflightMessages: chance.whole(1, 32),
        snapshotTimeoutTicks: 40,
        promoteLagEntries: chance.whole(0, 20),
        maxBatchEntries: chance.whole(1, 20),
        maxQueuedMessages: chance.whole(20, 400),
      },
      bug: options.bug,
      counts: {},
      violated: (violation) => {
        this.#violation ??= violation;
      },
    };
    this.#workload = new Workload(this.#world, new Chance(seed, 4), this.#nodes);
    this.#faults = new Faults(this.#world, new Chance(seed, 5), this.#nodes, {
      pauseMs: this.#isChurn ? 40 : 250,
      latencyMs: this.#isChurn ? 40 : 3,
    });
    this.#administrator = new Administrator({
      world: this.#world,
      chance: new Chance(seed, 6),
      nodes: this.#nodes,
      workload: this.#workload,
      addNode: () => this.#addNode({ kind: 'join' }),
    });
  }

  async run(): Promise<RunResult> {
    const size = this.#isChurn ? 5 : (this.#chance.pick([1, 2, 3, 3, 3, 4, 5, 5]) ?? 3);
    const voters = Array.from({ length: size }, (_, at) => raftId(at + 1));
    for (let count = 0; count < size; count++) this.#addNode({ kind: 'bootstrap', voters });
    this.#workload.run();
    this.#time.after(300, () => {
      this.#faults.run();
    });
    if (!this.#isChurn && this.#chance.hit(0.7)) {
      this.#time.after(400, () => {
        this.#administrator.run();
      });
    }
    await this.#runUntil(this.#stormMs);
    const healedAfterMs = await this.#heal();
    for (const node of this.#nodes.values()) node.crash();
    return {
      seed: this.#seed,
      violation: this.#violation,
      events: this.#events,
      virtualMs: this.#time.nowMs,
      healedAfterMs,
      committed: this.#history.committedCount,
      counts: { ...this.#world.counts, ...this.#totals() },
    };
  }

  #addNode(start: ConsensusStart): SimNode {
    const node = new SimNode(raftId(this.#nextId++), this.#world, start);
    this.#nodes.set(node.id, node);
    node.start(start);
    return node;
  }

  async #runUntil(atMs: number): Promise<void> {
    while (!this.#violation && (await this.#time.step(atMs))) {
      this.#events++;
      for (const node of this.#nodes.values()) node.check();
    }
  }

  /** How long it took until all members agreed on everything. */
  async #heal(): Promise<number> {
    const startMs = this.#time.nowMs;
    this.#workload.stop();
    this.#administrator.stop();
    this.#faults.stop();
    let isAcknowledged = false;
    while (!this.#violation) {
      const healedMs = this.#time.nowMs - startMs;
      for (const node of this.#nodes.values()) restart(node, this.#world);
      const leader = this.#leader();
      if (leader && !isAcknowledged) isAcknowledged = await this.#propose(leader);
      else if (leader && this.#isConverged(leader)) return healedMs;
      if (healedMs > HEALING_MS) {
        this.#violation = new Violation(
          'liveness',
          `no agreement after healing: ${this.#describe()}`,
        );
      }
      await this.#runUntil(this.#time.nowMs + 5 * TICK_MS);
    }
    return this.#time.nowMs - startMs;
  }

  async #propose(leader: SimNode): Promise<boolean> {
    const outcome = { isDone: false, isAcknowledged: false };
    void this.#workload.propose(leader).then((isAcknowledged) => {
      outcome.isDone = true;
      outcome.isAcknowledged = isAcknowledged;
    });
    const giveUpMs = this.#time.nowMs + 2_500;
    while (!outcome.isDone && !this.#violation && this.#time.nowMs < giveUpMs) {
      await this.#runUntil(this.#time.nowMs + TICK_MS);
    }
    return outcome.isAcknowledged;
  }

  #leader(): SimNode | undefined {
    const leaders = this.#workload.leaders();
    return leaders.length === 1 ? leaders[0] : undefined;
  }

  /** Also ends members that were removed and cannot know it: in life their node is told. */
  #isConverged(leader: SimNode): boolean {
    const status = leader.consensus?.status();
    if (!status) return false;
    const members = new Set([...status.voters, ...status.learners]);
    let isConverged = true;
    for (const node of this.#nodes.values()) {
      if (node.isRetired) continue;
      if (!members.has(node.id)) {
        node.crash();
        node.isRetired = true;
        continue;
      }
      const other = node.consensus?.status();
      isConverged &&=
        other !== undefined &&
        other.leaderId === status.id &&
        other.term === status.term &&
        other.appliedIndex === status.commitIndex &&
        node.machine?.state.digest === leader.machine?.state.digest;
    }
    return isConverged;
  }

  #describe(): string {
    return [...this.#nodes.values()]
      .filter((node) => !node.isRetired)
      .map((node) => {
        const status = node.consensus?.status();
        return status
          ? `${node.id}:${status.role}@${status.term} leader ${status.leaderId ?? '-'} applied ` +
              `${status.appliedIndex}/${status.commitIndex} voters ${status.voters.join()} ` +
              `learners ${status.learners.join()}`
          : `${node.id}:down`;
      })
      .join('; ');
  }

  #totals(): Record<string, number> {
    const totals: Record<string, number> = { ...this.#world.network.counts };
    totals['tornRecords'] = 0;
    totals['lostRecords'] = 0;
    for (const { disk } of this.#nodes.values()) {
      totals['tornRecords'] += disk.tornCount;
      totals['lostRecords'] += disk.lostCount;
    }
    return totals;
  }
}
