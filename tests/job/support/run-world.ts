/**
 * A job run among model owners on hand-driven time: what the driver and the executors do, in a
 * page. Faults are hooks and rates; a story scripts them, the property test draws them.
 */
import { epoch, jobId, peerId, term, type PeerId } from '../../../src/base/ids.ts';
import { ManualClock } from '../../../src/base/clock.ts';
import { SeededRandom, type Random } from '../../../src/base/random.ts';
import type { WireError } from '../../../src/base/errors.ts';
import {
  addDigests,
  formatDigest,
  recordDigest,
  segmentDigest,
} from '../../../src/cache/digest.ts';
import { MemoryFileCatalog } from '../../../src/cache/memory-file-catalog.ts';
import type { JobCheckpoint, TallyCounts } from '../../../src/cluster/job-record.ts';
import { JobRun } from '../../../src/job/job-run.ts';
import type { RunLimits } from '../../../src/job/run-contract.ts';
import type { Placement } from '../../../src/job/placement.ts';
import {
  leaseOf,
  METADATA_ONLY_INDEX,
  type DiscardedFile,
  type Task,
  type TaskBatch,
  type TaskFile,
  type TaskResult,
} from '../../../src/job/protocol.ts';
import type { RunEffect, RunEvent } from '../../../src/job/run-events.ts';
import { JOB_DEFAULTS, type JobSpec } from '../../../src/job/spec.ts';
import type { ObjectChecksum, UfsObject } from '../../../src/ufs/under-store.ts';

export const SEGMENT_BYTES = 100;

export const RUN_LIMITS: RunLimits = {
  windowTasks: 8,
  windowBytes: 10_000,
  batchSize: 4,
  retryDelayMs: 100,
  retryDelayMaxMs: 1000,
  silentAfterMs: 6_000,
  answerTimeoutMs: 10_000,
  slowAfterMs: 1_000,
  windowFiles: 16,
  windowUnits: 24,
  checkpointIntervalMs: 500,
  followMinBytes: 1,
  taskRetryMaxCount: 4,
  throttlePatienceMs: 60_000,
  restartMaxCount: 3,
  passMaxCount: 8,
  inventoryRetryMs: 200,
  replicaWaitMs: 20_000,
};

export type Verdict = Extract<RunEffect, { kind: 'finish' }>;

/** What happens to one task at its owner, instead of the usual. */
export type TaskFate = WireError | 'lose-result' | 'repeat-result' | undefined;

export interface ModelOwner {
  readonly id: PeerId;
  generation: number;
  reachable: boolean;
  onRing: boolean;
  /** Off the ring, and there all the same. */
  draining: boolean;
  /** Segment name to the job that loaded it. */
  readonly segments: Map<string, { digest: bigint; crc: number; loadedBy: string }>;
  readonly leases: Map<string, Map<string, bigint>>;
  readonly catalog: MemoryFileCatalog;
  tally: { -readonly [K in keyof TallyCounts]: TallyCounts[K] };
  /** Fills under way: whoever asks for the same segment waits for the same one. */
  readonly fills: Map<string, Promise<void>>;
  stuck: boolean;
}

export interface WorldOptions {
  readonly spec?: Partial<JobSpec>;
  readonly limits?: Partial<RunLimits>;
  readonly peers?: number;
  readonly seed?: number;
  readonly accepts?: (path: string) => boolean;
}

export class RunWorld {
  readonly clock = new ManualClock();
  readonly random: Random;
  readonly objects: UfsObject[] = [];
  readonly owners = new Map<PeerId, ModelOwner>();
  readonly fetches = new Map<string, number>();
  readonly failedPaths: string[] = [];
  readonly trace: string[] = [];
  readonly spec: JobSpec;
  readonly limits: RunLimits;
  eventCount = 0;
  openUnitMax = 0;
  term = 1;
  runNumber = 1;
  epoch = 1;
  isInOrder = true;
  checkpoint: JobCheckpoint | undefined;
  verdict: Verdict | undefined;
  run!: JobRun;
  /** Placement of a segment; default by hash. */
  order: (path: string, index: number) => readonly PeerId[] = (path, index) =>
    this.#hashed(path, index);
  /** How long an owner takes to bring a segment in. */
  fillMs: (owner: ModelOwner, from: 'ufs' | 'peer') => number = () => this.delayMs('task');
  fate: (owner: ModelOwner, task: Task, path: string) => TaskFate = () => undefined;
  /** Whether the owner tells that a fetch of it has begun, so that others follow. */
  tellsBegun: (owner: ModelOwner, task: Task) => boolean = () => false;
  /** What the under store tells of whole objects, by path; only those are asked for. */
  readonly checksums = new Map<string, ObjectChecksum>();
  /** CRC32C of what was fetched of a segment. */
  crcOf: (path: string, index: number) => number = () => 7;
  delayMs: (what: 'batch' | 'task' | 'result' | 'list') => number = () => 1;
  listFault: () => WireError | undefined = () => undefined;
  /** A batch the leader hears nothing of; `taken`: it was accepted all the same. */
  batchFault: (to: PeerId) => 'lost' | 'taken' | undefined = () => undefined;
  /** What owners are asked to give back does not reach them. */
  losesRecalls = false;
  /** Ends a fill of a task before its time. */
  readonly #recalls = new Map<number, () => void>();
  readonly #accepts: (path: string) => boolean;

  constructor(options: WorldOptions = {}) {
    this.random = new SeededRandom(options.seed ?? 1);
    this.spec = {
      ...JOB_DEFAULTS,
      path: 's3://b/d',
      segmentSizeBytes: SEGMENT_BYTES,
      ...options.spec,
    };
    this.limits = { ...RUN_LIMITS, ...options.limits };
    this.#accepts = options.accepts ?? (() => true);
    for (let n = 1; n <= (options.peers ?? 3); n += 1) this.addOwner(`p${n}`);
  }

  addOwner(name: string): ModelOwner {
    const owner: ModelOwner = {
      id: peerId(name),
      generation: 1,
      reachable: true,
      onRing: true,
      draining: false,
      segments: new Map(),
      leases: new Map(),
      catalog: new MemoryFileCatalog(),
      tally: { segmentCount: 0, storedBytes: 0, ufsBytes: 0, copiedBytes: 0 },
      fills: new Map(),
      stuck: false,
    };
    this.owners.set(owner.id, owner);
    return owner;
  }

  owner(name: string): ModelOwner {
    const owner = this.owners.get(peerId(name));
    if (!owner) throw new Error(`no owner ${name}`);
    return owner;
  }

  put(name: string, sizeBytes: number, version = 'v1'): void {
    const path = `s3://b/d/${name}`;
    const at = this.objects.findIndex((object) => object.path === path);
    const object = { path, sizeBytes, version, mtimeMs: 0 };
    if (at >= 0) this.objects[at] = object;
    else this.objects.push(object);
    this.objects.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  delete(name: string): void {
    const at = this.objects.findIndex((object) => object.path === `s3://b/d/${name}`);
    if (at >= 0) this.objects.splice(at, 1);
  }

  /** A leader begins from the newest checkpoint, under a higher term. */
  lead(): void {
    this.term += 1;
    this.run = new JobRun({
      ref: { jobId: jobId('job'), run: this.runNumber, term: term(this.term) },
      spec: this.spec,
      // As it would come back from the log.
      checkpoint: this.checkpoint && (JSON.parse(JSON.stringify(this.checkpoint)) as JobCheckpoint),
      accepts: ({ path }) => this.#accepts(path),
      placement: this.placement(),
      limits: this.limits,
      random: this.random,
    });
    this.#tick(this.run);
  }

  placement(): Placement {
    const live = [...this.owners.values()].filter((owner) => owner.onRing);
    const onRing = new Set(live.map(({ id }) => id));
    const reachable = new Set(
      [...this.owners.values()]
        .filter((owner) => owner.reachable && (owner.onRing || owner.draining))
        .map(({ id }) => id),
    );
    return {
      epoch: epoch(this.epoch),
      isInOrder: this.isInOrder,
      memberCount: onRing.size,
      reachableCount: live.filter((owner) => owner.reachable).length,
      capacityBytes: 1e12,
      ownersOf: ({ path, index }, count) =>
        this.order(path, index)
          .filter((peer) => onRing.has(peer))
          .slice(0, count),
      isOnRing: (peer) => onRing.has(peer),
      isReachable: (peer) => reachable.has(peer),
    };
  }

  placementChanged(): void {
    this.give({ kind: 'placement', placement: this.placement() });
  }

  setReachable(name: string, reachable: boolean): void {
    this.owner(name).reachable = reachable;
    this.placementChanged();
  }

  /** It leaves the ring, and goes on with what it has begun. */
  drain(name: string): void {
    this.owner(name).draining = true;
    this.setOnRing(name, false);
  }

  setOnRing(name: string, onRing: boolean): void {
    this.owner(name).onRing = onRing;
    this.epoch += 1;
    this.placementChanged();
  }

  /** The process of the owner is another one: its work is lost; its leases too, if so. */
  restart(name: string, losesLeases: boolean): void {
    const owner = this.owner(name);
    owner.generation += 1;
    owner.stuck = false;
    owner.fills.clear();
    owner.tally = { segmentCount: 0, storedBytes: 0, ufsBytes: 0, copiedBytes: 0 };
    if (losesLeases) owner.leases.clear();
    this.give({ kind: 'peer-lost', peer: owner.id });
  }

  /** Gives an event to the run and performs what it asks for. */
  give(event: RunEvent): void {
    const { run } = this;
    this.eventCount += 1;
    for (const effect of run.handle(event, this.clock.nowMs())) this.#perform(run, effect);
  }

  /** Runs until the verdict; false when the time is over first. */
  async finish(maxMs = 600_000): Promise<boolean> {
    for (let ms = 0; ms < maxMs && !this.verdict; ms += 5) await this.advance(5);
    return this.verdict !== undefined;
  }

  /** In small steps: what a timer sets going by promises happens before the next one. */
  async advance(deltaMs: number): Promise<void> {
    for (let leftMs = deltaMs; leftMs > 0; leftMs -= 5) {
      this.clock.advance(Math.min(5, leftMs));
      for (let turn = 0; turn < 6; turn += 1) await Promise.resolve();
    }
  }

  /** Live owners that hold each segment of the object; its metadata does not count. */
  holdersOf(object: UfsObject, index: number): PeerId[] {
    const name = segmentName(object, index);
    return [...this.owners.values()]
      .filter((owner) => owner.onRing && owner.segments.has(name))
      .map(({ id }) => id);
  }

  fetchCountOf(name: string, index = 0): number {
    const object = this.objects.find(({ path }) => path === `s3://b/d/${name}`);
    return object ? (this.fetches.get(segmentName(object, index)) ?? 0) : 0;
  }

  #tick(run: JobRun): void {
    if (run !== this.run || this.verdict) return;
    this.give({ kind: 'tick' });
    this.clock.setTimer(50, () => {
      this.#tick(run);
    });
  }

  #later(run: JobRun, delayMs: number, then: () => void): void {
    this.clock.setTimer(delayMs, () => {
      if (run === this.run && !this.verdict) then();
    });
  }

  #perform(run: JobRun, effect: RunEffect): void {
    switch (effect.kind) {
      case 'list':
        this.#later(run, this.delayMs('list'), () => {
          this.#list(effect.after, effect.limit);
        });
        return;
      case 'stat':
        this.#later(run, this.delayMs('list'), () => {
          const found = this.objects.find(({ path }) => path === effect.path) ?? {
            code: 'ufs_not_found' as const,
            message: `${effect.path} does not exist`,
          };
          this.give({ kind: 'stat', path: effect.path, found });
        });
        return;
      case 'ask-checksum': {
        const { path, version } = effect.object;
        this.#later(run, this.delayMs('list'), () => {
          this.give({ kind: 'checksum', path, version, found: this.checksums.get(path) });
        });
        return;
      }
      case 'discard':
        this.trace.push(`${effect.to}: discard ${effect.file.path.slice('s3://b/d/'.length)}`);
        this.#later(run, this.delayMs('batch'), () => {
          this.#discard(effect.to, effect.file);
          this.give({ kind: 'discarded', path: effect.file.path });
        });
        return;
      case 'send':
        this.#send(run, effect.to, effect.batch);
        return;
      case 'recall':
        this.trace.push(`recall ${effect.recall.taskIds.length} from ${effect.to}`);
        // Everything runs at once here: nothing waits that could be given back for nothing.
        if (this.losesRecalls || !effect.recall.alsoRunning) return;
        this.clock.setTimer(this.delayMs('batch'), () => {
          for (const id of effect.recall.taskIds) this.#recalls.get(id)?.();
        });
        return;
      case 'ask-inventory':
        this.#askInventory(run, effect.to);
        return;
      case 'checkpoint':
        this.trace.push(`checkpoint ${effect.state} pass ${effect.checkpoint.pass}`);
        this.#later(run, 1, () => {
          this.checkpoint = effect.checkpoint;
          this.give({ kind: 'checkpointed' });
        });
        return;
      case 'file-failed':
        this.failedPaths.push(effect.failure.path);
        return;
      case 'finish':
        this.verdict = effect;
    }
  }

  #list(after: string | undefined, limit: number): void {
    const fault = this.listFault();
    if (fault) {
      this.give({ kind: 'list-failed', error: fault });
      return;
    }
    const rest = this.objects.filter(({ path }) => after === undefined || path > after);
    const objects = rest.slice(0, limit).map((object) => ({ ...object }));
    const cursor = objects.at(-1)?.path ?? after;
    const page = { objects, done: rest.length <= limit };
    this.give({ kind: 'page', page: cursor === undefined ? page : { ...page, cursor } });
  }

  #send(run: JobRun, to: PeerId, batch: TaskBatch): void {
    const owner = this.owners.get(to);
    const fault = this.batchFault(to);
    const names = batch.tasks.map(({ file, index, sources, attempt, follows }) => {
      const path = batch.files[file]?.path.slice('s3://b/d/'.length) ?? '?';
      const how = follows === true ? 'behind' : 'from';
      const from = sources.length > 0 ? ` ${how} ${sources.join(',')}` : '';
      return `${path}#${index}${attempt > 0 ? ` try ${attempt}` : ''}${from}`;
    });
    this.trace.push(`${to}: ${names.join(' ')}`);
    const isHeard = owner?.reachable === true && fault !== 'lost';
    if (isHeard) {
      this.clock.setTimer(this.delayMs('batch'), () => {
        void this.#execute(owner, batch, owner.generation);
      });
    }
    this.#later(run, this.delayMs('batch') + 1, () => {
      if (isHeard && fault === undefined) {
        this.give({ kind: 'batch-taken', to, windowTasks: 8, windowBytes: 10_000 });
      } else {
        const taskIds = batch.tasks.map(({ id }) => id);
        this.give({ kind: 'batch-failed', to, taskIds });
      }
    });
  }

  async #execute(owner: ModelOwner, batch: TaskBatch, generation: number): Promise<void> {
    await Promise.all(
      batch.tasks.map(async (task) => {
        const path = batch.files[task.file]?.path ?? '';
        const fate = this.fate(owner, task, path);
        await this.#pause(this.delayMs('task'));
        if (owner.generation !== generation || owner.stuck) return;
        const result =
          typeof fate === 'object'
            ? failed(task, fate)
            : await this.#perform1(owner, batch, task, generation);
        if (owner.generation !== generation || fate === 'lose-result') return;
        this.#answer(owner, batch, result);
        if (fate === 'repeat-result') this.#answer(owner, batch, result);
      }),
    );
  }

  async #perform1(
    owner: ModelOwner,
    batch: TaskBatch,
    task: Task,
    generation: number,
  ): Promise<TaskResult> {
    const file = batch.files[task.file];
    if (!file) throw new Error('a task without a file');
    if (task.index === METADATA_ONLY_INDEX) {
      return { id: task.id, status: 'loaded', ...this.#putRecord(owner, batch, file) };
    }
    const name = segmentName(file, task.index);
    if (file.isRefetched === true) owner.segments.delete(name);
    for (let tries = 0; !owner.segments.has(name) && tries < 3; tries += 1) {
      const running = owner.fills.get(name);
      if (running) {
        await running;
        continue;
      }
      let fault: WireError | undefined;
      const fill = this.#fill(owner, batch, task, generation).then((error) => {
        fault = error;
      });
      owner.fills.set(name, fill);
      await fill;
      owner.fills.delete(name);
      if (fault) return failed(task, fault);
    }
    const segment = owner.segments.get(name);
    if (!segment) return failed(task, { code: 'cache_io', message: 'gone again' });
    const lease = leaseOf(batch);
    let leased = owner.leases.get(lease);
    if (!leased) owner.leases.set(lease, (leased = new Map()));
    leased.set(name, segment.digest);
    const status = segment.loadedBy === batch.jobId ? 'loaded' : 'resident';
    const told = {
      ...(task.record && this.#putRecord(owner, batch, file)),
      // Of copies only CRC32C is known without reading them.
      ...(file.sum !== undefined &&
        (!task.copy || file.sum === 'crc32c') && {
          sum: segment.crc.toString(16).padStart(8, '0'),
        }),
    };
    return { id: task.id, status, digest: formatDigest(segment.digest), ...told };
  }

  #discard(to: PeerId, { path, version, sizeBytes }: DiscardedFile): void {
    const owner = this.owners.get(to);
    for (let index = 0; index * SEGMENT_BYTES < sizeBytes; index += 1) {
      owner?.segments.delete(segmentName({ path, version }, index));
    }
    void owner?.catalog.delete(path);
  }

  #putRecord(owner: ModelOwner, batch: TaskBatch, file: TaskFile): { recordDigest: string } {
    const { segmentSizeBytes, segmented, replicaCount } = batch.options;
    const record = { ...file, segmentSizeBytes, segmented, replicaCount, loadedBy: batch.jobId };
    void owner.catalog.hold([{ record, holder: leaseOf(batch), isNew: true }]);
    return { recordDigest: formatDigest(recordDigest(record)) };
  }

  async #fill(
    owner: ModelOwner,
    batch: TaskBatch,
    task: Task,
    generation: number,
  ): Promise<WireError | undefined> {
    const file = batch.files[task.file];
    if (!file) throw new Error('a task without a file');
    const name = segmentName(file, task.index);
    const sources = task.sources.flatMap((peer) => this.owners.get(peer) ?? []);
    if (task.follows === true) await sources[0]?.fills.get(name);
    const source = sources.find((peer) => peer.reachable && peer.segments.has(name));
    if (task.follows === true && !source) {
      return { code: 'not_found', message: 'what was followed came to nothing' };
    }
    if (!source) this.#tellBegun(owner, batch, task);
    if (!source) this.fetches.set(name, (this.fetches.get(name) ?? 0) + 1);
    const isRecalled = await this.#fillOrRecall(task, this.fillMs(owner, source ? 'peer' : 'ufs'));
    if (owner.generation !== generation) return { code: 'cancelled', message: 'restarted' };
    if (isRecalled) return { code: 'cancelled', message: 'recalled' };
    if (!source) {
      const object = this.objects.find(({ path }) => path === file.path);
      if (!object) return { code: 'ufs_not_found', message: `${file.path} is gone` };
      if (object.version !== file.version) return { code: 'ufs_changed', message: 'changed' };
      owner.tally.ufsBytes += task.length;
    } else {
      owner.tally.copiedBytes += task.length;
    }
    owner.tally.segmentCount += 1;
    owner.tally.storedBytes += task.length;
    const { path, version } = file;
    const key = { path, version, segmentSizeBytes: SEGMENT_BYTES, index: task.index };
    const crc = source?.segments.get(name)?.crc ?? this.crcOf(path, task.index);
    const digest = segmentDigest(key, task.length, crc);
    owner.segments.set(name, { digest, crc, loadedBy: batch.jobId });
    return undefined;
  }

  #answer(owner: ModelOwner, batch: TaskBatch, result: TaskResult): void {
    const { jobId: id, run, term: ofTerm, pass } = batch;
    const { generation } = owner;
    const frame = {
      ...{ jobId: id, run, term: ofTerm, pass, generation },
      results: [result],
      tally: { ...owner.tally },
    };
    this.clock.setTimer(this.delayMs('result'), () => {
      if (ofTerm !== this.term || run !== this.runNumber || this.verdict) return;
      this.give({ kind: 'results', from: owner.id, frame });
    });
  }

  #tellBegun(owner: ModelOwner, batch: TaskBatch, task: Task): void {
    const { followMinBytes = Infinity } = batch.options;
    if (task.copy || task.length < followMinBytes || !this.tellsBegun(owner, task)) return;
    const { jobId: id, run, term: ofTerm, pass } = batch;
    const { generation } = owner;
    const frame = {
      ...{ jobId: id, run, term: ofTerm, pass, generation, results: [] },
      ...{ begun: [task.id], tally: { ...owner.tally } },
    };
    this.clock.setTimer(this.delayMs('result'), () => {
      if (ofTerm !== this.term || run !== this.runNumber || this.verdict) return;
      this.give({ kind: 'results', from: owner.id, frame });
    });
  }

  #askInventory(run: JobRun, to: PeerId): void {
    const { passRef } = run;
    const owner = this.owners.get(to);
    this.#later(run, this.delayMs('batch'), () => {
      if (!owner?.reachable) {
        const reply = { code: 'peer_unreachable' as const, message: 'away' };
        this.give({ kind: 'inventory', from: to, pass: passRef.pass, reply });
        return;
      }
      const leased = [...(owner.leases.get(leaseOf(passRef)) ?? new Map<string, bigint>())];
      const held = leased.filter(([name]) => owner.segments.has(name));
      let sum = 0n;
      for (const [, digest] of held) sum = addDigests(sum, digest);
      const inventory = { segmentCount: held.length, bytes: 0, digest: formatDigest(sum) };
      const { generation, catalog } = owner;
      void catalog.heldInventory(leaseOf(passRef), this.spec.path).then((records) => {
        const reply = { inventory, records, generation };
        if (run === this.run && !this.verdict) {
          this.give({ kind: 'inventory', from: to, pass: passRef.pass, reply });
        }
      });
    });
  }

  /** True when the task was recalled before the fill was over. */
  #fillOrRecall(task: Task, delayMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.clock.setTimer(delayMs, () => {
        resolve(false);
      });
      this.#recalls.set(task.id, () => {
        resolve(true);
      });
    });
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(delayMs, resolve);
    });
  }

  #hashed(path: string, index: number): PeerId[] {
    const rank = (id: string): number => {
      let hash = 2166136261;
      for (const char of `${path}#${index}|${id}`) {
        hash = Math.imul(hash ^ char.charCodeAt(0), 16777619) >>> 0;
      }
      return Math.imul(hash ^ (hash >>> 15), 2246822519) >>> 0;
    };
    return [...this.owners.keys()].sort((a, b) => rank(a) - rank(b));
  }
}

export function segmentName(
  object: { readonly path: string; readonly version: string },
  index: number,
): string {
  return `${object.path}@${object.version}#${index}`;
}

function failed(task: Task, error: WireError): TaskResult {
  return { id: task.id, status: 'failed', error };
}
