/**
 * One run of a load job on the leader: its passes, their comparison with the owners, checkpoints,
 * verdict.
 *
 * Pure: `handle(event, nowMs)` returns the effects to perform; nothing is awaited here. A pass
 * lists the path once and settles every file; when it ends, the owners' inventories must equal what
 * they acknowledged in it, under an unchanged ring. If they do not, or the job asked for
 * verification, another pass lists again and loads what is missing; what is resident costs one
 * lookup. The accounting of the last pass is the verdict's.
 */
import { RingloadError, toWireError, type WireError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import { invariant, unreachable } from '../base/invariant.ts';
import type { JobCheckpoint, PeerTally } from '../cluster/job-record.ts';
import { buildCheckpoint, finalCheckpoint } from './checkpoint.ts';
import { countersFrom, InventorySum, updateTally, workOf, withWorkOf } from './counters.ts';
import { FileWindow } from './file-run.ts';
import { IncidentLog } from './incident-log.ts';
import { InventoryRound } from './inventory-round.ts';
import type { FailedFile, JobCounters, TaskIncident } from './job-status.ts';
import { Pass } from './pass.ts';
import type { Placement } from './placement.ts';
import type { PassRef, ResultFrame } from './protocol.ts';
import type { RunLimits, RunStart, RunView } from './run-contract.ts';
import { isWireError, type RunEffect, type RunEvent } from './run-events.ts';

type Phase = 'loading' | 'comparing' | 'finished';

export class JobRun implements RunView {
  readonly #start: RunStart;
  readonly #limits: RunLimits;
  #placement: Placement;
  #phase: Phase = 'loading';
  #pass: Pass;
  #passNumber: number;
  /** Epoch at the start of the pass: a pass that saw another one proves nothing about replicas. */
  #passEpoch: number;
  #lastPassCounters: Readonly<Record<string, number>> | undefined;
  /** The comparison of inventories that is under way. */
  #round: InventoryRound | undefined;
  readonly #tallies: Map<PeerId, PeerTally>;
  /** Objects found not to match their checksums in this run, by path and version. */
  readonly #corrupt = new Set<string>();
  readonly #incidents = new IncidentLog();
  #checkpointPending = false;
  #checkpointedMs = -Infinity;
  #nowMs = 0;
  #enoughPeersMs = -1;
  #mismatchCount = 0;
  #effects: RunEffect[] = [];

  constructor(start: RunStart) {
    const { checkpoint, placement } = start;
    this.#start = start;
    this.#limits = start.limits;
    this.#placement = placement;
    this.#passNumber = checkpoint?.pass ?? 1;
    this.#passEpoch = checkpoint?.cursor === undefined ? placement.epoch : checkpoint.epoch;
    this.#lastPassCounters = checkpoint?.lastPassCounters;
    this.#tallies = new Map(Object.entries(checkpoint?.tallies ?? {}) as [PeerId, PeerTally][]);
    this.#incidents.restore(checkpoint?.failures ?? [], checkpoint?.lastPassFailures ?? []);
    const window = new FileWindow({
      counters: countersFrom(checkpoint?.counters ?? {}),
      expected: checkpoint?.expected ?? {},
      cursor: checkpoint?.cursor,
    });
    this.#pass = this.#openPass({
      window,
      listingDone: checkpoint?.listingDone ?? false,
      firstTaskId: start.firstTaskId ?? 1,
    });
  }

  get state(): 'RUNNING' | 'VERIFYING' {
    return this.#passNumber > 1 || this.#phase === 'comparing' ? 'VERIFYING' : 'RUNNING';
  }
  get pass(): number {
    return this.#passNumber;
  }
  get listingDone(): boolean {
    return this.#pass.listingDone;
  }
  /** While a later pass counts files again, the final figures of the one before. */
  get counters(): JobCounters {
    const { live } = this.#pass.window;
    if (!this.#lastPassCounters) return live;
    return withWorkOf(countersFrom(this.#lastPassCounters), live);
  }
  get retryQueueLength(): number {
    return this.#pass.restingCount;
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
    return { ...this.#start.ref, pass: this.#passNumber };
  }
  /** Listed files in memory, at most `windowFiles`. */
  get windowFileCount(): number {
    return this.#pass.window.length;
  }
  /** At most `windowUnits`. */
  get openUnitCount(): number {
    return this.#pass.openUnitCount;
  }
  outCountOf(peer: PeerId): number {
    return this.#pass.outCountOf(peer);
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
        this.#pass.setPlacement(event.placement);
        return;
      case 'peer-lost':
        this.#pass.losePeer(event.peer);
        this.#round?.forget(event.peer);
        return;
      case 'page':
        this.#pass.takePage(event.page);
        return;
      case 'list-failed':
        this.#fail(event.error);
        return;
      case 'stat':
        this.#pass.takeStat(event.path, event.found);
        return;
      case 'checksum':
        this.#pass.takeChecksum(event);
        return;
      case 'discarded':
        this.#pass.takeDiscarded(event.path);
        return;
      case 'batch-taken':
        this.#pass.batchTaken(event.to, event);
        return;
      case 'batch-failed':
        this.#pass.batchFailed(event.to, event.taskIds, this.#nowMs);
        return;
      case 'results':
        this.#takeResults(event.from, event.frame);
        return;
      case 'inventory':
        if (event.pass === this.#passNumber) this.#takeInventory(event.from, event.reply);
        return;
      case 'checkpointed':
        this.#checkpointPending = false;
        return;
      case 'tick':
        this.#pass.tick(this.#nowMs);
        return;
      default:
        unreachable(event);
    }
  }

  /** Does all that the state allows now. */
  #pump(): void {
    if (this.#isFinished()) return;
    if (this.#phase === 'loading') {
      this.#checkFeasible();
      if (this.#isFinished()) return;
      this.#pass.pump(this.#nowMs);
      if (this.#pass.isSettled) this.#endPass();
    } else {
      this.#pass.settleWhatIsOver();
    }
    if (this.#phase === 'comparing') this.#compare();
    if (!this.#isFinished()) this.#maybeCheckpoint();
  }

  #isFinished(): boolean {
    return this.#phase === 'finished';
  }

  /** Nothing follows the verdict. */
  #emit(effect: RunEffect): void {
    if (!this.#isFinished()) this.#effects.push(effect);
  }

  /** Fails the job as soon as it is certain that it cannot succeed. */
  #checkFeasible(): void {
    const { replicaCount, metadataOnly } = this.#start.spec;
    const { memberCount, capacityBytes } = this.#placement;
    if (memberCount >= replicaCount) this.#enoughPeersMs = this.#nowMs;
    if (this.#nowMs - this.#enoughPeersMs > this.#limits.replicaWaitMs) {
      const message = `${String(replicaCount)} replicas need as many live peers, ${String(memberCount)} are left`;
      this.#fail({ code: 'conflict', message });
      return;
    }
    const neededBytes = this.#pass.window.listedBytes * replicaCount;
    if (!metadataOnly && neededBytes > capacityBytes) {
      const message = `the load needs at least ${String(neededBytes)} bytes of cache, the peers have ${String(capacityBytes)}`;
      this.#fail({ code: 'cache_full', message });
    }
  }

  #takeResults(from: PeerId, frame: ResultFrame): void {
    this.#tallies.set(from, updateTally(this.#tallies.get(from), frame.generation, frame.tally));
    if (frame.pass !== this.#passNumber) return;
    this.#pass.takeBegun(from, frame.begun ?? []);
    const holdsMore = this.#pass.takeResults(from, frame.results, this.#nowMs);
    // Why: what was compared before this answer is not what the owners must hold now.
    if (holdsMore) this.#round = undefined;
  }

  // --- passes ---

  #openPass(options: { window: FileWindow; listingDone: boolean; firstTaskId: number }): Pass {
    const { ref, spec, accepts, random } = this.#start;
    return new Pass({
      ...{ spec, accepts, random, limits: this.#limits, placement: this.#placement },
      ...options,
      ref: this.passRef,
      askPeersFirst:
        !this.#placement.isInOrder ||
        this.#passNumber > 1 ||
        ref.run > 1 ||
        this.#placement.epoch !== this.#passEpoch,
      incidents: this.#incidents,
      corrupt: this.#corrupt,
      emit: (effect) => {
        this.#emit(effect);
      },
      failJob: (error) => {
        this.#fail(error);
      },
    });
  }

  #endPass(): void {
    invariant(this.#pass.window.isBalanced(), 'counters of settled files do not add up');
    const isFirst = this.#passNumber === 1;
    if (this.#placement.epoch !== this.#passEpoch || (this.#start.spec.verify && isFirst)) {
      this.#nextPass();
      return;
    }
    this.#phase = 'comparing';
    this.#round = undefined;
  }

  #nextPass(): void {
    const { settled } = this.#pass.window;
    this.#lastPassCounters = { ...settled };
    this.#passNumber += 1;
    this.#passEpoch = this.#placement.epoch;
    this.#incidents.startPass();
    this.#pass = this.#openPass({
      window: new FileWindow({ counters: workOf(settled), expected: {}, cursor: undefined }),
      listingDone: false,
      firstTaskId: this.#pass.nextTaskId,
    });
    this.#phase = 'loading';
    this.#checkpointedMs = -Infinity;
    this.#pass.pump(this.#nowMs);
  }

  // --- the comparison, and the verdict ---

  /** Asks each owner for its inventory until all answered alike, or one of them differs. */
  #compare(): void {
    if (this.#placement.epoch !== this.#passEpoch) {
      this.#nextPass();
      return;
    }
    const { inventoryRetryMs } = this.#limits;
    const { window } = this.#pass;
    const round = (this.#round ??= new InventoryRound(window.expected(), inventoryRetryMs));
    for (const to of round.takeDue(this.#nowMs)) this.#emit({ kind: 'ask-inventory', to });
    if (round.isDone) this.#succeedOrFail(round);
  }

  #takeInventory(from: PeerId, reply: Extract<RunEvent, { kind: 'inventory' }>['reply']): void {
    if (this.#phase !== 'comparing' || isWireError(reply)) return;
    const expected = this.#round?.mismatch(from, reply);
    if (!expected) return;
    if (++this.#mismatchCount < this.#limits.passMaxCount) {
      this.#nextPass();
      return;
    }
    const has = countsText(reply.inventory.segmentCount, reply.records?.recordCount);
    const acknowledged = countsText(expected.segmentCount, expected.recordCount);
    const message = `peer ${from} holds ${has} of this job, not the ${acknowledged} it acknowledged, after ${String(this.#mismatchCount)} comparisons`;
    this.#fail({ code: 'internal', message });
  }

  #succeedOrFail(round: InventoryRound): void {
    this.#lastPassCounters = undefined;
    const { failedFiles } = this.#pass.window.settled;
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
    const checkpoint = finalCheckpoint(this.#currentCheckpoint(), this.counters);
    this.#emit({ kind: 'finish', ...verdict, checkpoint });
    this.#phase = 'finished';
  }

  // --- checkpoints ---

  #maybeCheckpoint(): void {
    if (this.#checkpointPending) return;
    if (this.#nowMs - this.#checkpointedMs < this.#limits.checkpointIntervalMs) return;
    this.#checkpointPending = true;
    this.#checkpointedMs = this.#nowMs;
    const checkpoint = this.#currentCheckpoint();
    this.#emit({ kind: 'checkpoint', state: this.state, checkpoint });
  }

  #currentCheckpoint(): JobCheckpoint {
    return buildCheckpoint({
      pass: this.#passNumber,
      epoch: this.#passEpoch,
      window: this.#pass.window,
      isSettled: this.#pass.isSettled,
      tallies: this.#tallies,
      incidents: this.#incidents,
      lastPassCounters: this.#lastPassCounters,
    });
  }
}

function countsText(segmentCount: number, recordCount = 0): string {
  return `${String(segmentCount)} segments and ${String(recordCount)} file records`;
}
