/**
 * The `m*` progress object of Alluxio: its fields in its order, printed as its own client does.
 *
 * Built by hand because order matters to the byte and because percentages are Java doubles: `0.0`,
 * `12.5`, `5.4E-4`, which JSON.stringify cannot write.
 */
import type { JobStatus, TaskIncident } from './job-status.ts';
import {
  failureFilesPercent,
  failureTasksPercent,
  retryTasksPercent,
  runningStage,
  shownState,
  throughputBps,
  totalBytes,
  type StateStyle,
} from './report-figures.ts';
import { incidentText } from './report.ts';

export interface JsonReportOptions {
  /** Fills the stage and the recent incidents. */
  readonly verbose: boolean;
  /** Default `all`. */
  readonly states?: StateStyle;
  /** Adds `mProcessedInodesCount`, which the reference page does not have. Default false. */
  readonly processedInodes?: boolean;
}

/** The object as JSON text without blanks; the reference dialect quotes it once more. */
export function jsonReport(status: JobStatus, options: JsonReportOptions): string {
  const { spec, counters, failure } = status;
  const { verbose, states = 'all' } = options;
  const totalsKnown = status.listingDone && !spec.partialListing && !spec.metadataOnly;
  const incidents = (list: readonly TaskIncident[]): unknown[] => (verbose ? list.map(pair) : []);
  const fields: readonly (readonly [string, string | undefined])[] = [
    ['mVerbose', json(verbose)],
    ['mJobState', json(shownState(status.state, states))],
    ['mBandwidth', json(spec.bandwidthBps)],
    ['mVerificationEnabled', json(spec.verify)],
    ['mSkippedByteCount', json(counters.skippedBytes)],
    ['mLoadedByteCount', json(counters.replicaBytes)],
    ['mScannedInodesCount', json(counters.listedFiles)],
    ['mProcessedInodesCount', options.processedInodes ? json(counters.loadedFiles) : undefined],
    ['mLoadedNonEmptyFileCopiesCount', json(counters.replicaFiles)],
    ['mTotalByteCount', totalsKnown ? json(totalBytes(status)) : undefined],
    ['mThroughput', json(throughputBps(status))],
    ['mFailureFilesPercentage', javaDouble(failureFilesPercent(counters))],
    ['mFailureSubTasksPercentage', javaDouble(failureTasksPercent(counters))],
    ['mRetrySubTasksPercentage', javaDouble(retryTasksPercent(counters))],
    ['mFailureReason', failure && json({ class: failure.code, message: failure.message })],
    ['mFailedFileCount', json(counters.failedFiles)],
    ['mRecentFailedSubtasksWithReasons', json(incidents(status.recentFailedTasks))],
    ['mRecentRetryingSubtasksWithReasons', json(incidents(status.recentRetryingTasks))],
    ['mSkipIfExists', json(spec.skipIfExists)],
    ['mMetadataOnly', json(spec.metadataOnly)],
    ['mRunningStage', json(verbose ? runningStage(status, states) : '')],
    ['mRetryDeadLetterQueueSize', json(status.retryQueueLength)],
    ['mTimeElapsed', json(Math.floor(status.elapsedMs))],
    ['mFailedFileSavedPath', json(status.failedFilesSavedTo)],
    ['mSegmentEnabled', json(spec.segmented)],
  ];
  const members = fields.flatMap(([name, value]) =>
    value === undefined ? [] : [`"${name}":${value}`],
  );
  return `{${members.join(',')}}`;
}

/** A finite number >= 0 as Java prints a double. */
export function javaDouble(value: number): string {
  if (value !== 0 && (value < 1e-3 || value >= 1e7)) {
    const [mantissa = '0', exponent = '0'] = value.toExponential().split('e');
    return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function pair(incident: TaskIncident): { first: string; second: string } {
  return { first: incident.task, second: incidentText(incident) };
}

function json(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}
