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
import type { Random } from '../base/random.ts';
import type { JobCheckpoint, PeerTally } from '../cluster/job-record.ts';
import type { ListPage, UfsObject } from '../ufs/under-store.ts';
import { Assigner, type AssignerLimits, type OwnerBatch } from './assigner.ts';
import { countersFrom, InventorySum, sumOf, updateTally } from './counters.ts';
import { FileWindow, openFile, type FileRun } from './file-run.ts';
import { Fifo } from './fifo.ts';
import { IncidentLog } from './incident-log.ts';
import type { FailedFile, JobCounters, TaskIncident } from './job-status.ts';
import type { TaskRun } from './owner-queue.ts';
import type { Placement } from './placement.ts';
import type { PassRef, ResultFrame, Task, TaskBatch, TaskFile, TaskResult } from './protocol.ts';
import { classify } from './retry-policy.ts';
import { isWireError, type RunEffect, type RunEvent } from './run-events.ts';
import type { JobSpec } from './spec.ts';
import { carriesRecord, cutUnit, unitCountOf, type Unit } from './unit.ts';

export interface RunLimits extends AssignerLimits {
  /** Listed files that may wait or be in flight: bounds the leader's memory. */
  readonly windowFiles: number;
  /** Units that may be open at once. */
  readonly windowUnits: number;
  readonly checkpointIntervalMs: number;
  /** Failed attempts of one task before its file fails. */
  readonly taskRetryMaxCount: number;
  /** How often one file may be found changed before it fails. */
  readonly restartMaxCount: number;
  /** Passes in which inventories may disagree before the job fails. */
  readonly passMaxCount: number;
  readonly inventoryRetryMs: number;
  /** How long a job waits for peers to come back when there are fewer than its replicas. */
  readonly replicaWaitMs: number;
}

export interface RunStart {
  readonly ref: Omit<PassRef, 'pass'>;
  readonly spec: JobSpec;
  readonly checkpoint: JobCheckpoint | undefined;
  /** Whether a file's last path component passes the job's filter. */
  readonly accepts: (path: string) => boolean;
  readonly placement: Placement;
  readonly limits: RunLimits;
  readonly random: Random;
}

/** What a run can tell at any time. */
export interface RunView {
  readonly state: 'RUNNING' | 'VERIFYING';
  readonly pass: number;
  readonly listingDone: boolean;
  readonly counters: JobCounters;
  readonly retryQueueLength: number;
  readonly tallies: ReadonlyMap<PeerId, PeerTally>;
  readonly failures: readonly FailedFile[];
  readonly failedTasks: readonly TaskIncident[];
  readonly retryingTasks: readonly TaskIncident[];
  outCountOf(peer: PeerId): number;
}

/** Failures that travel in a checkpoint; all of them are on the leader's disk. */
const CHECKPOINT_FAILURE_MAX_COUNT = 100;

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
  #comparing = new Map<PeerId, { askedMs: number; equal: boolean }>();
  readonly #restating = new Map<string, FileRun>();
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
    this.#incidents.restore(checkpoint?.failures ?? []);
    this.#window = new FileWindow({
      counters: countersFrom(checkpoint?.counters ?? {}),
      expected: checkpoint?.expected ?? {},
      cursor: checkpoint?.cursor,
    });
    this.#listed = checkpoint?.cursor;
    this.#listingDone = checkpoint?.listingDone ?? false;
    this.#assigner = this.#newAssigner();
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
  /** While a later pass counts again, the final figures of the one before. */
  get counters(): JobCounters {
    return this.#lastPassCounters ? countersFrom(this.#lastPassCounters) : this.#window.live;
  }
  get retryQueueLength(): number {
    return this.#assigner.restingCount;
  }
  get tallies(): ReadonlyMap<PeerId, PeerTally> {
    return this.#tallies;
  }
  get failures(): readonly FailedFile[] {
    return this.#incidents.failures;
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
        this.#comparing.delete(event.peer);
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
        this.#takeInventory(event.from, event.reply);
        return;
      case 'checkpointed':
        this.#checkpointPending = false;
        return;
      case 'tick':
        this.#assigner.tick(this.#nowMs);
        return;
      default:
        unreachable(event);
    }
  }

  /** Does all that the state allows now. */
  #pump(): void {
    for (const file of this.#failing) this.#settleIfOver(file);
    this.#window.mergeSettled();
    if (this.#phase === 'loading') {
      this.#checkFeasible();
      if (this.#isFinished()) return;
      this.#openUnits();
      this.#listMore();
      for (const batch of this.#assigner.takeBatches(this.#nowMs)) this.#send(batch);
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
    if (this.#window.length >= this.#limits.windowFiles) return;
    this.#listing = true;
    this.#effects.push({ kind: 'list', after: this.#listed });
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

  #send(batch: OwnerBatch): void {
    const files: TaskFile[] = [];
    const positions = new Map<FileRun, number>();
    const tasks = batch.tasks.map((task): Task => {
      const { file } = task.unit;
      let position = positions.get(file);
      if (position === undefined) {
        position = files.push(file.object) - 1;
        positions.set(file, position);
      }
      return {
        id: task.id,
        attempt: task.attempt,
        file: position,
        index: task.unit.index,
        length: task.unit.length,
        record: carriesRecord(task.unit),
        sources: task.sources,
      };
    });
    this.#effects.push({ kind: 'send', to: batch.to, batch: this.#batchOf(files, tasks) });
  }

  #batchOf(files: readonly TaskFile[], tasks: readonly Task[]): TaskBatch {
    const spec = this.#spec;
    return {
      ...this.passRef,
      epoch: this.#placement.epoch,
      files,
      tasks,
      options: {
        segmentSizeBytes: spec.segmentSizeBytes,
        segmented: spec.segmented,
        replicaCount: spec.replicaCount,
        metadataOnly: spec.metadataOnly,
        reload: spec.reload,
        deepVerify: spec.verify && this.#pass > 1,
        ...(spec.bandwidthBps !== undefined && { bandwidthBps: spec.bandwidthBps }),
      },
    };
  }

  #takeResults(from: PeerId, frame: ResultFrame): void {
    this.#tallies.set(from, updateTally(this.#tallies.get(from), frame.generation, frame.tally));
    if (frame.pass !== this.#pass) return;
    for (const result of frame.results) {
      const task = this.#assigner.takeAnswered(from, result.id, this.#nowMs);
      if (!task) continue;
      if (result.status === 'failed') this.#takeFailure(task, result);
      else this.#takeStored(task, result);
      this.#settleIfOver(task.unit.file);
    }
  }

  #takeStored(task: TaskRun, result: TaskResult): void {
    const { unit, owner } = task;
    const { file } = unit;
    const loaded = result.status === 'loaded';
    if (result.digest !== undefined) sumOf(file.held, owner).add(unit.length, result.digest);
    if (unit.closed) return;
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
    this.#assigner.addHolder(task);
  }

  #takeFailure(task: TaskRun, result: TaskResult): void {
    const { unit } = task;
    const error = result.error ?? { code: 'internal', message: 'the owner gave no reason' };
    if (error.code === 'ufs_throttled') this.#assigner.slowDown(this.#nowMs);
    if (unit.closed || unit.file.failure) return;
    const action = classify(error);
    if (action === 'restat') {
      this.#restat(unit.file, error);
    } else if (action === 'fail-job') {
      this.#fail(error);
    } else if (action === 'fail-file' || unit.attempts >= this.#limits.taskRetryMaxCount) {
      this.#incidents.taskFailed(task, error);
      this.#failFile(unit.file, error);
    } else {
      this.#incidents.taskRetried(task, error);
      this.#window.count(unit.file, (counted) => (counted.retriedTaskCount += 1));
      this.#assigner.retryLater(unit, this.#nowMs, action === 'elsewhere');
    }
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
    for (const unit of this.#assigner.unitsOf(file)) this.#assigner.close(unit);
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

  /** The object is another version now, or gone: look again and start the file over. */
  #restat(file: FileRun, error: WireError): void {
    const { path } = file.object;
    if (this.#restating.has(path)) return;
    if (file.restartCount >= this.#limits.restartMaxCount) {
      this.#failFile(file, error);
      return;
    }
    file.restartCount += 1;
    file.openedCount = file.unitCount;
    for (const unit of this.#assigner.unitsOf(file)) this.#assigner.close(unit);
    this.#restating.set(path, file);
    this.#effects.push({ kind: 'stat', path });
  }

  #takeStat(path: string, found: UfsObject | WireError): void {
    const file = this.#restating.get(path);
    this.#restating.delete(path);
    if (!file || file.failure || file.settled) return;
    if (isWireError(found)) {
      this.#failFile(file, found);
      return;
    }
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
    this.#comparing.clear();
  }

  #nextPass(): void {
    this.#lastPassCounters = { ...this.#window.settled };
    this.#pass += 1;
    this.#passEpoch = this.#placement.epoch;
    this.#window = new FileWindow();
    this.#incidents.forgetFailures();
    this.#toOpen.clear();
    this.#restating.clear();
    this.#failing.clear();
    this.#assigner = this.#newAssigner();
    this.#listed = undefined;
    this.#listing = false;
    this.#listingDone = false;
    this.#phase = 'loading';
    this.#checkpoint();
    this.#listMore();
  }

  /** Asks each owner for its inventory until all answered alike, or one of them differs. */
  #compare(): void {
    if (this.#placement.epoch !== this.#passEpoch) {
      this.#nextPass();
      return;
    }
    const expected = Object.keys(this.#window.expected()) as PeerId[];
    for (const peer of expected) {
      const asked = this.#comparing.get(peer);
      if (asked && (asked.equal || this.#nowMs - asked.askedMs < this.#limits.inventoryRetryMs))
        continue;
      this.#comparing.set(peer, { askedMs: this.#nowMs, equal: false });
      this.#effects.push({ kind: 'ask-inventory', to: peer });
    }
    if (expected.every((peer) => this.#comparing.get(peer)?.equal)) this.#succeedOrFail();
  }

  #takeInventory(from: PeerId, reply: Extract<RunEvent, { kind: 'inventory' }>['reply']): void {
    if (this.#phase !== 'comparing' || isWireError(reply)) return;
    const expected = this.#window.expected()[from];
    if (!expected) return;
    const { segmentCount, digest } = reply.inventory;
    if (segmentCount === expected.segmentCount && digest === expected.digest) {
      this.#comparing.set(from, { askedMs: this.#nowMs, equal: true });
    } else if (++this.#mismatchCount >= this.#limits.passMaxCount) {
      const message = `peer ${from} holds ${String(segmentCount)} segments of this job, not the ${String(expected.segmentCount)} it acknowledged, after ${String(this.#mismatchCount)} comparisons`;
      this.#fail({ code: 'internal', message });
    } else {
      this.#nextPass();
    }
  }

  #succeedOrFail(): void {
    const { failedFiles } = this.#window.settled;
    if (failedFiles > 0) {
      this.#fail({ code: 'partially_failed', message: 'Job partially failed.' });
      return;
    }
    const combined = new InventorySum();
    for (const sum of Object.values(this.#window.expected())) combined.addAll(sum);
    this.#finish({ state: 'SUCCEEDED', digest: combined.toJSON().digest });
  }

  #fail(error: WireError): void {
    const failure = toWireError(new RingloadError(error.code, error.message));
    this.#finish({ state: 'FAILED', failure });
  }

  #finish(verdict: { state: 'SUCCEEDED' | 'FAILED'; failure?: WireError; digest?: string }): void {
    if (this.#phase === 'finished') return;
    this.#phase = 'finished';
    this.#lastPassCounters = undefined;
    this.#effects.push({ kind: 'finish', ...verdict, checkpoint: this.#currentCheckpoint() });
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
    return {
      pass: this.#pass,
      epoch: this.#passEpoch,
      ...(cursor !== undefined && { cursor }),
      listingDone: this.#listingDone && this.#window.length === 0,
      counters: { ...this.#window.settled },
      ...(this.#lastPassCounters && { lastPassCounters: this.#lastPassCounters }),
      tallies: Object.fromEntries(this.#tallies),
      expected: this.#window.expected(),
      failures: this.#incidents.failures.slice(-CHECKPOINT_FAILURE_MAX_COUNT),
    };
  }

  #newAssigner(): Assigner {
    const { replicaCount, segmented } = this.#spec;
    return new Assigner({
      limits: this.#limits,
      shape: { replicaCount, segmented, askPeersFirst: this.#pass > 1 },
      placement: this.#placement,
      random: this.#start.random,
      onSettled: (unit) => {
        this.#unitSettled(unit);
      },
    });
  }
}
