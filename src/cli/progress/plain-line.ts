/** Progress as one line of a log file. */
import { percentOf } from './bar.ts';
import type { ProgressView } from './view.ts';

export function plainLine(view: ProgressView): string {
  const figures = [
    percentOf(view),
    view.bytes,
    view.files,
    view.failed,
    view.rate,
    view.eta,
    view.peers,
    view.note,
  ].filter((part) => part !== '');
  return `${view.state} ${figures.join(', ')}`;
}
