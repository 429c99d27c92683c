/**
 * How far repair on this peer is: what the change of the ring is expected to move, what was found
 * to be missing where files were looked at, and what was copied.
 *
 * A forecast is all there is of files not looked at yet; what was found takes its place file by
 * file. Work begins when there is something to do after a rest, and its figures stay until more of
 * it begins.
 */

/** Copies of segments, and their bytes. */
export interface Amount {
  readonly segments: number;
  readonly bytes: number;
}

export const NOTHING: Amount = { segments: 0, bytes: 0 };

export function plus(a: Amount, b: Amount): Amount {
  return { segments: a.segments + b.segments, bytes: a.bytes + b.bytes };
}

/** What is left when `b` is taken from `a`; never less than nothing. */
function without(a: Amount, b: Amount): Amount {
  return {
    segments: Math.max(0, a.segments - b.segments),
    bytes: Math.max(0, a.bytes - b.bytes),
  };
}

export interface RepairWork {
  /** Copies made since the work began. */
  readonly movedSegments: number;
  readonly movedBytes: number;
  /** Copies still to be made, as far as is known. */
  readonly leftSegments: number;
  readonly leftBytes: number;
  /** Files of this peer's catalogue that wait to be looked at. */
  readonly leftFiles: number;
  /** Since the work began. */
  readonly bytesPerSecond: number;
}

export class RepairProgress {
  #beganMs = 0;
  #endedMs: number | undefined = 0;
  #moved = NOTHING;
  /** Of files that were looked at: what their owners lacked. */
  #found = NOTHING;
  /** Expected of all files, and of those among them that were looked at. */
  #forecast = NOTHING;
  #settled = NOTHING;
  #leftFiles = 0;

  begin(nowMs: number): void {
    this.#beganMs = nowMs;
    this.#endedMs = undefined;
    this.#moved = NOTHING;
    this.startRound(0);
  }

  end(nowMs: number): void {
    this.#endedMs = nowMs;
    this.startRound(0);
  }

  /** Files are looked at anew: nothing is known of what is left of them. */
  startRound(fileCount: number): void {
    this.#found = this.#moved;
    this.#forecast = NOTHING;
    this.#settled = NOTHING;
    this.#leftFiles = fileCount;
  }

  expect(amount: Amount): void {
    this.#forecast = plus(this.#forecast, amount);
  }

  /** A file is looked at whose share of the forecast was `expected`. */
  look(expected: Amount): void {
    this.#settled = plus(this.#settled, expected);
  }

  /** Files of a page were looked at, whatever came of it. */
  pass(fileCount: number): void {
    this.#leftFiles = Math.max(0, this.#leftFiles - fileCount);
  }

  find(amount: Amount): void {
    this.#found = plus(this.#found, amount);
  }

  move(amount: Amount): void {
    this.#moved = plus(this.#moved, amount);
  }

  work(nowMs: number): RepairWork {
    const left = plus(without(this.#forecast, this.#settled), without(this.#found, this.#moved));
    const elapsedMs = (this.#endedMs ?? nowMs) - this.#beganMs;
    return {
      movedSegments: this.#moved.segments,
      movedBytes: this.#moved.bytes,
      leftSegments: left.segments,
      leftBytes: left.bytes,
      leftFiles: this.#leftFiles,
      bytesPerSecond: elapsedMs > 0 ? Math.round((this.#moved.bytes * 1000) / elapsedMs) : 0,
    };
  }
}
