/** What a job run is made from, what bounds it, and what it tells. */
import type { PeerId } from '../base/ids.ts';
import type { Random } from '../base/random.ts';
import type { JobCheckpoint, PeerTally } from '../cluster/job-record.ts';
import type { AssignerLimits } from './assigner.ts';
import type { FileFilter } from './file-filter.ts';
import type { FailedFile, JobCounters, TaskIncident } from './job-status.ts';
import type { Placement } from './placement.ts';
import type { PassRef } from './protocol.ts';
import type { JobSpec } from './spec.ts';

export interface RunLimits extends AssignerLimits {
  /** Listed files that may wait or be in flight: bounds the leader's memory. */
  readonly windowFiles: number;
  /** Units that may be open at once. */
  readonly windowUnits: number;
  readonly checkpointIntervalMs: number;
  /** Owners follow fetches of at least so many bytes while they run. */
  readonly followMinBytes: number;
  /** Failed attempts of one task before its file fails. */
  readonly taskRetryMaxCount: number;
  /** How long one task may be told by the under store to come back later before that counts too. */
  readonly throttlePatienceMs: number;
  /** How often one file may be found changed before it fails. */
  readonly restartMaxCount: number;
  /** Passes in which inventories may disagree before the job fails. */
  readonly passMaxCount: number;
  readonly inventoryRetryMs: number;
  /** How long a job waits for peers to come back when there are fewer than its replicas. */
  readonly replicaWaitMs: number;
}

export interface RunStart {
  readonly ref: Omit<PassRef, 'pass'>;
  readonly spec: JobSpec;
  readonly checkpoint: JobCheckpoint | undefined;
  /** Whether a file passes the job's filters. */
  readonly accepts: FileFilter;
  readonly placement: Placement;
  readonly limits: RunLimits;
  readonly random: Random;
  /** Above the id of every task that was ordered in this run and term before; default 1. */
  readonly firstTaskId?: number;
}

/** What a run can tell at any time. */
export interface RunView {
  readonly state: 'RUNNING' | 'VERIFYING';
  readonly pass: number;
  readonly listingDone: boolean;
  readonly counters: JobCounters;
  readonly retryQueueLength: number;
  readonly tallies: ReadonlyMap<PeerId, PeerTally>;
  readonly failures: readonly FailedFile[];
  readonly failedTasks: readonly TaskIncident[];
  readonly retryingTasks: readonly TaskIncident[];
  outCountOf(peer: PeerId): number;
}
