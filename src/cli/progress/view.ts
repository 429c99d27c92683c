/** What a progress display shows of a job, worked out once for the bar and the plain line. */
import { isActive, type JobStatus } from '../../job/job-status.ts';
import { formatCount, formatDuration, formatRate, formatSize } from '../format.ts';

export interface ProgressView {
  readonly state: string;
  /** 0 to 1; undefined while the listing goes on and the total is not known. */
  readonly fraction: number | undefined;
  readonly bytes: string;
  readonly files: string;
  readonly rate: string;
  readonly eta: string;
  readonly peers: string;
  /** Failures so far, empty when there are none. */
  readonly failed: string;
  /** Something out of the ordinary, empty when all is well. */
  readonly note: string;
}

export interface ProgressRates {
  readonly bytesPerSecond: number | undefined;
  readonly filesPerSecond: number | undefined;
}

export function progressView(status: JobStatus, rates: ProgressRates, note = ''): ProgressView {
  const { counters, spec } = status;
  const doneBytes = counters.loadedBytes + counters.skippedBytes + counters.failedBytes;
  const doneFiles =
    counters.loadedFiles + counters.skippedFiles + counters.failedFiles + counters.filteredFiles;
  const countsBytes = !spec.metadataOnly && counters.listedBytes > 0;
  const done = countsBytes ? doneBytes : doneFiles;
  const total = countsBytes ? counters.listedBytes : counters.listedFiles;
  const perSecond = countsBytes ? rates.bytesPerSecond : rates.filesPerSecond;
  const atLeast = status.listingDone ? '' : '≥';
  return {
    state: status.state,
    fraction: fractionOf(status, done, total),
    bytes: `${formatSize(doneBytes)}/${atLeast}${formatSize(counters.listedBytes)}`,
    files: `${formatCount(doneFiles)}/${atLeast}${formatCount(counters.listedFiles)} files`,
    rate: rateOf(spec.metadataOnly, rates),
    eta: etaOf(status, total - done, perSecond),
    peers:
      status.peers.length === 0
        ? ''
        : `${status.peers.length} peers`.replace(/^1 peers$/, '1 peer'),
    failed: counters.failedFiles === 0 ? '' : `${formatCount(counters.failedFiles)} failed`,
    note,
  };
}

/** 1 only when the job says that it succeeded: rounding must not announce it early. */
function fractionOf(status: JobStatus, done: number, total: number): number | undefined {
  if (status.state === 'SUCCEEDED') return 1;
  if (!status.listingDone && isActive(status.state)) return undefined;
  if (total <= 0) return 0;
  return Math.max(0, Math.min(0.99, done / total));
}

function rateOf(metadataOnly: boolean, rates: ProgressRates): string {
  if (metadataOnly) {
    return rates.filesPerSecond === undefined
      ? ''
      : `${formatCount(Math.round(rates.filesPerSecond))} files/s`;
  }
  return rates.bytesPerSecond === undefined ? '' : formatRate(rates.bytesPerSecond);
}

function etaOf(status: JobStatus, left: number, perSecond: number | undefined): string {
  if (!isActive(status.state)) return '';
  if (!status.listingDone) return 'listing';
  if (perSecond === undefined || !(perSecond > 0) || left < 0) return 'ETA -';
  return `ETA ${formatDuration(Math.ceil(left / perSecond) * 1000)}`;
}
