/** The derived figures of a job's reports: one definition for every layout. Never NaN. */
import type { JobCounters, JobState, JobStatus } from './job-status.ts';

/** `classic`: WAITING is shown as RUNNING, for clients that know only Alluxio's five states. */
export type StateStyle = 'all' | 'classic';

export function shownState(state: JobState, style: StateStyle = 'all'): JobState {
  return style === 'classic' && state === 'WAITING' ? 'RUNNING' : state;
}

/** Stored bytes / whole seconds, cut; undefined in the first second. */
export function throughputBps(status: JobStatus): number | undefined {
  const seconds = Math.floor(status.elapsedMs / 1000);
  return seconds < 1 ? undefined : Math.floor(status.counters.replicaBytes / seconds);
}

/** What {@link JobCounters.replicaBytes} reaches when everything is loaded, all copies counted. */
export function totalBytes(status: JobStatus): number {
  return status.spec.metadataOnly ? 0 : status.counters.listedBytes * status.spec.replicaCount;
}

/**
 * `LOADING` or `RETRYING` while running, else empty. RETRYING only when the listing is exhausted
 * and tasks do wait for their retry: the tail of a clean load is still loading.
 */
export function runningStage(status: JobStatus, style: StateStyle = 'all'): string {
  if (shownState(status.state, style) !== 'RUNNING') return '';
  return status.listingDone && status.retryQueueLength > 0 ? 'RETRYING' : 'LOADING';
}

export const failureFilesPercent = (counters: JobCounters): number =>
  percentOf(counters.failedFiles, counters.listedFiles);
export const failureTasksPercent = (counters: JobCounters): number =>
  percentOf(counters.failedTaskCount, counters.taskCount);
export const retryTasksPercent = (counters: JobCounters): number =>
  percentOf(counters.retriedTaskCount, counters.taskCount);

function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}
