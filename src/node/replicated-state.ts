/** The cluster state of this peer: what the log applied, and who wants to know of changes. */
import type { LogIndex } from '../base/ids.ts';
import { apply, parseCommand } from '../cluster/apply.ts';
import {
  EMPTY_STATE,
  parseState,
  serializeState,
  type ClusterState,
} from '../cluster/cluster-state.ts';
import type { CommandResult } from '../cluster/commands.ts';
import type { StateMachine } from '../raft/consensus.ts';

export class ReplicatedState implements StateMachine {
  #state: ClusterState = EMPTY_STATE;
  readonly #listeners = new Set<(state: ClusterState) => void>();

  get current(): ClusterState {
    return this.#state;
  }

  apply(command: string, _index?: LogIndex): CommandResult {
    const { state, result } = apply(this.#state, parseCommand(command));
    this.#set(state);
    return result;
  }

  serialize(): string {
    return serializeState(this.#state);
  }

  restore(serialized: string): void {
    this.#set(parseState(serialized));
  }

  /** Called after every change, with the new state. */
  onChange(listener: (state: ClusterState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #set(state: ClusterState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
