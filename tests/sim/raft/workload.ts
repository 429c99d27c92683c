/** Clients: they propose to and read from whoever says that it leads, and report what they hear. */
import { RingloadError } from '../../../src/base/errors.ts';
import type { Chance } from './chance.ts';
import type { MachineState } from './counting-machine.ts';
import { Violation } from './history.ts';
import type { SimNode, SimWorld } from './sim-node.ts';

const EXPECTED_ERRORS = new Set(['not_leader', 'deadline_exceeded', 'overloaded', 'conflict']);

export class Workload {
  readonly #world: SimWorld;
  readonly #chance: Chance;
  readonly #nodes: ReadonlyMap<number, SimNode>;
  #sequence = 0;
  #isOver = false;

  constructor(world: SimWorld, chance: Chance, nodes: ReadonlyMap<number, SimNode>) {
    this.#world = world;
    this.#chance = chance;
    this.#nodes = nodes;
  }

  run(): void {
    if (this.#isOver) return;
    const leader = this.#chance.pick(this.leaders());
    if (leader) {
      const burst = this.#chance.hit(0.2) ? this.#chance.whole(2, 30) : 1;
      for (let count = 0; count < burst; count++) void this.propose(leader);
      if (this.#chance.hit(0.4)) void this.read(leader);
    }
    this.#world.time.after(this.#chance.between(1, 30), () => {
      this.run();
    });
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Up, not paused, and of the opinion that they lead. */
  leaders(): SimNode[] {
    return [...this.#nodes.values()].filter(
      (node) => !node.isPaused && node.consensus?.status().role === 'leader',
    );
  }

  /** Whether the command was acknowledged. */
  async propose(node: SimNode): Promise<boolean> {
    const command = `x${this.#sequence++}`;
    const { consensus } = node;
    if (!consensus) return false;
    try {
      const state = await consensus.propose(command, this.#chance.between(20, 2_000));
      // The dead answer nobody: a crash in the middle of a turn lets our promise settle.
      if (node.consensus !== consensus) return false;
      this.#check(() => {
        this.#world.history.acknowledged(command, state as MachineState);
      });
      this.#count('acknowledged');
      return true;
    } catch (error) {
      const { details } = this.expected(error);
      // Likewise.
      if (node.consensus !== consensus) return false;
      if (details?.['maybeCommitted'] !== true) {
        this.#check(() => {
          this.#world.history.refused(command);
        });
      }
      this.#count('rejected');
      return false;
    }
  }

  async read(node: SimNode): Promise<void> {
    const { acknowledgedIndex } = this.#world.history;
    try {
      const { consensus } = node;
      if (!consensus) return;
      await consensus.readBarrier(this.#chance.between(20, 2_000));
      if (node.consensus !== consensus) return;
      this.#check(() => {
        this.#world.history.readServed(node.id, acknowledgedIndex);
      });
      this.#count('reads');
    } catch (error) {
      this.expected(error);
    }
  }

  /** Any other error than those of the contract is a violation. */
  expected(error: unknown): Partial<RingloadError> {
    if (error instanceof RingloadError && EXPECTED_ERRORS.has(error.code)) return error;
    this.#world.violated(new Violation('errors', String(error)));
    return {};
  }

  #check(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#world.violated(error as Error);
    }
  }

  #count(what: string): void {
    this.#world.counts[what] = (this.#world.counts[what] ?? 0) + 1;
  }
}
