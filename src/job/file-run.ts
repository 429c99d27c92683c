/**
 * One listed file on its way through a pass, and the window of such files.
 *
 * Files settle in any order; the window merges them in listing order, so that the counters of a
 * checkpoint are exactly those of the files up to its cursor. Nothing here decides anything.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { ExpectedInventory } from '../cluster/job-record.ts';
import type { UfsObject } from '../ufs/under-store.ts';
import {
  addCounters,
  InventorySum,
  sumOf,
  zeroCounters,
  type MutableCounters,
} from './counters.ts';
import { Fifo } from './fifo.ts';
import type { JobCounters } from './job-status.ts';
import type { OriginCheck } from './origin-check.ts';

export interface FileFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface FileRun {
  object: UfsObject;
  /** Units (segments, or one for metadata alone) that the file is cut into. */
  unitCount: number;
  /** Units handed to the scheduler so far. */
  openedCount: number;
  settledCount: number;
  /** Tasks sent to an owner and not yet answered. */
  inflightCount: number;
  /** How often the object was found changed and started over. */
  restartCount: number;
  settled: boolean;
  /** Its sums are part of the window's: what comes later goes there. */
  merged: boolean;
  failure?: FileFailure;
  /** Whether any of its segments was put there by this job. */
  loaded: boolean;
  /** The under store was asked for a checksum of this version, and has answered. */
  isChecksumTold: boolean;
  /** Set when it told one of the whole file. */
  check: OriginCheck | undefined;
  /** Its one segment matched the checksum that came with it. */
  isChecked: boolean;
  /** Owners that are told to forget it, and have not answered. */
  discardCount: number;
  /** It did not match once, and is loaded for the second time. */
  isRefetched: boolean;
  /** What the file adds to the job's counters; final once settled. */
  counted: MutableCounters;
  /** What owners said they hold of it. */
  readonly held: Map<PeerId, InventorySum>;
}

export function openFile(object: UfsObject, unitCount: number): FileRun {
  const counted = zeroCounters();
  counted.listedFiles = 1;
  counted.listedBytes = object.sizeBytes;
  return {
    object,
    unitCount,
    openedCount: 0,
    settledCount: 0,
    inflightCount: 0,
    restartCount: 0,
    settled: false,
    merged: false,
    loaded: false,
    isChecksumTold: false,
    check: undefined,
    isChecked: false,
    discardCount: 0,
    isRefetched: false,
    counted,
    held: new Map(),
  };
}

/** Files between the checkpointed cursor and the end of what was listed. */
export class FileWindow {
  readonly #files = new Fifo<FileRun>();
  /** Counters of the settled prefix. */
  readonly settled: MutableCounters;
  /** Counters of everything seen, settled or not. */
  readonly live: MutableCounters;
  readonly #expected: Map<PeerId, InventorySum>;
  /** Path of the last file of the settled prefix. */
  cursor: string | undefined;

  constructor(start?: {
    readonly counters: MutableCounters;
    readonly expected: Readonly<Record<PeerId, ExpectedInventory>>;
    readonly cursor: string | undefined;
  }) {
    this.settled = start?.counters ?? zeroCounters();
    this.live = { ...this.settled };
    this.cursor = start?.cursor;
    const entries = Object.entries(start?.expected ?? {}) as [PeerId, ExpectedInventory][];
    this.#expected = new Map(entries.map(([peer, sum]) => [peer, new InventorySum(sum)]));
  }

  get length(): number {
    return this.#files.length;
  }

  add(file: FileRun): void {
    this.#files.push(file);
    addCounters(this.live, file.counted);
  }

  /** A file that the filter leaves out: counted, never loaded. */
  addFiltered(object: UfsObject): void {
    const file = openFile(object, 0);
    file.counted.listedBytes = 0;
    file.counted.filteredFiles = 1;
    file.settled = true;
    this.add(file);
    this.mergeSettled();
  }

  /** Changes what an open file counts for, and the live sums with it. */
  count(file: FileRun, change: (counted: MutableCounters) => void): void {
    addCounters(this.live, file.counted, -1);
    change(file.counted);
    addCounters(this.live, file.counted);
  }

  /** `owner` holds one more segment of the file for this pass, however late it says so. */
  hold(file: FileRun, owner: PeerId, lengthBytes: number, digest: string): void {
    sumOf(file.merged ? this.#expected : file.held, owner).add(lengthBytes, digest);
  }

  /** `owner` has the file's record; said once for each owner and version. */
  holdRecord(file: FileRun, owner: PeerId, digest: string): void {
    sumOf(file.merged ? this.#expected : file.held, owner).addRecord(digest);
  }

  /** Merges every settled file at the head of the window. */
  mergeSettled(): void {
    for (let file = this.#files.peek(); file?.settled; file = this.#files.peek()) {
      this.#files.shift();
      file.merged = true;
      addCounters(this.settled, file.counted);
      for (const [peer, sum] of file.held) sumOf(this.#expected, peer).addAll(sum);
      this.cursor = file.object.path;
    }
  }

  expected(): Record<PeerId, ExpectedInventory> {
    const record: Record<PeerId, ExpectedInventory> = {};
    for (const [peer, sum] of this.#expected) record[peer] = sum.toJSON();
    return record;
  }

  /** Invariant check: what is settled accounts for every listed file, exactly. */
  isBalanced(): boolean {
    const sum = (c: JobCounters): number =>
      c.loadedFiles + c.skippedFiles + c.failedFiles + c.filteredFiles;
    return sum(this.settled) === this.settled.listedFiles;
  }
}
