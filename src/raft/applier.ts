/**
 * Applies what is committed: entries in order, snapshots in place of them. Knows the configuration
 * in force and when the log is due to be cut.
 */
import { RingloadError } from '../base/errors.ts';
import type { LogIndex } from '../base/ids.ts';
import { logIndex } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { StateMachine } from './consensus.ts';
import type { AppliedConfiguration, CoreReady } from './library.ts';
import type { Configuration, LogEntry, SnapshotRecord } from './log-storage.ts';
import { ENTRY_TYPE } from './log-storage.ts';
import { entrySizeBytes } from './log-tail.ts';
import type { ConsensusTuning } from './options.ts';
import { openEnvelope } from './proposals.ts';

export interface ApplierOptions {
  readonly stateMachine: StateMachine;
  readonly tuning: ConsensusTuning;
  /** What the log begins with; the state machine has it already. */
  readonly snapshot: SnapshotRecord;
  /** Tells the library of a change of the configuration. */
  readonly configure: (entry: LogEntry) => AppliedConfiguration;
  /** A command's result, for whoever proposed it under that id. */
  readonly onResult: (id: string, result: unknown) => void;
  /** A change of the configuration that was proposed with that context holds. */
  readonly onConfiguration: (context: string) => void;
}

export class Applier {
  readonly #options: ApplierOptions;
  #configuration: Configuration;
  #index: LogIndex;
  #bytesSinceSnapshot = 0;
  #isSnapshotDue = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#configuration = options.snapshot.configuration;
    this.#index = options.snapshot.index;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** Of the last entry that was applied. */
  get index(): LogIndex {
    return this.#index;
  }

  apply({ snapshot, committed }: Pick<CoreReady, 'snapshot' | 'committed'>): void {
    if (snapshot) {
      this.#options.stateMachine.restore(snapshot.data);
      this.#configuration = snapshot.configuration;
      this.#index = snapshot.index;
      this.#bytesSinceSnapshot = 0;
    }
    for (const entry of committed) {
      invariant(
        entry.index === this.#index + 1,
        `entry ${entry.index} committed after entry ${this.#index}`,
      );
      this.#applyEntry(entry);
      this.#index = logIndex(entry.index);
      this.#bytesSinceSnapshot += entrySizeBytes(entry);
    }
  }

  /** @param since index of the snapshot that the log begins with. */
  isSnapshotDue(since: LogIndex): boolean {
    const { snapshotEveryEntries, snapshotEveryBytes } = this.#options.tuning;
    return (
      this.#isSnapshotDue ||
      this.#index - since >= snapshotEveryEntries ||
      this.#bytesSinceSnapshot >= snapshotEveryBytes
    );
  }

  snapshotStored(): void {
    this.#isSnapshotDue = false;
    this.#bytesSinceSnapshot = 0;
  }

  #applyEntry(entry: LogEntry): void {
    if (entry.type === ENTRY_TYPE.configuration) {
      const { configuration, context } = this.#options.configure(entry);
      this.#configuration = configuration;
      // Why: a new member can only be sent a snapshot that names it.
      this.#isSnapshotDue = true;
      if (context !== null) this.#options.onConfiguration(context);
    } else if (entry.type !== ENTRY_TYPE.normal) {
      throw new RingloadError(
        'data_corrupt',
        `entry ${entry.index} is of type ${entry.type}, which this version does not know`,
      );
    } else if (typeof entry.data === 'string') {
      const { id, command } = openEnvelope(entry.data);
      const result = this.#options.stateMachine.apply(command, logIndex(entry.index));
      this.#options.onResult(id, result);
    }
  }
}
