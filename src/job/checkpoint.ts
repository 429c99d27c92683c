/**
 * What a run commits so that the next leader can go on from there: one command, of bounded size,
 * whatever the job's.
 */
import type { PeerId } from '../base/ids.ts';
import type { JobCheckpoint, PeerTally } from '../cluster/job-record.ts';
import type { FileWindow } from './file-run.ts';
import type { IncidentLog } from './incident-log.ts';
import type { FailedFile, JobCounters } from './job-status.ts';

/** Failures that travel in a checkpoint; all of them are on the leader's disk. */
const FAILURE_MAX_COUNT = 100;
const FAILURE_MAX_LENGTH = 32 * 1024;

export function buildCheckpoint(run: {
  readonly pass: number;
  readonly epoch: number;
  readonly window: FileWindow;
  /** Every listed file is settled, and there are no more. */
  readonly isSettled: boolean;
  readonly tallies: ReadonlyMap<PeerId, PeerTally>;
  readonly incidents: IncidentLog;
  readonly lastPassCounters: Readonly<Record<string, number>> | undefined;
}): JobCheckpoint {
  const { window, incidents, lastPassCounters } = run;
  const { cursor } = window;
  return {
    pass: run.pass,
    epoch: run.epoch,
    ...(cursor !== undefined && { cursor }),
    listingDone: run.isSettled,
    counters: { ...window.settled },
    tallies: Object.fromEntries(run.tallies),
    expected: window.expected(),
    failures: newestWithin(incidents.failures),
    ...(lastPassCounters && {
      lastPassCounters,
      lastPassFailures: newestWithin(incidents.lastPassFailures),
    }),
  };
}

/** With the verdict: a pass that is cut short accounts for nothing, the one before it speaks. */
export function finalCheckpoint(current: JobCheckpoint, counters: JobCounters): JobCheckpoint {
  const { lastPassCounters, lastPassFailures, ...rest } = current;
  if (!lastPassCounters) return rest;
  return { ...rest, counters: { ...counters }, failures: lastPassFailures ?? [] };
}

function newestWithin(failures: readonly FailedFile[]): FailedFile[] {
  const kept: FailedFile[] = [];
  let length = 0;
  for (const failure of failures.slice(-FAILURE_MAX_COUNT).reverse()) {
    length += failure.path.length + failure.message.length;
    if (length > FAILURE_MAX_LENGTH) break;
    kept.push(failure);
  }
  return kept.reverse();
}
