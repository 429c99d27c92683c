/**
 * What the files of one pass count for: each file's units, bytes and outcome, and when it is over.
 *
 * A file is over when all its units are settled, or when it failed and no task of it is out any
 * more. Invariant: files that are over obey `listed = loaded + skipped + failed + filtered`.
 */
import { invariant } from '../base/invariant.ts';
import type { WireError } from '../base/errors.ts';
import type { UfsObject } from '../ufs/under-store.ts';
import type { FileRun, FileWindow } from './file-run.ts';
import type { TaskResult } from './protocol.ts';
import type { TaskRun, Unit } from './unit.ts';

export interface AccountOptions {
  readonly segmentSizeBytes: number;
  /** Files are compared with the checksums of their objects, and counted so. */
  readonly countsChecks: boolean;
  /** Asked when all of a file is stored; false: it is not over, what comes of it is decided. */
  readonly isSound: (file: FileRun) => boolean;
}

export class PassAccount {
  readonly #window: FileWindow;
  readonly #options: AccountOptions;
  /** Failed files that wait for the answers to their last tasks. */
  readonly #failing = new Set<FileRun>();

  constructor(window: FileWindow, options: AccountOptions) {
    this.#window = window;
    this.#options = options;
  }

  /** `task.owner` holds the unit; true when it had not said so before. */
  takeStored({ unit, owner, kind }: TaskRun, result: TaskResult): boolean {
    if (unit.acknowledged.includes(owner)) return false;
    unit.acknowledged = [...unit.acknowledged, owner];
    if (result.digest !== undefined) {
      this.#window.hold(unit.file, owner, unit.length, result.digest);
    }
    if (result.recordDigest !== undefined) {
      this.#window.holdRecord(unit.file, owner, result.recordDigest);
    }
    if (unit.closed) return true;
    this.#countStored(unit, result.status === 'loaded', kind === 'relay');
    this.#noteChecks(unit, result);
    const { attributes } = result;
    if (attributes) unit.file.object = { ...unit.file.object, attributes };
    return true;
  }

  #noteChecks(unit: Unit, { sum, isChecked }: TaskResult): void {
    const { file, index, length } = unit;
    if (isChecked === true && file.unitCount === 1) file.isChecked = true;
    if (sum === undefined || unit.summed || !file.check) return;
    unit.summed = true;
    file.check.add(index * this.#options.segmentSizeBytes, length, sum);
  }

  #countStored(unit: Unit, loaded: boolean, relayed: boolean): void {
    const { file } = unit;
    const { counted } = file;
    const isFirst = !unit.counted;
    unit.counted = true;
    counted.taskCount += 1;
    if (loaded && relayed) counted.relayedBytes += unit.length;
    else if (loaded) counted.replicaBytes += unit.length;
    if (loaded && isFirst) counted.loadedBytes += unit.length;
    if (!loaded && isFirst) counted.skippedBytes += unit.length;
    if (loaded && !relayed && unit.index === 0) counted.replicaFiles += 1;
    file.loaded ||= loaded;
  }

  countRetry({ counted }: FileRun): void {
    counted.retriedTaskCount += 1;
  }

  countMoved({ counted }: FileRun): void {
    counted.movedTaskCount += 1;
  }

  unitSettled({ file }: Unit): void {
    file.settledCount += 1;
    this.settleIfOver(file);
  }

  /** None of the file's bytes count as loaded any more. */
  fail(file: FileRun, { code, message }: WireError): void {
    invariant(!file.failure, `${file.object.path} failed twice`);
    file.failure = { code, message };
    this.#failing.add(file);
    const { counted } = file;
    counted.failedTaskCount += 1;
    counted.taskCount += 1;
    counted.failedBytes = file.object.sizeBytes;
    counted.loadedBytes = 0;
    counted.skippedBytes = 0;
  }

  /** The file begins again as another version, cut into `unitCount` units. */
  restart(file: FileRun, found: UfsObject, unitCount: number): void {
    file.object = found;
    file.unitCount = unitCount;
    file.openedCount = 0;
    file.settledCount = 0;
    file.loaded = false;
    // The segments of the old version stay leased; its record gives way to that of the new one.
    for (const { sum } of file.held) sum.forgetRecords();
    this.#window.resize(file, found.sizeBytes);
    const { counted } = file;
    counted.loadedBytes = 0;
    counted.skippedBytes = 0;
    counted.replicaBytes = 0;
    counted.replicaFiles = 0;
  }

  settleIfOver(file: FileRun): void {
    if (file.settled) return;
    const isOut = file.inflightCount > 0 || file.discardCount > 0;
    if (file.failure ? isOut : file.settledCount < file.unitCount) return;
    if (!file.failure && !this.#options.isSound(file)) return;
    file.settled = true;
    this.#failing.delete(file);
    const { counted } = file;
    if (file.failure) counted.failedFiles = 1;
    else if (file.loaded) counted.loadedFiles = 1;
    else counted.skippedFiles = 1;
    if (!this.#options.countsChecks || file.object.sizeBytes === 0) return;
    if (file.failure || !file.loaded) return;
    if (file.isChecked || file.check?.verdict() === 'match') counted.checkedFiles = 1;
    else counted.uncheckedFiles = 1;
  }

  /** Settles failed files whose last tasks were answered or given up. */
  settleFailed(): void {
    for (const file of this.#failing) this.settleIfOver(file);
  }
}
