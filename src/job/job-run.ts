/**
 * One run of a load job on the leader: listing, assignment, accounting, checkpoints, verdict.
 *
 * Pure: `handle(event, nowMs)` returns the effects to perform; nothing is awaited here. A run goes
 * through passes. A pass lists the path once and settles every file; when it ends, the owners'
 * inventories must equal what they acknowledged in it, under an unchanged ring. If they do not, or
 * the job asked for verification, another pass lists again and loads what is missing; what is
 * resident costs one lookup. The accounting of the last pass is the verdict's.
 *
 * Invariant: settled files obey `listed = loaded + skipped + failed + filtered`.
 */
import { RingloadError, toWireError, type WireError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import { invariant, unreachable } from '../base/invariant.ts';
import type { JobCheckpoint, PeerTally } from '../cluster/job-record.ts';
import type { ListPage, UfsObject } from '../ufs/under-store.ts';
import { Assigner } from './assigner.ts';
import { countersFrom, InventorySum, updateTally, workOf } from './counters.ts';
import { FileRestarts } from './file-restarts.ts';
import { FileWindow, openFile, type FileRun } from './file-run.ts';
import { Fifo } from './fifo.ts';
import { IncidentLog } from './incident-log.ts';
import { InventoryRound } from './inventory-round.ts';
import type { FailedFile, JobCounters, TaskIncident } from './job-status.ts';
import type { TaskRun } from './unit.ts';
import type { Placement } from './placement.ts';
import type { PassRef, ResultFrame, TaskResult } from './protocol.ts';
import { classify } from './retry-policy.ts';
import { isWireError, type RunEffect, type RunEvent } from './run-events.ts';
import type { RunLimits, RunStart, RunView } from './run-contract.ts';
import type { JobSpec } from './spec.ts';
import { buildBatch } from './task-batch.ts';
import { cutUnit, unitCountOf, type Unit } from './unit.ts';

/** Failures that travel in a checkpoint; all of them are on the leader's disk. */
const CHECKPOINT_FAILURE_MAX_COUNT = 100;
const CHECKPOINT_FAILURE_MAX_LENGTH = 32 * 1024;
const LIST_PAGE_MAX_COUNT = 1000;

type Phase = 'loading' | 'comparing' | 'finished';

export class JobRun implements RunView {
  readonly #start: RunStart;
  readonly #limits: RunLimits;
  readonly #spec: JobSpec;
  #placement: Placement;
  #assigner: Assigner;
  #window: FileWindow;
  #phase: Phase = 'loading';
  #pass: number;
  /** Epoch at the start of the pass: a pass that saw another one proves nothing about replicas. */
  #passEpoch: number;
  #listed: string | undefined;
  #listing = false;
  #listingDone = false;
  #toOpen = new Fifo<FileRun>();
  #lastPassCounters: Readonly<Record<string, number>> | undefined;
  /** The comparison of inventories that is under way. */
  #round: InventoryRound | undefined;
  readonly #restarts = new FileRestarts();
  /** Failed files that wait for the answers to their last tasks. */
  readonly #failing = new Set<FileRun>();
  readonly #tallies = new Map<PeerId, PeerTally>();
  readonly #incidents = new IncidentLog();
  #checkpointPending = false;
  #checkpointedMs = -Infinity;
  #nowMs = 0;
  #enoughPeersMs = -1;
  #mismatchCount = 0;
  #effects: RunEffect[] = [];

  constructor(start: RunStart) {
    const { checkpoint } = start;
    this.#start = start;
    this.#limits = start.limits;
    this.#spec = start.spec;
    this.#placement = start.placement;
    this.#pass = checkpoint?.pass ?? 1;
    this.#passEpoch = checkpoint?.cursor === undefined ? start.placement.epoch : checkpoint.epoch;
    this.#lastPassCounters = checkpoint?.lastPassCounters;
    for (const [peer, tally] of Object.entries(checkpoint?.tallies ?? {}) as [
      PeerId,
      PeerTally,
    ][]) {
      this.#tallies.set(peer, tally);
    }
    this.#incidents.restore(checkpoint?.failures ?? [], checkpoint?.lastPassFailures ?? []);
    this.#window = new FileWindow({
      counters: countersFrom(checkpoint?.counters ?? {}),
      expected: checkpoint?.expected ?? {},
      cursor: checkpoint?.cursor,
    });
    this.#listed = checkpoint?.cursor;
    this.#listingDone = checkpoint?.listingDone ?? false;
    this.#assigner = this.#newAssigner(start.firstTaskId ?? 1);
  }

  get state(): 'RUNNING' | 'VERIFYING' {
    return this.#pass > 1 || this.#phase === 'comparing' ? 'VERIFYING' : 'RUNNING';
  }
  get pass(): number {
    return this.#pass;
  }
  get listingDone(): boolean {
    return this.#listingDone;
  }
  /** While a later pass counts files again, the final figures of the one before. */
  get counters(): JobCounters {
    const { live } = this.#window;
    if (!this.#lastPassCounters) return live;
    const { taskCount, failedTaskCount, retriedTaskCount } = live;
    const last = countersFrom(this.#lastPassCounters);
    return { ...last, taskCount, failedTaskCount, retriedTaskCount };
  }
  get retryQueueLength(): number {
    return this.#assigner.restingCount;
  }
  get tallies(): ReadonlyMap<PeerId, PeerTally> {
    return this.#tallies;
  }
  get failures(): readonly FailedFile[] {
    return this.#lastPassCounters ? this.#incidents.lastPassFailures : this.#incidents.failures;
  }
  get failedTasks(): readonly TaskIncident[] {
    return this.#incidents.failedTasks;
  }
  get retryingTasks(): readonly TaskIncident[] {
    return this.#incidents.retryingTasks;
  }
  get passRef(): PassRef {
    return { ...this.#start.ref, pass: this.#pass };
  }
  /** Listed files in memory, at most `windowFiles`. */
  get windowFileCount(): number {
    return this.#window.length;
  }
  /** At most `windowUnits`. */
  get openUnitCount(): number {
    return this.#assigner.openUnitCount;
  }
  outCountOf(peer: PeerId): number {
    return this.#assigner.outCountOf(peer);
  }

  /** Takes one event in; the effects are to be performed in order. */
  handle(event: RunEvent, nowMs: number): readonly RunEffect[] {
    this.#nowMs = nowMs;
    if (this.#enoughPeersMs < 0) this.#enoughPeersMs = nowMs;
    this.#effects = [];
    if (this.#phase !== 'finished') {
      this.#take(event);
      this.#pump();
    }
    return this.#effects;
  }

  #take(event: RunEvent): void {
    switch (event.kind) {
      case 'placement':
        this.#placement = event.placement;
        this.#assigner.setPlacement(event.placement);
        return;
      case 'peer-lost':
        this.#assigner.losePeer(event.peer);
        this.#round?.forget(event.peer);
        return;
      case 'page':
        this.#takePage(event.page);
        return;
      case 'list-failed':
        this.#fail(event.error);
        return;
      case 'stat':
        this.#takeStat(event.path, event.found);
        return;
      case 'batch-taken':
        this.#assigner.acknowledge(event.to, event);
        return;
      case 'batch-failed':
        this.#assigner.returnBatch(event.to, event.taskIds, this.#nowMs);
        return;
      case 'results':
        this.#takeResults(event.from, event.frame);
        return;
      case 'inventory':
        if (event.pass === this.#pass) this.#takeInventory(event.from, event.reply);
        return;
      case 'checkpointed':
        this.#checkpointPending = false;
        return;
      case 'tick':
        for (const task of this.#assigner.tick(this.#nowMs)) this.#takeSilence(task);
        return;
      default:
        unreachable(event);
    }
  }

  /** Does all that the state allows now. */
  #pump(): void {
    if (this.#isFinished()) return;
    for (const { file, found } of this.#restarts.takeReady()) if (found) this.#restart(file, found);
    for (const file of this.#failing) this.#settleIfOver(file);
    this.#window.mergeSettled();
    if (this.#phase === 'loading') {
      this.#checkFeasible();
      if (this.#isFinished()) return;
      this.#openUnits();
      this.#listMore();
      this.#sendBatches();
      this.#window.mergeSettled();
      if (this.#listingDone && this.#window.length === 0) this.#endPass();
    }
    if (this.#phase === 'comparing') this.#compare();
    if (!this.#isFinished()) this.#maybeCheckpoint();
  }

  #isFinished(): boolean {
    return this.#phase === 'finished';
  }

  // --- listing ---

  #listMore(): void {
    if (this.#phase !== 'loading' || this.#listing || this.#listingDone) return;
    // Why not whatever room there is: pages of a few files cost a request each.
    const { windowFiles } = this.#limits;
    const limit = Math.min(LIST_PAGE_MAX_COUNT, Math.max(1, Math.floor(windowFiles / 4)));
    if (this.#window.length + limit > windowFiles) return;
    this.#listing = true;
    this.#effects.push({ kind: 'list', after: this.#listed, limit });
  }

  #takePage(page: ListPage): void {
    if (!this.#listing) return;
    this.#listing = false;
    for (const object of page.objects) this.#addFile(object);
    if (page.cursor !== undefined) this.#listed = page.cursor;
    this.#listingDone = page.done;
  }

  #addFile(object: UfsObject): void {
    if (!this.#start.accepts(object.path)) {
      this.#window.addFiltered(object);
      return;
    }
    const { segmentSizeBytes, metadataOnly } = this.#spec;
    const file = openFile(object, unitCountOf(object.sizeBytes, segmentSizeBytes, metadataOnly));
    this.#window.add(file);
    this.#toOpen.push(file);
  }

  #openUnits(): void {
    while (this.#assigner.openUnitCount < this.#limits.windowUnits) {
      const file = this.#toOpen.peek();
      if (!file) return;
      if (file.failure !== undefined || file.openedCount >= file.unitCount) {
        this.#toOpen.shift();
        continue;
      }
      const { segmentSizeBytes, metadataOnly } = this.#spec;
      const unit = cutUnit(file, file.openedCount, segmentSizeBytes, metadataOnly);
      file.openedCount += 1;
      this.#assigner.open(unit);
    }
  }

  /** Fails the job as soon as it is certain that it cannot succeed. */
  #checkFeasible(): void {
    const { replicaCount, metadataOnly } = this.#spec;
    const { memberCount, capacityBytes } = this.#placement;
    if (memberCount >= replicaCount) this.#enoughPeersMs = this.#nowMs;
    if (this.#nowMs - this.#enoughPeersMs > this.#limits.replicaWaitMs) {
      const message = `${String(replicaCount)} replicas need as many live peers, ${String(memberCount)} are left`;
      this.#fail({ code: 'conflict', message });
      return;
    }
    const neededBytes = this.#window.live.listedBytes * replicaCount;
    if (!metadataOnly && neededBytes > capacityBytes) {
      const message = `the load needs at least ${String(neededBytes)} bytes of cache, the peers have ${String(capacityBytes)}`;
      this.#fail({ code: 'cache_full', message });
    }
  }

  // --- assignment and answers ---

  #sendBatches(): void {
    const context = {
      pass: this.passRef,
      epoch: this.#placement.epoch,
      spec: this.#spec,
      taskRetryMaxCount: this.#limits.taskRetryMaxCount,
    };
    for (const batch of this.#assigner.takeBatches(this.#nowMs)) {
      this.#effects.push({ kind: 'send', to: batch.to, batch: buildBatch(context, batch) });
    }
  }

  #takeResults(from: PeerId, frame: ResultFrame): void {
    this.#tallies.set(from, updateTally(this.#tallies.get(from), frame.generation, frame.tally));
    if (frame.pass !== this.#pass) return;
    this.#assigner.hear(from, this.#nowMs);
    for (const result of frame.results) {
      const answered = this.#assigner.takeAnswered(from, result.id);
      if (!answered) continue;
      const { task, isLate } = answered;
      if (result.status !== 'failed') this.#takeStored(task, result);
      else if (!isLate) this.#takeFailure(task, result.error ?? NO_REASON);
      if (this.#isFinished()) return;
      this.#settleIfOver(task.unit.file);
    }
  }

  #takeStored(task: TaskRun, result: TaskResult): void {
    const { unit, owner } = task;
    const { file } = unit;
    const isRepeated = unit.acknowledged.has(owner);
    unit.acknowledged.add(owner);
    if (result.digest !== undefined && !isRepeated) {
      this.#window.hold(file, owner, unit.length, result.digest);
      this.#round = undefined;
    }
    if (unit.closed) return;
    if (!isRepeated) this.#countStored(unit, result.status === 'loaded');
    this.#assigner.addHolder(task);
  }

  #countStored(unit: Unit, loaded: boolean): void {
    const { file } = unit;
    const isFirst = !unit.counted;
    unit.counted = true;
    this.#window.count(file, (counted) => {
      counted.taskCount += 1;
      if (loaded) counted.replicaBytes += unit.length;
      if (loaded && isFirst) counted.loadedBytes += unit.length;
      if (!loaded && isFirst) counted.skippedBytes += unit.length;
      if (loaded && unit.index === 0) counted.replicaFiles += 1;
    });
    file.loaded ||= loaded;
  }

  #takeFailure(task: TaskRun, error: WireError): void {
    const { unit } = task;
    if (error.code === 'ufs_throttled') this.#assigner.slowDown(this.#nowMs);
    if (unit.closed || unit.file.failure) return;
    const action = classify(error);
    if (action === 'restat') this.#restat(task, error);
    else if (action === 'fail-job') this.#fail(error);
    else if (action === 'fail-file') this.#failTask(task, error);
    else this.#retryTask(task, error, action === 'elsewhere');
  }

  #takeSilence(task: TaskRun): void {
    const seconds = String(Math.round(this.#limits.answerTimeoutMs / 1000));
    const message = `peer ${task.owner} said nothing about the job for ${seconds} s`;
    this.#takeFailure(task, { code: 'deadline_exceeded', message });
  }

  #retryTask(task: TaskRun, error: WireError, elsewhere: boolean): void {
    const { unit } = task;
    if (unit.attempts >= this.#limits.taskRetryMaxCount) {
      this.#failTask(task, error);
      return;
    }
    this.#incidents.taskRetried(task, error);
    this.#window.count(unit.file, (counted) => (counted.retriedTaskCount += 1));
    this.#assigner.retryLater(unit, this.#nowMs, elsewhere);
  }

  #failTask(task: TaskRun, error: WireError): void {
    this.#incidents.taskFailed(task, error);
    this.#failFile(task.unit.file, error);
  }

  /** Called for each unit that all its owners hold. */
  #unitSettled(unit: Unit): void {
    const { file } = unit;
    file.settledCount += 1;
    this.#settleIfOver(file);
  }

  /** A file is over when all its units are, or it failed and nothing of it is out any more. */
  #settleIfOver(file: FileRun): void {
    if (file.settled) return;
    if (file.failure ? file.inflightCount > 0 : file.settledCount < file.unitCount) return;
    file.settled = true;
    this.#failing.delete(file);
    const failed = file.failure !== undefined;
    const loaded = file.loaded;
    this.#window.count(file, (counted) => {
      if (failed) counted.failedFiles = 1;
      else if (loaded) counted.loadedFiles = 1;
      else counted.skippedFiles = 1;
    });
  }

  #failFile(file: FileRun, error: WireError): void {
    if (file.failure) return;
    file.failure = { code: error.code, message: error.message };
    this.#failing.add(file);
    this.#restarts.end(file.object.path);
    this.#assigner.closeAll(file);
    this.#window.count(file, (counted) => {
      counted.failedTaskCount += 1;
      counted.taskCount += 1;
      counted.failedBytes = file.object.sizeBytes;
      counted.loadedBytes = 0;
      counted.skippedBytes = 0;
    });
    const failure = { path: file.object.path, code: error.code, message: error.message };
    this.#incidents.fileFailed(failure);
    this.#effects.push({ kind: 'file-failed', failure });
    this.#settleIfOver(file);
  }

  // --- files that change under us ---

  /** The object is another version now, or gone: look again before anything else of it is done. */
  #restat(task: TaskRun, error: WireError): void {
    const { file } = task.unit;
    if (!this.#restarts.isUnderWay(file) && file.restartCount >= this.#limits.restartMaxCount) {
      this.#failTask(task, error);
      return;
    }
    this.#assigner.park(task.unit);
    if (!this.#restarts.report(task, error)) return;
    file.restartCount += 1;
    file.openedCount = file.unitCount;
    this.#effects.push({ kind: 'stat', path: file.object.path });
  }

  #takeStat(path: string, found: UfsObject | WireError): void {
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
        if (!task.unit.closed) this.#retryTask(task, error, false);
      }
    }
  }

  /** Everything of the old version is over: the file begins again as the new one. */
  #restart(file: FileRun, found: UfsObject): void {
    const { segmentSizeBytes, metadataOnly } = this.#spec;
    file.object = found;
    file.unitCount = unitCountOf(found.sizeBytes, segmentSizeBytes, metadataOnly);
    file.openedCount = 0;
    file.settledCount = 0;
    file.loaded = false;
    this.#window.count(file, (counted) => {
      counted.listedBytes = found.sizeBytes;
      counted.loadedBytes = 0;
      counted.skippedBytes = 0;
      counted.replicaBytes = 0;
      counted.replicaFiles = 0;
    });
    this.#toOpen.push(file);
  }

  // --- the end of a pass, and the verdict ---

  #endPass(): void {
    invariant(this.#window.isBalanced(), 'counters of settled files do not add up');
    if (this.#placement.epoch !== this.#passEpoch || (this.#spec.verify && this.#pass === 1)) {
      this.#nextPass();
      return;
    }
    this.#phase = 'comparing';
    this.#round = undefined;
  }

  #nextPass(): void {
    this.#lastPassCounters = { ...this.#window.settled };
    const work = workOf(this.#window.settled);
    this.#pass += 1;
    this.#passEpoch = this.#placement.epoch;
    this.#window = new FileWindow({ counters: work, expected: {}, cursor: undefined });
    this.#incidents.startPass();
    this.#toOpen.clear();
    this.#restarts.clear();
    this.#failing.clear();
    this.#assigner = this.#newAssigner(this.#assigner.nextTaskId);
    this.#listed = undefined;
    this.#listing = false;
    this.#listingDone = false;
    this.#phase = 'loading';
    this.#checkpointedMs = -Infinity;
    this.#listMore();
  }

  /** Asks each owner for its inventory until all answered alike, or one of them differs. */
  #compare(): void {
    if (this.#placement.epoch !== this.#passEpoch) {
      this.#nextPass();
      return;
    }
    const { inventoryRetryMs } = this.#limits;
    const round = (this.#round ??= new InventoryRound(this.#window.expected(), inventoryRetryMs));
    for (const to of round.takeDue(this.#nowMs)) this.#effects.push({ kind: 'ask-inventory', to });
    if (round.isDone) this.#succeedOrFail(round);
  }

  #takeInventory(from: PeerId, reply: Extract<RunEvent, { kind: 'inventory' }>['reply']): void {
    if (this.#phase !== 'comparing' || isWireError(reply)) return;
    const expected = this.#round?.mismatch(from, reply.inventory);
    if (!expected) return;
    if (++this.#mismatchCount < this.#limits.passMaxCount) {
      this.#nextPass();
      return;
    }
    const message = `peer ${from} holds ${String(reply.inventory.segmentCount)} segments of this job, not the ${String(expected.segmentCount)} it acknowledged, after ${String(this.#mismatchCount)} comparisons`;
    this.#fail({ code: 'internal', message });
  }

  #succeedOrFail(round: InventoryRound): void {
    this.#lastPassCounters = undefined;
    const { failedFiles } = this.#window.settled;
    if (failedFiles > 0) {
      this.#fail({ code: 'partially_failed', message: 'Job partially failed.' });
      return;
    }
    const combined = new InventorySum();
    for (const sum of round.expected()) combined.addAll(new InventorySum(sum));
    this.#finish({ state: 'SUCCEEDED', digest: combined.toJSON().digest });
  }

  #fail(error: WireError): void {
    const failure = toWireError(new RingloadError(error.code, error.message));
    this.#finish({ state: 'FAILED', failure });
  }

  #finish(verdict: { state: 'SUCCEEDED' | 'FAILED'; failure?: WireError; digest?: string }): void {
    if (this.#isFinished()) return;
    this.#phase = 'finished';
    this.#effects.push({ kind: 'finish', ...verdict, checkpoint: this.#finalCheckpoint() });
  }

  // --- checkpoints ---

  #maybeCheckpoint(): void {
    if (this.#nowMs - this.#checkpointedMs >= this.#limits.checkpointIntervalMs) this.#checkpoint();
  }

  #checkpoint(): void {
    if (this.#checkpointPending) return;
    this.#checkpointPending = true;
    this.#checkpointedMs = this.#nowMs;
    this.#effects.push({
      kind: 'checkpoint',
      state: this.state,
      checkpoint: this.#currentCheckpoint(),
    });
  }

  #currentCheckpoint(): JobCheckpoint {
    const { cursor } = this.#window;
    const { failures, lastPassFailures } = this.#incidents;
    return {
      pass: this.#pass,
      epoch: this.#passEpoch,
      ...(cursor !== undefined && { cursor }),
      listingDone: this.#listingDone && this.#window.length === 0,
      counters: { ...this.#window.settled },
      tallies: Object.fromEntries(this.#tallies),
      expected: this.#window.expected(),
      failures: newestWithin(failures),
      ...(this.#lastPassCounters && {
        lastPassCounters: this.#lastPassCounters,
        lastPassFailures: newestWithin(lastPassFailures),
      }),
    };
  }

  /** A pass that is cut short accounts for nothing: the one before it speaks. */
  #finalCheckpoint(): JobCheckpoint {
    const { lastPassCounters, lastPassFailures, ...current } = this.#currentCheckpoint();
    if (!lastPassCounters) return current;
    return { ...current, counters: { ...this.counters }, failures: lastPassFailures ?? [] };
  }

  #newAssigner(firstTaskId: number): Assigner {
    const { replicaCount, segmented, batchSize } = this.#spec;
    return new Assigner({
      limits: this.#limits,
      shape: { replicaCount, segmented, batchSize },
      placement: this.#placement,
      random: this.#start.random,
      firstTaskId,
      // Why: a segment of an earlier pass, run or ring may lie where nobody would look for it now.
      askPeersFirst:
        this.#pass > 1 || this.#start.ref.run > 1 || this.#placement.epoch !== this.#passEpoch,
      onSettled: (unit) => {
        this.#unitSettled(unit);
      },
    });
  }
}

const NO_REASON: WireError = { code: 'internal', message: 'the owner gave no reason' };

function isSameObject(a: UfsObject, b: UfsObject): boolean {
  return a.version === b.version && a.sizeBytes === b.sizeBytes;
}

/** The newest failures that fit a checkpoint: it is one command, of bounded size. */
function newestWithin(failures: readonly FailedFile[]): FailedFile[] {
  const kept: FailedFile[] = [];
  let length = 0;
  for (const failure of failures.slice(-CHECKPOINT_FAILURE_MAX_COUNT).reverse()) {
    length += failure.path.length + failure.message.length;
    if (length > CHECKPOINT_FAILURE_MAX_LENGTH) break;
    kept.push(failure);
  }
  return kept.reverse();
}
