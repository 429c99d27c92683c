/**
 * The progress bar as text: a pure function of what is shown and how wide the screen is. What
 * does not fit is left out, least important first; the line never reaches the last column, where
 * some screens would wrap it.
 */
import type { ProgressView } from './view.ts';

const BAR_MIN_WIDTH = 10;
const BAR_MAX_WIDTH = 30;

export interface BarOptions {
  /** Width of the screen in characters. */
  readonly columns: number;
  readonly color: boolean;
  /** Grows with every drawing: moves the mark of a bar whose end is not known. */
  readonly frame: number;
}

export function renderBar(view: ProgressView, options: BarOptions): string {
  const widthMax = Math.max(1, options.columns - 1);
  // Least important last: what is out of the ordinary stays longer than the usual figures.
  const parts = [
    percentOf(view),
    view.bytes,
    view.note,
    view.rate,
    view.eta,
    view.failed,
    view.files,
    view.peers,
  ].filter((part) => part !== '');
  const room = widthMax - view.state.length - 1;
  const kept = fitting(parts, room);
  const tail = inReadingOrder(view, kept).join('  ');
  const left = widthMax - view.state.length - tail.length - 4;
  const bar =
    left >= BAR_MIN_WIDTH
      ? `[${barBody(view.fraction, Math.min(BAR_MAX_WIDTH, left), options.frame)}] `
      : '';
  const plain = `${view.state} ${bar}${tail}`.trimEnd();
  if (plain.length > widthMax) return plain.slice(0, widthMax);
  return options.color ? colored(plain, view) : plain;
}

function fitting(parts: readonly string[], room: number): ReadonlySet<string> {
  const kept = new Set<string>();
  let used = 0;
  for (const part of parts) {
    const cost = part.length + (kept.size === 0 ? 0 : 2);
    if (used + cost > room) break;
    used += cost;
    kept.add(part);
  }
  return kept;
}

function inReadingOrder(view: ProgressView, kept: ReadonlySet<string>): string[] {
  const all = [
    percentOf(view),
    view.bytes,
    view.files,
    view.rate,
    view.eta,
    view.peers,
    view.failed,
    view.note,
  ];
  return all.filter((part) => kept.has(part));
}

export function percentOf(view: ProgressView): string {
  return view.fraction === undefined ? '' : `${Math.floor(view.fraction * 100)}%`;
}

function barBody(fraction: number | undefined, width: number, frame: number): string {
  if (fraction === undefined) {
    const mark = '<=>';
    const span = Math.max(1, 2 * (width - mark.length));
    const phase = frame % span;
    const at = Math.min(phase, span - phase);
    return `${' '.repeat(at)}${mark}`.padEnd(width);
  }
  const filled = Math.floor(fraction * width);
  return `${'='.repeat(filled)}${filled < width ? '>' : ''}`.padEnd(width);
}

function colored(plain: string, view: ProgressView): string {
  const code = STATE_COLORS.get(view.state);
  if (code === undefined || !plain.startsWith(view.state)) return plain;
  return `\u001b[${code}m${view.state}\u001b[0m${plain.slice(view.state.length)}`;
}

const STATE_COLORS: ReadonlyMap<string, number> = new Map([
  ['RUNNING', 36],
  ['VERIFYING', 36],
  ['SUCCEEDED', 32],
  ['FAILED', 31],
  ['STOPPED', 33],
]);
