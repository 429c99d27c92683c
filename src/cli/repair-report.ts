/** How far the members are with moving data after a change of the ring, as lines for people. */
import type { ClusterView, RepairView } from '../http/services.ts';
import { formatCount, formatRate, formatSize, plural, printable, tableLines } from './format.ts';

/** One line for the whole cluster. */
export function repairText({ repair, members }: ClusterView): string {
  const missing = sumOf(repair, 'missingSegments');
  const silentCount = members.length - repair.length;
  const notes = [
    ...(missing > 0 ? [`${plural(missing, 'segment')} without a copy`] : []),
    ...(silentCount > 0 ? [`${plural(silentCount, 'member')} without an answer`] : []),
  ];
  return [progressText(repair), ...notes].join(', ');
}

function progressText(repair: readonly RepairView[]): string {
  const busy = repair.filter(({ idle }) => !idle);
  if (busy.length === 0) return 'in order';
  const left = `${formatSize(sumOf(busy, 'leftBytes'))} in ${plural(sumOf(busy, 'leftSegments'), 'copy', 'copies')}`;
  const files = plural(sumOf(busy, 'leftFiles'), 'file');
  const moved = formatSize(sumOf(busy, 'movedBytes'));
  return `${moved} moved, ${left} and ${files} to look at left, ${formatRate(sumOf(busy, 'bytesPerSecond'))}`;
}

/** A table of the members that are at work; empty when none is. */
export function repairTable({ repair, members }: ClusterView): string[] {
  const busy = repair.filter(({ idle }) => !idle);
  if (busy.length === 0) return [];
  const addressOf = new Map(members.map(({ id, address }) => [id, address]));
  const columns = ['MOVED', 'COPIES', 'LEFT', 'COPIES LEFT', 'FILES LEFT', 'RATE'];
  return tableLines(
    [{ title: 'REPAIRING' }, ...columns.map((title) => ({ title, align: 'right' as const }))],
    busy.map((view) => [
      printable(addressOf.get(view.id) ?? view.id),
      formatSize(view.movedBytes),
      formatCount(view.movedSegments),
      formatSize(view.leftBytes),
      formatCount(view.leftSegments),
      formatCount(view.leftFiles),
      formatRate(view.bytesPerSecond),
    ]),
  );
}

type Figure = Exclude<keyof RepairView, 'id' | 'epoch' | 'idle'>;

function sumOf(views: readonly RepairView[], figure: Figure): number {
  return views.reduce((sum, view) => sum + view[figure], 0);
}
