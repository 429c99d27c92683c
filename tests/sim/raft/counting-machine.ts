/** A state machine whose state is a digest of everything it ever applied, in order. */
import type { StateMachine } from '../../../src/raft/consensus.ts';
import type { LogIndex } from '../../../src/base/ids.ts';

export interface MachineState {
  readonly count: number;
  readonly digest: number;
  /** Of the last command applied. */
  readonly index: number;
}

export interface MachineObserver {
  applied(command: string, state: MachineState): void;
  restored(state: MachineState): void;
}

export class CountingMachine implements StateMachine {
  state: MachineState = { count: 0, digest: 0, index: 0 };
  readonly #observer: MachineObserver;

  constructor(observer: MachineObserver) {
    this.#observer = observer;
  }

  apply(command: string, index: LogIndex): MachineState {
    const { count, digest } = this.state;
    this.state = { count: count + 1, digest: mix(digest, command, index), index };
    this.#observer.applied(command, this.state);
    return this.state;
  }

  serialize(): string {
    return JSON.stringify(this.state);
  }

  restore(serialized: string): void {
    this.state = JSON.parse(serialized) as MachineState;
    this.#observer.restored(this.state);
  }
}

function mix(digest: number, command: string, index: number): number {
  let mixed = (digest ^ index) >>> 0;
  for (let at = 0; at < command.length; at++) {
    mixed = Math.imul(mixed ^ command.charCodeAt(at), 0x01000193) >>> 0;
  }
  return mixed;
}
