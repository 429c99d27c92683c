/** What a verification found, for people. */
import type { CopySums, Difference, VerifyProgress, VerifyReport } from '../verify/report.ts';
import { fieldLines, formatCount, formatSize, plural, printable, tableLines } from './format.ts';

const SHOWN_MAX_COUNT = 50;

export function verifyReportLines(report: VerifyReport): string[] {
  const { checked, differences } = report;
  return [
    ...fieldLines([
      ['path', printable(report.path)],
      ['job', report.jobId],
      ['verdict', report.equal ? 'EQUAL' : 'DIFFERENT'],
      ['certified', sumsText(report.certified)],
      ['found', sumsText(report.found)],
      ['checked', progressText(checked)],
      ['differences', countsText(report)],
      ['ring', `epoch ${report.epoch}`],
    ]),
    ...(differences.length === 0 ? [] : ['', ...differenceTable(differences)]),
    ...restLines(report),
    ...(report.notes.length === 0 ? [] : ['']),
    ...report.notes.map((note) => `note: ${printable(note)}`),
  ];
}

export function progressText(progress: VerifyProgress): string {
  const { fileCount, copyCount, bytes } = progress;
  return `${plural(fileCount, 'file')}, ${plural(copyCount, 'copy', 'copies')} of segments, ${formatSize(bytes)}`;
}

function sumsText(sums: CopySums): string {
  return `${plural(sums.segmentCount, 'segment')} ${sums.digest}, ${plural(sums.recordCount, 'record')} ${sums.recordDigest}`;
}

function countsText({ counts, repaired }: VerifyReport): string {
  const found = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${formatCount(count)} ${kind}`);
  const mended = [
    ...(repaired.fromPeer > 0 ? [`${formatCount(repaired.fromPeer)} repaired from peers`] : []),
    ...(repaired.fromUfs > 0 ? [`${formatCount(repaired.fromUfs)} repaired from the ufs`] : []),
    ...(repaired.failed > 0 ? [`${formatCount(repaired.failed)} not repaired`] : []),
  ];
  return [...(found.length === 0 ? ['none'] : found), ...mended].join(', ');
}

function differenceTable(differences: readonly Difference[]): string[] {
  return tableLines(
    [
      { title: 'KIND' },
      { title: 'SEGMENT', align: 'right' },
      { title: 'PEER' },
      { title: 'REPAIRED' },
      { title: 'PATH' },
    ],
    differences
      .slice(0, SHOWN_MAX_COUNT)
      .map(({ kind, segment, peerId, repaired, path, message }) => [
        kind,
        segment === undefined ? 'record' : String(segment),
        peerId ?? '-',
        repaired ?? '-',
        printable(message === undefined ? path : `${path} (${message})`),
      ]),
  );
}

function restLines({ differences, checked }: VerifyReport): string[] {
  const shown = Math.min(SHOWN_MAX_COUNT, differences.length);
  const restCount = checked.differenceCount - shown;
  return restCount > 0 ? [`… and ${formatCount(restCount)} more`] : [];
}
