/**
 * Text reports of a job, in Alluxio's layouts: the short one of the command line and the long one
 * behind `--verbose` and the worker dialect. Pure formatting of a {@link JobStatus}.
 *
 * Invariant: one row is one line. Names and messages may hold any character, so control characters
 * are escaped; nothing a key contains can look like another row.
 */
import { formatBytes } from '../base/units.ts';
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

export interface ReportOptions {
  /** Adds the stage and the recent incidents. */
  readonly verbose: boolean;
  /** Default `all`. */
  readonly states?: StateStyle;
}

/** One line of a report, and the indented lines below it. */
export interface ReportRow {
  readonly key: string;
  readonly value: string;
  readonly details?: readonly string[];
}

/** The line above every report, newline included. */
export function reportHeader(path: string): string {
  return `Progress for loading path '${oneLine(path)}':\n`;
}

/** The seven rows of the reference page, without header. */
export function shortReport(status: JobStatus): string {
  const { counters } = status;
  const total = status.listingDone ? totalBytes(status) : undefined;
  return print([
    settings(status, [`verify: ${status.spec.verify}`]),
    { key: 'Job State', value: jobStateText(status) },
    { key: 'Files Processed', value: String(counters.loadedFiles + counters.skippedFiles) },
    { key: 'Bytes Loaded', value: outOf(counters.replicaBytes, total) },
    ...throughput(status),
    { key: 'Block load failure rate', value: percent(failureTasksPercent(counters)) },
    { key: 'Files Failed', value: String(counters.failedFiles) },
  ]);
}

/** The report of Alluxio's main line, without header. */
export function longReport(status: JobStatus, options: ReportOptions): string {
  return print(longReportRows(status, options));
}

/** The rows of {@link longReport}, for those who want keys and values. */
export function longReportRows(status: JobStatus, options: ReportOptions): readonly ReportRow[] {
  const { counters } = status;
  return [
    settings(status, [
      `verify: ${status.spec.verify}`,
      `metadata-only: ${status.spec.metadataOnly}`,
    ]),
    { key: 'Time Elapsed', value: clockText(status.elapsedMs) },
    { key: 'Job State', value: jobStateText(status, options.states) },
    ...stage(status, options),
    { key: 'Inodes Scanned', value: String(counters.listedFiles) },
    { key: 'Inodes Processed', value: String(counters.loadedFiles) },
    ...byteRows(status),
    { key: 'File Failure rate', value: percent(failureFilesPercent(counters)) },
    { key: 'Subtask Failure rate', value: percent(failureTasksPercent(counters)) },
    { key: 'Files Failed', value: String(counters.failedFiles) },
    ...incidents(status, options),
    { key: 'Subtask Retry rate', value: percent(retryTasksPercent(counters)) },
    { key: 'Subtasks on Retry Dead Letter Queue', value: String(status.retryQueueLength) },
    ...(status.failedFilesSavedTo === undefined
      ? []
      : [{ key: 'Failed files saved to', value: oneLine(status.failedFilesSavedTo) }]),
  ];
}

/** `RUNNING`, or `FAILED (<code>: <message>)` for a failed job. */
export function jobStateText(status: JobStatus, states: StateStyle = 'all'): string {
  const state = shownState(status.state, states);
  const { failure } = status;
  return status.state === 'FAILED' && failure
    ? `${state} (${failure.code}: ${oneLine(failure.message)})`
    : state;
}

/** `Reason: <R>, message: <m>` */
export function incidentText(incident: TaskIncident): string {
  return `Reason: ${incident.reason}, message: ${incident.message}`;
}

function settings(status: JobStatus, flags: readonly string[]): ReportRow {
  const bandwidth = status.spec.bandwidthBps ?? 'unlimited';
  return { key: 'Settings', value: [`bandwidth: ${bandwidth}`, ...flags].join('\t') };
}

function stage(status: JobStatus, options: ReportOptions): ReportRow[] {
  const value = options.verbose ? runningStage(status, options.states) : '';
  return value === '' ? [] : [{ key: 'Stage', value }];
}

function byteRows(status: JobStatus): ReportRow[] {
  const { counters, spec } = status;
  const totalsKnown = status.listingDone && !spec.partialListing;
  const rows: ReportRow[] = [];
  if (spec.skipIfExists) {
    const total = totalsKnown ? counters.listedBytes : undefined;
    rows.push({ key: 'Bytes Skipped', value: outOf(counters.skippedBytes, total) });
  }
  if (!spec.metadataOnly) {
    const total = totalsKnown ? totalBytes(status) : undefined;
    rows.push({ key: 'Bytes Loaded', value: outOf(counters.replicaBytes, total) });
    rows.push(...throughput(status));
  }
  return rows;
}

function throughput(status: JobStatus): ReportRow[] {
  const bytesPerSecond = throughputBps(status);
  return bytesPerSecond === undefined
    ? []
    : [{ key: 'Throughput', value: `${formatBytes(bytesPerSecond)}/s` }];
}

function incidents(status: JobStatus, options: ReportOptions): ReportRow[] {
  if (!options.verbose) return [];
  const lines = (list: readonly TaskIncident[]): string[] =>
    list.map((incident) => oneLine(`${incident.task}: ${incidentText(incident)}`));
  return [
    { key: 'Recent failed subtasks', value: '', details: lines(status.recentFailedTasks) },
    { key: 'Recent retrying subtasks', value: '', details: lines(status.recentRetryingTasks) },
  ];
}

function print(rows: readonly ReportRow[]): string {
  return rows
    .map((row) => {
      // Why: the settings are columns of their own, so a tab follows their colon, not a blank.
      const separator = row.key === 'Settings' ? '\t' : ' ';
      const details = row.details?.map((line) => `\t\t${line}\n`).join('') ?? '';
      return `\t${row.key}:${separator}${row.value}\n${details}`;
    })
    .join('');
}

function outOf(bytes: number, total: number | undefined): string {
  return total === undefined
    ? formatBytes(bytes)
    : `${formatBytes(bytes)} out of ${formatBytes(total)}`;
}

function percent(value: number): string {
  return `${value.toFixed(2)}%`;
}

/** `HH:mm:ss`; hours grow past 24. */
function clockText(elapsedMs: number): string {
  const seconds = Math.max(0, Math.floor(elapsedMs / 1000));
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) =>
    JSON.stringify(character).length > 3
      ? JSON.stringify(character).slice(1, -1)
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
