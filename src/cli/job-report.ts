/** The report of one job in Ringload's own layout, for people: figures, peers, failures. */
import type {
  Certificate,
  FailedFile,
  JobCounters,
  JobStatus,
  PeerRow,
} from '../job/job-status.ts';
import {
  fieldLines,
  formatCount,
  formatDuration,
  formatRate,
  formatSize,
  formatTime,
  plural,
  printable,
  tableLines,
} from './format.ts';

const FAILED_FILES_SHOWN_MAX = 20;

export function jobReportLines(status: JobStatus): string[] {
  return [
    ...fieldLines(fields(status)),
    ...peerTable(status.peers),
    ...certificateTable(status.certificate),
    ...failedFiles(status),
  ];
}

function fields(status: JobStatus): [string, string][] {
  const { counters, spec } = status;
  const rows: [string, string][] = [
    [spec.index ? 'index' : spec.paths ? 'paths' : 'path', printable(loadedText(spec))],
    ...(spec.alias === undefined ? [] : [['alias', printable(spec.alias)] as [string, string]]),
    ['job', status.id],
    ['state', stateText(status)],
    ['created', formatTime(status.createdAtMs)],
    ['elapsed', formatDuration(status.elapsedMs)],
    ['options', optionsText(status)],
    ['files', filesText(status)],
    ['bytes', bytesText(status)],
  ];
  const speed = averageBps(status);
  if (speed !== undefined) rows.push(['throughput', formatRate(speed)]);
  if (!spec.metadataOnly) {
    rows.push(
      [
        'stored',
        `${formatSize(counters.replicaBytes)} in ${plural(spec.replicaCount, 'copy', 'copies')}`,
      ],
      ['from ufs', ufsText(status)],
      ['from peers', formatSize(counters.copiedBytes)],
    );
  }
  if (counters.checkedFiles + counters.uncheckedFiles > 0) {
    rows.push(['checksums', checksumsText(counters)]);
  }
  rows.push(['tasks', tasksText(counters, status.retryQueueLength)]);
  const { certificate } = status;
  if (certificate) rows.push(['certificate', certificateText(certificate)]);
  else if (status.digest !== undefined) rows.push(['digest', printable(status.digest)]);
  if (status.stale) rows.push(['note', 'from a checkpoint: no leader confirms it at the moment']);
  return rows;
}

/** What a job loads, in a few words. */
export function loadedText({ path, paths, index }: JobStatus['spec']): string {
  if (index !== undefined) return `${path} (list)`;
  return paths === undefined ? path : `${path} … (${paths.length} paths)`;
}

function stateText({ state, failure, pass, queuePlace }: JobStatus): string {
  if (queuePlace !== undefined) return `${state}, place ${queuePlace} in the queue`;
  const why = failure ? ` (${failure.code}: ${printable(failure.message)})` : '';
  return `${state}${why}${pass > 1 ? `, pass ${pass}` : ''}`;
}

function optionsText({ spec }: JobStatus): string {
  const bandwidth = spec.bandwidthBps;
  return [
    `replicas ${spec.replicaCount}`,
    spec.segmented ? `segments of ${formatSize(spec.segmentSizeBytes)}` : 'files not segmented',
    ...(spec.skipIfExists ? ['skip if exists'] : []),
    ...(spec.reload ? ['reload'] : []),
    ...(spec.metadataOnly ? ['metadata only'] : []),
    ...(spec.verify ? ['verify'] : []),
    ...(spec.partialListing ? ['partial listing'] : []),
    ...(bandwidth === undefined ? [] : [`at most ${formatRate(bandwidth)} per peer`]),
    ...(spec.fileFilterRegex === undefined
      ? []
      : [`names like ${printable(spec.fileFilterRegex)}`]),
    ...filterTexts(spec),
    ...(spec.priority === undefined ? [] : [`priority ${spec.priority}`]),
  ].join(', ');
}

function filterTexts(spec: JobStatus['spec']): string[] {
  const { include = [], exclude = [], minSizeBytes, maxSizeBytes } = spec;
  const { modifiedAfterMs, modifiedBeforeMs } = spec;
  return [
    ...include.map((glob) => `like ${printable(glob)}`),
    ...exclude.map((glob) => `not like ${printable(glob)}`),
    ...(minSizeBytes === undefined ? [] : [`of ${formatSize(minSizeBytes)} or more`]),
    ...(maxSizeBytes === undefined ? [] : [`of ${formatSize(maxSizeBytes)} or less`]),
    ...(modifiedAfterMs === undefined ? [] : [`modified after ${formatTime(modifiedAfterMs)}`]),
    ...(modifiedBeforeMs === undefined ? [] : [`modified before ${formatTime(modifiedBeforeMs)}`]),
  ];
}

function filesText({ counters, listingDone }: JobStatus): string {
  const parts = [
    `${formatCount(counters.loadedFiles)} loaded`,
    `${formatCount(counters.skippedFiles)} skipped`,
    `${formatCount(counters.failedFiles)} failed`,
    `${formatCount(counters.filteredFiles)} filtered`,
  ];
  const soFar = listingDone ? '' : ' so far';
  return `${formatCount(counters.listedFiles)} listed${soFar}: ${parts.join(', ')}`;
}

function bytesText({ counters, listingDone }: JobStatus): string {
  const listed = `${formatSize(counters.listedBytes)} listed${listingDone ? '' : ' so far'}`;
  const failed = counters.failedBytes === 0 ? '' : `, ${formatSize(counters.failedBytes)} failed`;
  return `${listed}: ${formatSize(counters.loadedBytes)} loaded, ${formatSize(counters.skippedBytes)} skipped${failed}`;
}

function averageBps({ counters, elapsedMs }: JobStatus): number | undefined {
  if (elapsedMs < 1 || counters.loadedBytes <= 0) return undefined;
  return (1000 * counters.loadedBytes) / elapsedMs;
}

function ufsText({ counters, amplification }: JobStatus): string {
  const times = amplification === undefined ? '' : `, amplification ${amplification.toFixed(3)}`;
  return `${formatSize(counters.ufsBytes)}${times}`;
}

function checksumsText({ checkedFiles, uncheckedFiles }: JobCounters): string {
  const matching = `${plural(checkedFiles, 'file matches', 'files match')} the object's checksum`;
  if (uncheckedFiles === 0) return matching;
  return `${matching}, of ${formatCount(uncheckedFiles)} the origin gave none to compare`;
}

function tasksText(counters: JobCounters, retryQueueLength: number): string {
  const waiting = retryQueueLength === 0 ? '' : `, ${formatCount(retryQueueLength)} waiting`;
  return `${formatCount(counters.taskCount)}: ${formatCount(counters.retriedTaskCount)} retried, ${formatCount(counters.failedTaskCount)} failed${waiting}`;
}

function peerTable(peers: readonly PeerRow[]): string[] {
  if (peers.length === 0) return [];
  return [
    '',
    ...tableLines(
      [
        { title: 'PEER' },
        { title: 'SEGMENTS', align: 'right' },
        { title: 'STORED', align: 'right' },
        { title: 'FROM UFS', align: 'right' },
        { title: 'FROM PEERS', align: 'right' },
        { title: 'IN FLIGHT', align: 'right' },
      ],
      peers.map((peer) => [
        printable(peer.address),
        formatCount(peer.segmentCount),
        formatSize(peer.storedBytes),
        formatSize(peer.ufsBytes),
        formatSize(peer.copiedBytes),
        formatCount(peer.inflightTaskCount),
      ]),
    ),
  ];
}

function certificateText(certificate: Certificate): string {
  const { segmentCount, digest, recordCount, recordDigest, epoch } = certificate;
  return `segments ${formatCount(segmentCount)} ${printable(digest)}, records ${formatCount(recordCount)} ${printable(recordDigest)}, epoch ${epoch}`;
}

/** What each peer was certified to hold. */
function certificateTable(certificate: Certificate | undefined): string[] {
  if (!certificate || certificate.peers.length === 0) return [];
  return [
    '',
    ...tableLines(
      [
        { title: 'CERTIFIED PEER' },
        { title: 'SEGMENTS', align: 'right' },
        { title: 'BYTES', align: 'right' },
        { title: 'DIGEST' },
        { title: 'RECORDS', align: 'right' },
        { title: 'DIGEST' },
      ],
      certificate.peers.map((peer) => [
        printable(peer.address === '' ? peer.peerId : peer.address),
        formatCount(peer.segmentCount),
        formatSize(peer.bytes),
        printable(peer.digest),
        formatCount(peer.recordCount),
        printable(peer.recordDigest),
      ]),
    ),
  ];
}

function failedFiles({ failedFiles: files, counters, failedFilesSavedTo }: JobStatus): string[] {
  if (files.length === 0) return [];
  const shown = files.slice(0, FAILED_FILES_SHOWN_MAX).map(failedLine);
  const total = Math.max(counters.failedFiles, files.length);
  const rest = total - shown.length;
  return [
    '',
    `failed files (${formatCount(total)}):`,
    ...shown,
    ...(rest > 0 ? [`  … and ${formatCount(rest)} more`] : []),
    ...(failedFilesSavedTo === undefined
      ? []
      : [`all of them are listed in ${printable(failedFilesSavedTo)} on the leader`]),
  ];
}

function failedLine(file: FailedFile): string {
  return `  ${printable(file.path)}  ${file.code}: ${printable(file.message)}`;
}
