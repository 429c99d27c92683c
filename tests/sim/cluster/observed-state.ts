/** A peer's replicated state that tells the history what is applied to it. */
import type { LogIndex } from '../../../src/base/ids.ts';
import type { CommandResult } from '../../../src/cluster/commands.ts';
import { ReplicatedState } from '../../../src/node/replicated-state.ts';
import type { SimPeer } from './sim-peer.ts';
import type { World } from './world.ts';

export class ObservedState extends ReplicatedState {
  readonly #peer: SimPeer;
  readonly #world: World;

  constructor(peer: SimPeer, world: World) {
    super();
    this.#peer = peer;
    this.#world = world;
  }

  override apply(command: string, index: LogIndex): CommandResult {
    const result = super.apply(command);
    this.#world.history.applied(this.#peer, { command, index, result, state: this.current });
    return result;
  }
}
