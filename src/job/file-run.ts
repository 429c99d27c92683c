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

export interface HeldSum {
  readonly owner: PeerId;
  readonly sum: InventorySum;
}

export interface FileRun {
  object: UfsObject;
  /** Units (segments, or one for metadata alone) that the file is cut into. */
  unitCount: number;
  /** Units handed to the scheduler so far. */
  openedCount: number;
  settledCount: number;
  /** Of them, those that the scheduler still works on. */
  openUnitCount: number;
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
  readonly counted: MutableCounters;
  /** What owners said they hold of it, one sum for each. */
  held: HeldSum[];
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
    openUnitCount: 0,
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
    held: [],
  };
}

/** Files between the checkpointed cursor and the end of what was listed. */
export class FileWindow {
  readonly #files = new Fifo<FileRun>();
  /** Counters of the settled prefix. */
  readonly settled: MutableCounters;
  /** Of the files that are not merged. */
  #openListedBytes = 0;
  readonly #expected: Map<PeerId, InventorySum>;
  /** Path of the last file of the settled prefix. */
  cursor: string | undefined;

  constructor(start?: {
    readonly counters: MutableCounters;
    readonly expected: Readonly<Record<PeerId, ExpectedInventory>>;
    readonly cursor: string | undefined;
  }) {
    this.settled = start?.counters ?? zeroCounters();
    this.cursor = start?.cursor;
    const entries = Object.entries(start?.expected ?? {}) as [PeerId, ExpectedInventory][];
    this.#expected = new Map(entries.map(([peer, sum]) => [peer, new InventorySum(sum)]));
  }

  get length(): number {
    return this.#files.length;
  }

  /** Counters of everything seen, settled or not: added up when somebody asks. */
  get live(): JobCounters {
    const live = { ...this.settled };
    for (const file of this.#files) addCounters(live, file.counted);
    return live;
  }

  /** Bytes of everything seen, settled or not. */
  get listedBytes(): number {
    return this.settled.listedBytes + this.#openListedBytes;
  }

  add(file: FileRun): void {
    this.#files.push(file);
    this.#openListedBytes += file.counted.listedBytes;
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

  /** An open file turned out to be of another size. */
  resize(file: FileRun, sizeBytes: number): void {
    this.#openListedBytes += sizeBytes - file.counted.listedBytes;
    file.counted.listedBytes = sizeBytes;
  }

  /** `owner` holds one more segment of the file for this pass, however late it says so. */
  hold(file: FileRun, owner: PeerId, lengthBytes: number, digest: string): void {
    this.#sumFor(file, owner).add(lengthBytes, digest);
  }

  /** `owner` has the file's record; said once for each owner and version. */
  holdRecord(file: FileRun, owner: PeerId, digest: string): void {
    this.#sumFor(file, owner).addRecord(digest);
  }

  #sumFor(file: FileRun, owner: PeerId): InventorySum {
    if (file.merged) return sumOf(this.#expected, owner);
    const known = file.held.find((held) => held.owner === owner);
    if (known) return known.sum;
    const sum = new InventorySum();
    file.held.push({ owner, sum });
    return sum;
  }

  /** Merges every settled file at the head of the window. */
  mergeSettled(): void {
    for (let file = this.#files.peek(); file?.settled; file = this.#files.peek()) {
      this.#files.shift();
      file.merged = true;
      this.#openListedBytes -= file.counted.listedBytes;
      addCounters(this.settled, file.counted);
      for (const { owner, sum } of file.held) sumOf(this.#expected, owner).addAll(sum);
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
