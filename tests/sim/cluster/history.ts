/**
 * What was agreed and promised in a run, and the checks of it: one log, one leader per term, jobs
 * that go from state to state as they may, verdicts that the disks bear out.
 */
import type { JobId, PeerId, Term } from '../../../src/base/ids.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import { nativeCrc32c } from '../../../src/cache/io/native-crc32c.ts';
import { EMPTY_STATE, type ClusterState } from '../../../src/cluster/cluster-state.ts';
import type { Command, CommandResult } from '../../../src/cluster/commands.ts';
import {
  isActiveState,
  type JobCheckpoint,
  type JobRecord,
} from '../../../src/cluster/job-record.ts';
import { isOnRing } from '../../../src/cluster/member.ts';
import { isAtOrBelow } from '../../../src/ufs/path.ts';
import { compileFilters, type FileFilter } from '../../../src/job/file-filter.ts';
import type { TaskBatch } from '../../../src/job/protocol.ts';
import type { JobSpec } from '../../../src/job/spec.ts';
import type { ClusterParts } from '../../../src/node/form-cluster.ts';
import { loads, rootsOfJob } from './job-roots.ts';
import { CACHE_DIRECTORY, SEGMENT_BYTES } from './sim-config.ts';
import { newIds, segmentName, type Running, type SimPeer } from './sim-peer.ts';
import type { Version } from './sim-ufs.ts';
import type { World } from './world.ts';

export interface Applied {
  readonly command: string;
  readonly index: number;
  readonly result: CommandResult;
  readonly state: ClusterState;
}

/** When a run of a job began and ended. */
interface RunTimes {
  readonly run: number;
  readonly fromMs: number;
  untilMs: number;
}

/** A verdict may be on its way for so long. */
const WIPE_GRACE_MS = 500;
/** Copies that were dropped so short before a verdict may have been there when it was asked for. */
const DROP_GRACE_MS = 20_000;

export class History {
  readonly newJobId = newIds();
  /** Newest state that any peer has applied. */
  state: ClusterState = EMPTY_STATE;
  appliedIndex = 1;
  verdictCount = 0;
  readonly runs = new Map<JobId, RunTimes[]>();
  /** When each free was agreed on, by number. */
  readonly freeMs = new Map<number, number>();
  readonly #world: World;
  readonly #peers: () => readonly SimPeer[];
  readonly #log = new Map<number, string>();
  readonly #leaders = new Map<Term, PeerId>();
  readonly #crcs = new Map<string, number>();
  readonly #dropCounts = new Map<SimPeer, number>();
  readonly #lastDropMs = new Map<SimPeer, number>();

  constructor(world: World, peers: () => readonly SimPeer[]) {
    this.#world = world;
    this.#peers = peers;
  }

  applied(peer: SimPeer, { command, index, result, state }: Applied): void {
    const world = this.#world;
    const known = this.#log.get(index);
    if (known !== undefined) {
      world.check(
        'S5',
        known === command,
        () => `entry ${index} of ${peer.address} is another one`,
      );
      return;
    }
    this.#log.set(index, command);
    world.note('applied', index);
    world.check(
      'S5',
      index > this.appliedIndex,
      () => `entry ${index} comes after ${this.appliedIndex}`,
    );
    this.appliedIndex = Math.max(this.appliedIndex, index);
    const before = this.state;
    this.state = state;
    const parsed = JSON.parse(command) as Command;
    this.#say(parsed, result);
    if (parsed.kind === 'cache.free' && result.ok)
      this.freeMs.set(state.lastFree, this.#world.time.nowMs);
    if (before.jobs !== state.jobs) this.#checkJobs(before, parsed, result);
  }

  formed(peer: SimPeer, running: Running, { consensus }: ClusterParts): void {
    consensus.onStatusChange(({ role, term }) => {
      if (running.life.isOver || role !== 'leader') return;
      const known = this.#leaders.get(term);
      if (known === undefined) {
        this.#world.count('elections');
        this.#world.say(`${peer.address} leads term ${term}`);
      }
      this.#leaders.set(term, peer.id);
      this.#world.check('S5', known === undefined || known === peer.id, () => {
        return `${String(known)} and ${peer.id} both lead term ${term}`;
      });
    });
  }

  /** An owner took a batch of another peer: was it still to be taken? */
  batchTaken(peer: SimPeer, batch: TaskBatch): void {
    const cluster = peer.services?.cluster;
    if (!cluster) return;
    const { term } = cluster.consensus.status();
    this.#world.check('S4', batch.term >= term, () => {
      return `${peer.address} took tasks of term ${batch.term} in term ${term}`;
    });
    const known = cluster.state.current.jobs.get(batch.jobId);
    const isOver =
      known !== undefined &&
      (known.run > batch.run || (known.run === batch.run && !isActiveState(known.state)));
    this.#world.check('S6', !isOver, () => `${peer.address} took tasks of an ended run`);
  }

  /** What a disk holds after a start, compared with what it held at the end before. */
  reopened(peer: SimPeer, store: FileSegmentStore): void {
    const expected = peer.residentAtEnd;
    const isFailed = store.usage().directories.some(({ state }) => state === 'failed');
    // What a rule or a free was just letting go of may be gone or not.
    if (expected.size === 0 || isFailed || this.#world.rules.letsGo) return;
    const found = this.residentIn(store);
    this.#soon(() => {
      const lost = [...expected].filter((name) => !found.has(name));
      this.#world.check('S7', lost.length === 0, () => {
        return `${peer.address} lost ${lost.length} durable segments, ${lost[0]}`;
      });
    });
  }

  /** Filled before the next event. Names what the index says; wrong checksums are found here. */
  residentIn(store: FileSegmentStore): ReadonlySet<string> {
    const found = new Set<string>();
    for (const version of [...this.#world.ufs.versions.values()].flat()) {
      for (const key of keysOf(version)) {
        void store.lookup(key).then((resident) => {
          if (!resident) return;
          found.add(segmentName(key));
          this.#world.check('S8', resident.crc32c === this.#crcOf(version, key.index), () => {
            return `the index has a wrong checksum of ${segmentName(key)}`;
          });
        });
      }
    }
    return found;
  }

  /** Now and then: what grows only by steps that nobody announces. */
  sample(): void {
    for (const peer of this.#peers()) {
      const store = peer.running?.store;
      if (!store) continue;
      const usage = store.usage();
      const failed = usage.directories.filter(({ state }) => state === 'failed').length;
      const dropped = usage.corruptSegmentCount + 1000 * failed;
      if (dropped !== (this.#dropCounts.get(peer) ?? 0)) {
        this.#dropCounts.set(peer, dropped);
        this.#lastDropMs.set(peer, this.#world.time.nowMs);
        this.#world.count('corruptSegmentsDropped');
      }
      const strays = peer.cacheDisk.strays(CACHE_DIRECTORY);
      this.#world.check('S7', strays.length === 0, () => `${peer.address} wrote ${strays[0]}`);
      this.#world.check('S7', usage.usedBytes <= usage.capacityBytes + 64 * 1024, () => {
        return `${peer.address} keeps ${usage.usedBytes} of ${usage.capacityBytes} bytes`;
      });
    }
  }

  /** Whether a run of that path was under way. */
  wasActive(path: string, atMs: number): boolean {
    return [...this.state.jobs.values()].some(
      (job) =>
        loads(job.spec, path, this.#world.roots) &&
        this.runs.get(job.id)?.some(({ fromMs, untilMs }) => fromMs <= atMs && atMs <= untilMs),
    );
  }

  /** Whether any run of that path was under way then or later. */
  wasActiveSince(path: string, sinceMs: number): boolean {
    return [...this.state.jobs.values()].some(
      (job) =>
        loads(job.spec, path, this.#world.roots) &&
        this.runs.get(job.id)?.some(({ untilMs }) => untilMs > sinceMs),
    );
  }

  #checkJobs(before: ClusterState, command: Command, result: CommandResult): void {
    const world = this.#world;
    for (const [id, old] of before.jobs) {
      const now = this.state.jobs.get(id);
      world.check('S4', now !== undefined, () => `job ${id} is gone`);
      // Why the text: a peer that was restored from a snapshot has objects of its own.
      if (!now || now === old || JSON.stringify(now) === JSON.stringify(old)) continue;
      const isSameRun = now.run === old.run;
      world.check('S4', isSameRun || now.run === old.run + 1, () => `job ${id} skips runs`);
      world.check('S4', !isSameRun || isActiveState(old.state), () => {
        return `job ${id} was ${old.state} and is ${now.state} in the same run`;
      });
      world.check('S4', !isSameRun || now.term >= old.term, () => `term of job ${id} went back`);
    }
    for (const now of this.state.jobs.values()) this.#noteRun(now);
    if (!result.ok) return;
    if (command.kind !== 'job.checkpoint' && command.kind !== 'job.finish') return;
    const job = this.state.jobs.get(command.jobId);
    if (!job) return;
    world.check('S4', command.run === job.run, () => `an order of run ${command.run} took effect`);
    this.#checkAccount(job, command.checkpoint);
    if (command.kind === 'job.finish') this.#checkVerdict(job, this.state);
  }

  #noteRun(job: JobRecord): void {
    const runs = this.runs.get(job.id) ?? [];
    this.runs.set(job.id, runs);
    let last = runs.at(-1);
    if (last?.run !== job.run) {
      last = { run: job.run, fromMs: this.#world.time.nowMs, untilMs: Infinity };
      runs.push(last);
    }
    if (!isActiveState(job.state)) last.untilMs = Math.min(last.untilMs, this.#world.time.nowMs);
  }

  #checkAccount({ id, spec }: JobRecord, { counters }: JobCheckpoint): void {
    const of = (name: string): number => counters[name] ?? 0;
    const files = of('loadedFiles') + of('skippedFiles') + of('failedFiles') + of('filteredFiles');
    this.#world.check('S3', of('listedFiles') === files, () => {
      return `job ${id} listed ${of('listedFiles')} files and accounts for ${files}`;
    });
    if ((spec as JobSpec).metadataOnly) return;
    const bytes = of('loadedBytes') + of('skippedBytes') + of('failedBytes');
    this.#world.check('S3', of('listedBytes') === bytes, () => {
      return `job ${id} listed ${of('listedBytes')} bytes and accounts for ${bytes}`;
    });
  }

  #checkVerdict(job: JobRecord, { members }: ClusterState): void {
    const world = this.#world;
    this.verdictCount += 1;
    world.count(`jobs.${job.state}`);
    if (job.state !== 'SUCCEEDED') return;
    const spec = job.spec as JobSpec;
    const runFromMs = this.runs.get(job.id)?.at(-1)?.fromMs ?? 0;
    const accepts = compileFilters(spec);
    const there = this.stableFilesOf(spec, runFromMs);
    const listed = there.filter(({ path }) => !world.ufs.wasLiedAboutSince(path, runFromMs));
    this.#checkCounts(job, there, accepts);
    const owners = this.#peers().filter((peer) => {
      const member = members.get(peer.id);
      return member !== undefined && isOnRing(member);
    });
    const residents = owners.map((peer) => ({ peer, names: this.#heldLately(peer) }));
    this.#soon(() => {
      for (const version of listed.filter(accepts)) {
        if (!spec.metadataOnly) this.#checkCopies(spec, version, residents);
      }
    });
    for (const version of listed.filter(accepts)) {
      void this.#checkRecords(spec, version, owners);
    }
  }

  /** Versions that the job cannot have missed, whatever was told of them. */
  stableFilesOf(spec: JobSpec, sinceMs: number): Version[] {
    const roots = rootsOfJob(spec, this.#world.roots);
    return roots.flatMap((root) => this.#world.ufs.stableSince(root, sinceMs));
  }

  /** Whether a free of the path, or of one above it, was agreed on since then. */
  wasFreedSince(path: string, sinceMs: number): boolean {
    return this.state.frees.some(
      (free) => isAtOrBelow(free.path, path) && (this.freeMs.get(free.number) ?? 0) >= sinceMs,
    );
  }

  /** What the peer holds, and what it held so short ago that nobody can know better. */
  #heldLately(peer: SimPeer): ReadonlySet<string> {
    const { wiped } = peer;
    const now = peer.resident();
    // As long as the process is not back its inventory of before is the last word.
    const isKnown = peer.services !== undefined;
    if (!wiped || (isKnown && wiped.atMs < this.#world.time.nowMs - WIPE_GRACE_MS)) return now;
    const both = new Set<string>();
    this.#soon(() => {
      for (const name of [...now, ...wiped.names]) both.add(name);
    });
    return both;
  }

  /** Only where nothing moved under the job. */
  #checkCounts(job: JobRecord, there: readonly Version[], accepts: FileFilter): void {
    const spec = job.spec as JobSpec;
    const runs = this.runs.get(job.id) ?? [];
    const { counters = {} } = job.checkpoint ?? {};
    const sinceMs = runs[0]?.fromMs ?? 0;
    const roots = rootsOfJob(spec, this.#world.roots);
    if (roots.some((root) => this.#world.ufs.isDisturbedSince(root, sinceMs))) return;
    const passing = there.filter(accepts);
    const expected = {
      listedFiles: there.length,
      filteredFiles: there.length - passing.length,
      failedFiles: 0,
      ...(!spec.metadataOnly && {
        listedBytes: passing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      }),
    };
    for (const [name, count] of Object.entries(expected)) {
      this.#world.check('S3', counters[name] === count, () => {
        return `job ${job.id} SUCCEEDED with ${name} ${counters[name]}, not ${count}`;
      });
    }
  }

  #checkCopies(
    spec: JobSpec,
    version: Version,
    residents: readonly { readonly peer: SimPeer; readonly names: ReadonlySet<string> }[],
  ): void {
    const sinceMs = this.#world.time.nowMs - DROP_GRACE_MS;
    for (const key of keysOf(version)) {
      const holders = residents.filter(({ names }) => names.has(segmentName(key)));
      const doubtful = residents.filter(
        ({ peer, names }) =>
          !names.has(segmentName(key)) && (this.#lastDropMs.get(peer) ?? -Infinity) > sinceMs,
      );
      this.#world.check('S3', holders.length + doubtful.length >= spec.replicaCount, () => {
        const at = holders.map(({ peer }) => peer.address).join(',');
        return `SUCCEEDED with ${segmentName(key)} on [${at}], not on ${spec.replicaCount} peers`;
      });
    }
  }

  async #checkRecords(spec: JobSpec, version: Version, owners: readonly SimPeer[]): Promise<void> {
    let count = 0;
    for (const { catalog } of owners) {
      if ((await catalog.get(version.path))?.version === version.version) count += 1;
    }
    this.#world.check('S3', count >= spec.replicaCount, () => {
      return `SUCCEEDED with the record of ${version.path} at ${count} homes, not ${spec.replicaCount}`;
    });
  }

  #crcOf(version: Version, index: number): number {
    const name = `${version.path}@${version.version}#${index}`;
    let crc = this.#crcs.get(name);
    if (crc === undefined) {
      crc = nativeCrc32c(
        version.bytes.subarray(index * SEGMENT_BYTES, (index + 1) * SEGMENT_BYTES),
      );
      this.#crcs.set(name, crc);
    }
    return crc;
  }

  /** After what is resolved by now has been told. */
  #soon(check: () => void): void {
    void Promise.resolve()
      .then(() => undefined)
      .then(() => undefined)
      .then(check);
  }

  #say(command: Command, result: CommandResult): void {
    if (!this.#world.log) return;
    const { kind } = command;
    const rest =
      'jobId' in command
        ? `${command.jobId} ${'state' in command ? command.state : ''}` +
          ('checkpoint' in command
            ? ` pass ${command.checkpoint.pass} epoch ${command.checkpoint.epoch} ${JSON.stringify(command.checkpoint.counters)}`
            : '') +
          ('failure' in command ? ` ${JSON.stringify(command.failure)}` : '')
        : 'verdict' in command
          ? `${command.id.slice(-2)} ${command.verdict}`
          : '';
    this.#world.say(`applied ${kind} ${rest}${result.ok ? '' : ` REFUSED ${result.error.code}`}`);
  }
}

export function keysOf({ path, version, sizeBytes }: Version) {
  const count = Math.ceil(sizeBytes / SEGMENT_BYTES);
  return Array.from({ length: count }, (_unused, index) => ({
    path,
    version,
    segmentSizeBytes: SEGMENT_BYTES,
    index,
  }));
}
