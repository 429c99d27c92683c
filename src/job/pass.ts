/**
 * One pass of a job run: lists the path once and settles every file of it.
 *
 * Pure. It takes in pages, answers and changes of the ring, and emits what is to be done; what a
 * settled listing proves, and what follows, is the run's to decide. Memory is bounded by the
 * limits' windows, whatever the job's size.
 */
import type { WireError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Random } from '../base/random.ts';
import type { ObjectChecksum, UfsObject } from '../ufs/under-store.ts';
import { comparePaths } from '../ufs/path.ts';
import { Assigner } from './assigner.ts';
import { FileRestarts } from './file-restarts.ts';
import type { FileFilter } from './file-filter.ts';
import { openFile, type FileRun, type FileWindow } from './file-run.ts';
import { Fifo } from './fifo.ts';
import type { IncidentLog } from './incident-log.ts';
import { OriginChecks } from './origin-checks.ts';
import { PassAccount } from './pass-account.ts';
import type { JobPage, UnlistedRoot } from './root-pages.ts';
import type { Placement } from './placement.ts';
import type { PassRef, TaskResult } from './protocol.ts';
import type { RunLimits } from './run-contract.ts';
import { isWireError, type RunEffect } from './run-events.ts';
import type { JobSpec } from './spec.ts';
import { buildBatch } from './task-batch.ts';
import { TaskFailures } from './task-failures.ts';
import { cutUnit, unitCountOf, type TaskRun } from './unit.ts';

const LIST_PAGE_MAX_COUNT = 1000;

export interface PassOptions {
  readonly ref: PassRef;
  readonly spec: JobSpec;
  readonly limits: RunLimits;
  readonly accepts: FileFilter;
  /** What is settled already when the pass goes on from a checkpoint. */
  readonly window: FileWindow;
  readonly listingDone: boolean;
  readonly placement: Placement;
  readonly random: Random;
  readonly firstTaskId: number;
  /** A segment may lie where nobody would look for it now: ask peers before the under store. */
  readonly askPeersFirst: boolean;
  /** Objects that earlier passes found not to match their checksums; added to. */
  readonly corrupt: Set<string>;
  readonly incidents: IncidentLog;
  readonly emit: (effect: RunEffect) => void;
  /** The job cannot succeed, whatever becomes of other files. */
  readonly failJob: (error: WireError) => void;
}

export class Pass {
  readonly #options: PassOptions;
  readonly #assigner: Assigner;
  readonly #account: PassAccount;
  readonly #restarts = new FileRestarts();
  readonly #toOpen = new Fifo<FileRun>();
  readonly #checks: OriginChecks;
  readonly #failures: TaskFailures;
  #placement: Placement;
  #listed: string | undefined;
  #listing = false;
  #listingDone: boolean;
  #nowMs = 0;

  constructor(options: PassOptions) {
    const { limits, spec, placement, random, firstTaskId, askPeersFirst } = options;
    const { replicaCount, segmented, batchSize } = spec;
    this.#options = options;
    this.#placement = placement;
    this.#checks = new OriginChecks({
      segmentSizeBytes: spec.segmentSizeBytes,
      corrupt: options.corrupt,
      emit: options.emit,
      refetch: (file) => {
        this.#refetch(file);
      },
      fail: (file, error) => {
        this.#failFile(file, error);
      },
    });
    this.#account = new PassAccount(options.window, {
      segmentSizeBytes: spec.segmentSizeBytes,
      // Later passes find resident what the first one checked and counted.
      countsChecks: options.ref.pass === 1 && !spec.metadataOnly,
      isSound: (file) => this.#checks.isSound(file),
    });
    this.#listed = options.window.cursor;
    this.#listingDone = options.listingDone;
    this.#assigner = new Assigner({
      ...{ limits, placement, random, firstTaskId, askPeersFirst },
      shape: { replicaCount, segmented, batchSize },
      onSettled: (unit) => {
        this.#account.unitSettled(unit);
      },
      onMoved: (unit) => {
        this.#account.countMoved(unit.file);
      },
    });
    this.#failures = new TaskFailures({
      limits,
      assigner: this.#assigner,
      account: this.#account,
      incidents: options.incidents,
      failJob: options.failJob,
      failFile: (file, error) => {
        this.#failFile(file, error);
      },
      restat: (task, error) => {
        this.#restat(task, error);
      },
    });
  }

  get window(): FileWindow {
    return this.#options.window;
  }
  get listingDone(): boolean {
    return this.#listingDone;
  }
  /** Every listed file is over, and there are no more. */
  get isSettled(): boolean {
    return this.#listingDone && this.window.length === 0;
  }
  get restingCount(): number {
    return this.#assigner.restingCount;
  }
  get openUnitCount(): number {
    return this.#assigner.openUnitCount;
  }
  get nextTaskId(): number {
    return this.#assigner.nextTaskId;
  }
  outCountOf(peer: PeerId): number {
    return this.#assigner.outCountOf(peer);
  }

  setPlacement(placement: Placement): void {
    this.#placement = placement;
    this.#assigner.setPlacement(placement);
  }

  losePeer(peer: PeerId): void {
    this.#assigner.losePeer(peer);
  }

  /** Does all that the state allows now. */
  pump(nowMs: number): void {
    this.#nowMs = nowMs;
    this.settleWhatIsOver();
    this.#openUnits();
    this.#listMore();
    this.#sendBatches();
    this.window.mergeSettled();
  }

  /** Also between passes: late answers end what was waiting for them. */
  settleWhatIsOver(): void {
    for (const { file, found } of this.#restarts.takeReady()) if (found) this.#restart(file, found);
    this.#account.settleFailed();
    this.window.mergeSettled();
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const task of this.#assigner.tick(nowMs)) this.#failures.takeSilence(task, nowMs);
    for (const { to, taskIds, alsoRunning } of this.#assigner.takeRecalls(nowMs)) {
      const recall = { ...this.#options.ref, taskIds, alsoRunning };
      this.#options.emit({ kind: 'recall', to, recall });
    }
  }

  // --- listing ---

  #listMore(): void {
    if (this.#listing || this.#listingDone) return;
    // Why not whatever room there is: pages of a few files cost a request each.
    const { windowFiles } = this.#options.limits;
    const limit = Math.min(LIST_PAGE_MAX_COUNT, Math.max(1, Math.floor(windowFiles / 4)));
    if (this.window.length + limit > windowFiles) return;
    this.#listing = true;
    this.#options.emit({ kind: 'list', after: this.#listed, limit });
  }

  takePage(page: JobPage): void {
    if (!this.#listing) return;
    this.#listing = false;
    const { unlisted = [] } = page;
    let toldCount = 0;
    for (const object of page.objects) {
      for (let root = unlisted[toldCount]; root; root = unlisted[toldCount]) {
        if (comparePaths(root.path, object.path) > 0) break;
        this.#addUnlisted(root);
        toldCount += 1;
      }
      this.#addFile(object);
    }
    for (const root of unlisted.slice(toldCount)) this.#addUnlisted(root);
    if (page.cursor !== undefined) this.#listed = page.cursor;
    this.#listingDone = page.done;
  }

  /** Counts as a file that failed, in its place. */
  #addUnlisted({ path, error }: UnlistedRoot): void {
    const file = openFile({ path, sizeBytes: 0, version: '', mtimeMs: 0 }, 0);
    this.window.add(file);
    this.#failFile(file, error);
  }

  #addFile(object: UfsObject): void {
    if (!this.#options.accepts(object)) {
      this.window.addFiltered(object);
      return;
    }
    const file = openFile(object, this.#unitCountOf(object));
    this.window.add(file);
    // Why not once more: nobody can tell by now which copies, if any, were forgotten.
    const corruption = this.#checks.corruptionOf(file);
    if (corruption) this.#failFile(file, corruption);
    else this.#toOpen.push(file);
  }

  #unitCountOf({ sizeBytes }: UfsObject): number {
    const { segmentSizeBytes, metadataOnly } = this.#options.spec;
    return unitCountOf(sizeBytes, segmentSizeBytes, metadataOnly);
  }

  #openUnits(): void {
    const { segmentSizeBytes, metadataOnly } = this.#options.spec;
    while (this.#assigner.openUnitCount < this.#options.limits.windowUnits) {
      const file = this.#toOpen.peek();
      if (!file) return;
      if (file.failure !== undefined || file.openedCount >= file.unitCount) {
        this.#toOpen.shift();
        continue;
      }
      if (this.#checks.awaitsChecksum(file)) {
        // It takes its place in line again when the answer is there.
        this.#toOpen.shift();
        continue;
      }
      const unit = cutUnit(file, file.openedCount, segmentSizeBytes, metadataOnly);
      file.openedCount += 1;
      this.#assigner.open(unit);
    }
  }

  takeChecksum(answer: { path: string; version: string; found: ObjectChecksum | undefined }): void {
    const file = this.#checks.takeChecksum(answer);
    if (file) this.#toOpen.push(file);
  }

  takeDiscarded(path: string): void {
    const file = this.#checks.takeDiscarded(path);
    if (file?.failure) this.#account.settleIfOver(file);
    else if (file) this.#refetch(file);
  }

  #refetch(file: FileRun): void {
    file.check?.reset();
    this.#restart(file, file.object);
  }

  // --- assignment and answers ---

  #sendBatches(): void {
    const { ref, spec, limits, emit } = this.#options;
    const { taskRetryMaxCount, followMinBytes } = limits;
    const context = {
      ...{ pass: ref, epoch: this.#placement.epoch, spec, taskRetryMaxCount, followMinBytes },
    };
    for (const batch of this.#assigner.takeBatches(this.#nowMs)) {
      emit({ kind: 'send', to: batch.to, batch: buildBatch(context, batch) });
    }
  }

  batchTaken(to: PeerId, window: { windowTasks: number; windowBytes: number }): void {
    this.#assigner.acknowledge(to, window);
  }

  batchFailed(to: PeerId, taskIds: readonly number[], nowMs: number): void {
    this.#assigner.returnBatch(to, taskIds, nowMs);
  }

  takeBegun(from: PeerId, taskIds: readonly number[]): void {
    for (const id of taskIds) this.#assigner.begun(from, id);
  }

  /** @returns whether an owner holds something that it had not acknowledged before. */
  takeResults(from: PeerId, results: readonly TaskResult[], nowMs: number): boolean {
    this.#nowMs = nowMs;
    this.#assigner.hear(from, nowMs);
    let held = false;
    for (const result of results) {
      const stored = result.status !== 'failed';
      const answered = this.#assigner.takeAnswered(from, result.id, { stored, nowMs });
      if (!answered) continue;
      const { task, isLate } = answered;
      if (stored) held = this.#takeStored(task, result) || held;
      else if (!isLate) this.#failures.take(task, result.error ?? NO_REASON, nowMs);
      this.#account.settleIfOver(task.unit.file);
    }
    return held;
  }

  #takeStored(task: TaskRun, result: TaskResult): boolean {
    const isNew = this.#account.takeStored(task, result);
    if (!task.unit.closed) this.#assigner.addHolder(task);
    return isNew;
  }

  #failFile(file: FileRun, error: WireError): void {
    if (file.failure) return;
    const { path } = file.object;
    this.#account.fail(file, error);
    this.#restarts.end(path);
    this.#assigner.closeAll(file);
    const failure = { path, code: error.code, message: error.message };
    this.#options.incidents.fileFailed(failure);
    this.#options.emit({ kind: 'file-failed', failure });
    this.#account.settleIfOver(file);
  }

  // --- files that change under us ---

  /** The object is another version now, or gone: look again before anything else of it is done. */
  #restat(task: TaskRun, error: WireError): void {
    const { file } = task.unit;
    const { restartMaxCount } = this.#options.limits;
    if (!this.#restarts.isUnderWay(file) && file.restartCount >= restartMaxCount) {
      this.#failures.fail(task, error);
      return;
    }
    this.#assigner.park(task.unit);
    if (!this.#restarts.report(task, error)) return;
    file.restartCount += 1;
    file.openedCount = file.unitCount;
    this.#options.emit({ kind: 'stat', path: file.object.path });
  }

  takeStat(path: string, found: UfsObject | WireError): void {
    const restart = this.#restarts.of(path);
    if (!restart || restart.found) return;
    const { file, reports, openedCount } = restart;
    if (isWireError(found)) {
      this.#failFile(file, found);
    } else if (!isSameObject(file.object, found)) {
      this.#assigner.closeAll(file);
      restart.found = found;
    } else {
      // Why: an owner saw an answer of the store that does not hold any more; what is done counts.
      this.#restarts.end(path);
      file.openedCount = openedCount;
      this.#toOpen.push(file);
      for (const { task, error } of reports) {
        if (!task.unit.closed) this.#failures.retry(task, error, this.#nowMs);
      }
    }
  }

  /** Everything of the old version is over: the file begins again as the new one. */
  #restart(file: FileRun, found: UfsObject): void {
    if (found.version !== file.object.version) {
      file.isChecksumTold = false;
      file.check = undefined;
      file.isRefetched = false;
    }
    this.#account.restart(file, found, this.#unitCountOf(found));
    this.#toOpen.push(file);
  }
}

const NO_REASON: WireError = { code: 'internal', message: 'the owner gave no reason' };

function isSameObject(a: UfsObject, b: UfsObject): boolean {
  return a.version === b.version && a.sizeBytes === b.sizeBytes;
}
