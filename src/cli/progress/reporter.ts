/**
 * Progress of a job on stderr: one line rewritten in place on a screen, else a plain line every
 * ten seconds and whenever the job's state changes. Knows no clock: the caller says what time it
 * is, so a test can say so too.
 */
import type { JobStatus } from '../../job/job-status.ts';
import { renderBar } from './bar.ts';
import { plainLine } from './plain-line.ts';
import { RateMeter } from './rate-meter.ts';
import { type ProgressView, progressView } from './view.ts';

export const PLAIN_INTERVAL_MS = 10_000;
const CLEAR_LINE = '\r\u001b[K';

/** Where a reporter writes; the terminal in the program, a list in tests. */
export interface ProgressSink {
  readonly isInteractive: boolean;
  readonly stderrColumns: number;
  readonly colorAllowed: boolean;
  draw(text: string): void;
  message(text: string): void;
}

export class ProgressReporter {
  readonly #sink: ProgressSink;
  readonly #bytes = new RateMeter();
  readonly #files = new RateMeter();
  #frame = 0;
  #hasLine = false;
  #lastStatus: JobStatus | undefined;
  #lastPlainMs = Number.NEGATIVE_INFINITY;
  #lastState = '';

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  /** @param nowMs monotonic */
  update(status: JobStatus, nowMs: number): void {
    const { loadedBytes, loadedFiles } = status.counters;
    this.#bytes.add(nowMs, loadedBytes);
    this.#files.add(nowMs, loadedFiles);
    this.#lastStatus = status;
    this.#show(status, nowMs, status.stale ? 'no leader' : '');
  }

  /** Nobody answers at the moment; the last known figures stay. */
  outage(text: string, nowMs: number): void {
    if (this.#lastStatus) this.#show(this.#lastStatus, nowMs, text);
  }

  /** A message between two drawings of the bar. */
  interject(text: string): void {
    this.clear();
    this.#sink.message(text);
  }

  /** Takes the bar off the screen; the next update draws it again. */
  clear(): void {
    if (!this.#hasLine) return;
    this.#sink.draw(CLEAR_LINE);
    this.#hasLine = false;
  }

  #show(status: JobStatus, nowMs: number, note: string): void {
    const rates = {
      bytesPerSecond: this.#bytes.perSecond(),
      filesPerSecond: this.#files.perSecond(),
    };
    const view = progressView(status, rates, note);
    if (this.#sink.isInteractive) this.#drawBar(view);
    else this.#printPlain(view, nowMs);
  }

  #drawBar(view: ProgressView): void {
    const bar = renderBar(view, {
      columns: this.#sink.stderrColumns,
      color: this.#sink.colorAllowed,
      frame: this.#frame++,
    });
    this.#sink.draw(`${CLEAR_LINE}${bar}`);
    this.#hasLine = true;
  }

  #printPlain(view: ProgressView, nowMs: number): void {
    const isDue = nowMs - this.#lastPlainMs >= PLAIN_INTERVAL_MS;
    if (!isDue && view.state === this.#lastState) return;
    this.#lastPlainMs = nowMs;
    this.#lastState = view.state;
    this.#sink.message(plainLine(view));
  }
}
