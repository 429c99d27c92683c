/**
 * Peers that load on virtual time, around one replicated state that stands in for Raft: commands
 * of the leader of the newest term are applied in order, and peers hear of it a little later.
 */
import { ManualClock } from '../../../src/base/clock.ts';
import { fromWireError, RingloadError, toRingloadError } from '../../../src/base/errors.ts';
import {
  clusterId,
  jobId as asJobId,
  peerId,
  term as asTerm,
  type JobId,
  type PeerId,
} from '../../../src/base/ids.ts';
import { randomInt, SeededRandom } from '../../../src/base/random.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
import { apply } from '../../../src/cluster/apply.ts';
import { EMPTY_STATE, type ClusterState } from '../../../src/cluster/cluster-state.ts';
import type { Command, CommandResult } from '../../../src/cluster/commands.ts';
import type { JobCheckpoint, JobRecord } from '../../../src/cluster/job-record.ts';
import { isOnRing } from '../../../src/cluster/member.ts';
import type { Placement } from '../../../src/job/placement.ts';
import type { ResultFrame, TaskBatch } from '../../../src/job/protocol.ts';
import { JOB_DEFAULTS, type JobSpec } from '../../../src/job/spec.ts';
import { placementKey } from '../../../src/ring/keys.ts';
import { Ring } from '../../../src/ring/ring.ts';
import { MemoryUnderStore } from '../../../src/ufs/memory-under-store.ts';
import { RUN_LIMITS } from '../../job/support/run-world.ts';
import { endpointOf, SimPeer, type SimNetwork } from './sim-peer.ts';

export const SEGMENT_BYTES = 256;
export const JOB: JobId = asJobId('job');
const STEP_MS = 10;
const REQUEST_DEADLINE_MS = 1000;
/** After a crash: when it is noticed, and when the member counts as down. */
const NOTICE_MS = 300;
const DOWN_MS = 3000;

export interface NetworkFaults {
  lossRate: number;
  duplicateRate: number;
  delayMaxMs: number;
}

export class SimCluster {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  readonly under = new MemoryUnderStore();
  readonly peers: SimPeer[] = [];
  readonly faults: NetworkFaults = { lossRate: 0, duplicateRate: 0, delayMaxMs: 5 };
  /** UFS reads by `path@version#offset`, and the time of the last one. */
  readonly reads = new Map<string, number>();
  lastReadMs = -Infinity;
  ufsFault: (path: string) => RingloadError | undefined = () => undefined;
  state: ClusterState = EMPTY_STATE;
  term = 0;
  leader: SimPeer | undefined;
  spec: JobSpec;
  /** What was found wrong, in words. */
  readonly problems: string[] = [];
  onVerdict: (record: JobRecord) => Promise<void> = () => Promise.resolve();
  readonly #unnoticed = new Set<PeerId>();
  #ring: Ring | undefined;

  constructor(options: { seed: number; peers: number; spec?: Partial<JobSpec> }) {
    this.random = new SeededRandom(options.seed);
    this.spec = {
      ...JOB_DEFAULTS,
      path: 's3://b/d',
      segmentSizeBytes: SEGMENT_BYTES,
      ...options.spec,
    };
    this.under.onCall = ({ operation, path, offset }) => {
      const fault = this.ufsFault(path);
      if (fault) throw fault;
      if (operation !== 'readRange') return;
      const name = `${path}#${offset ?? 0}`;
      this.reads.set(name, (this.reads.get(name) ?? 0) + 1);
      this.lastReadMs = this.clock.nowMs();
    };
    for (let n = 1; n <= options.peers; n += 1) this.peers.push(this.#newPeer(`p${n}`));
    const [founder] = this.peers;
    if (!founder) throw new Error('a cluster needs a peer');
    for (const peer of this.peers) peer.start();
    this.#apply({
      kind: 'cluster.create',
      clusterId: clusterId('c'),
      founder: this.#announcement(founder),
      atMs: 0,
    });
    for (const peer of this.peers) {
      this.#apply({ kind: 'member.admit', member: this.#announcement(peer), atMs: 0 });
      this.#announce(peer);
    }
    this.elect(founder);
    this.#watch();
  }

  pick(bound: number): number {
    return randomInt(this.random, bound);
  }

  async advance(deltaMs: number): Promise<void> {
    for (let ms = 0; ms < deltaMs; ms += STEP_MS) {
      this.clock.advance(STEP_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** False when the time was over first. */
  async until(isDone: () => boolean, maxMs: number): Promise<boolean> {
    for (let ms = 0; ms < maxMs && !isDone(); ms += STEP_MS) await this.advance(STEP_MS);
    return isDone();
  }

  get job(): JobRecord | undefined {
    return this.state.jobs.get(JOB);
  }

  submit(): CommandResult {
    const { spec } = this;
    return this.#apply({
      kind: 'job.submit',
      jobId: JOB,
      spec,
      activeMaxCount: 10,
      atMs: this.clock.wallMs(),
    });
  }

  /** As a submit of the same path by somebody else: resumes a stopped job. */
  submitAgain(): CommandResult {
    const { spec } = this;
    const jobId = asJobId('another');
    return this.#apply({ kind: 'job.submit', jobId, spec, activeMaxCount: 10, atMs: 0 });
  }

  stop(): CommandResult {
    return this.#apply({ kind: 'job.stop', jobId: JOB, atMs: this.clock.wallMs() });
  }

  retry(): CommandResult {
    return this.#apply({ kind: 'job.retry', jobId: JOB, atMs: this.clock.wallMs() });
  }

  /** @param isTold false: the one who led before does not hear of it yet. */
  elect(peer: SimPeer, isTold = true): void {
    const before = this.leader;
    this.term += 1;
    this.leader = peer;
    if (before && before !== peer) {
      this.clock.setTimer(isTold ? 0 : 1000, () => {
        if (this.leader !== before) before.coordinator.resign();
      });
    }
    peer.seen = this.state;
    peer.coordinator.lead(asTerm(this.term), this.state, this.#placement());
  }

  electSomebody(isTold = true): void {
    const alive = this.peers.filter((peer) => peer.alive);
    const next = alive[this.pick(Math.max(1, alive.length))];
    if (next) this.elect(next, isTold);
  }

  crash(peer: SimPeer, how: Parameters<SimPeer['crash']>[0]): void {
    if (!peer.alive) return;
    peer.crash(how);
    const { generation } = peer;
    this.#unnoticed.add(peer.id);
    const stillGone = (): boolean => !peer.alive && peer.generation === generation;
    this.clock.setTimer(NOTICE_MS, () => {
      this.#unnoticed.delete(peer.id);
    });
    this.clock.setTimer(DOWN_MS, () => {
      if (stillGone()) this.#judgeDown(peer, generation);
    });
    if (this.leader !== peer) return;
    this.leader = undefined;
    this.clock.setTimer(200 + this.pick(800), () => {
      if (!this.leader) this.electSomebody();
    });
  }

  restart(peer: SimPeer): void {
    if (peer.alive) return;
    peer.start();
    this.#unnoticed.delete(peer.id);
    this.#announce(peer);
    this.leader?.coordinator.losePeer(peer.id);
    if (!this.leader) this.electSomebody();
  }

  /** Whether enough disks hold every segment of the object, whole and right. */
  async copiesOf(path: string, bytes: Uint8Array, version: string): Promise<number> {
    const onRing = [...this.state.members.values()].filter(isOnRing).map(({ id }) => id);
    let least = Infinity;
    for (let index = 0; index * SEGMENT_BYTES < bytes.length; index += 1) {
      const key = { path, version, segmentSizeBytes: SEGMENT_BYTES, index };
      const expected = bytes.subarray(index * SEGMENT_BYTES, (index + 1) * SEGMENT_BYTES);
      let copies = 0;
      for (const peer of this.peers) {
        if (onRing.includes(peer.id) && (await this.#holds(peer, key, expected))) copies += 1;
      }
      least = Math.min(least, copies);
    }
    return least;
  }

  async #holds(peer: SimPeer, key: SegmentKey, expected: Uint8Array): Promise<boolean> {
    const { wiped } = peer;
    const wipedLately =
      wiped && this.clock.nowMs() - wiped.atMs < DOWN_MS ? wiped.store : undefined;
    for (const store of [peer.store, wipedLately]) {
      const reader = await store?.open(key);
      if (!reader) continue;
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.read(0, reader.lengthBytes)) chunks.push(chunk);
      reader.close();
      if (Buffer.compare(Buffer.concat(chunks), expected) === 0) return true;
      this.problems.push(`${peer.id} holds wrong bytes of ${key.path}#${key.index}`);
    }
    return false;
  }

  #newPeer(name: string): SimPeer {
    return new SimPeer({
      id: peerId(name),
      clock: this.clock,
      random: this.random,
      under: this.under,
      network: this.#network(),
      state: () => this.state,
      term: () => asTerm(this.term),
      commit: (from, command) => this.#commit(from, command),
      runLimits: {
        ...RUN_LIMITS,
        silentAfterMs: 15_000,
        answerTimeoutMs: 15_000,
        windowFiles: 12,
        checkpointIntervalMs: 200,
        taskRetryMaxCount: 4,
        throttlePatienceMs: 60_000,
        passMaxCount: 30,
        replicaWaitMs: 60_000,
      },
      executorLimits: {
        windowTasks: 8,
        windowBytes: 64 * 1024,
        parallelTasks: 3,
        parallelBytes: 4 * SEGMENT_BYTES,
        resultDelayMs: 10,
        resultBatchMaxCount: 4,
      },
    });
  }

  #announcement(peer: SimPeer): Extract<Command, { kind: 'member.admit' }>['member'] {
    return {
      id: peer.id,
      address: `${peer.id}:1`,
      dataEndpoint: endpointOf(peer.id),
      weight: 1,
      zone: '',
      capacityBytes: 64 * 1024 * 1024,
      generation: peer.generation,
    };
  }

  #announce(peer: SimPeer): void {
    this.#apply({ kind: 'member.announce', member: this.#announcement(peer), atMs: 0 });
  }

  #judgeDown(peer: SimPeer, generation: number): void {
    const { id } = peer;
    this.#apply({ kind: 'member.judge', id, generation, verdict: 'down', atMs: 0 });
  }

  async #commit(from: SimPeer, command: Command): Promise<void> {
    const { generation } = from;
    const { term } = this;
    await this.#pause(1 + this.pick(this.faults.delayMaxMs));
    if (this.leader !== from || this.term !== term || from.generation !== generation) {
      throw new RingloadError('not_leader', `${from.id} does not lead`);
    }
    if (this.#isLost()) throw new RingloadError('deadline_exceeded', 'no answer of the log');
    const result = this.#apply(command);
    if (!result.ok) throw fromWireError(result.error);
  }

  #apply(command: Command): CommandResult {
    // As it travels through the log.
    const { state, result } = apply(this.state, JSON.parse(JSON.stringify(command)) as Command);
    if (state === this.state) return result;
    this.state = state;
    if ('checkpoint' in command) this.#checkAccount(command.checkpoint);
    if (command.kind === 'job.finish' && result.ok && this.job) void this.onVerdict(this.job);
    for (const peer of this.peers) {
      const { generation } = peer;
      const delayMs = peer === this.leader ? 0 : this.pick(this.faults.delayMaxMs);
      const show = (): void => {
        if (!peer.alive || peer.generation !== generation) return;
        // Why the newest: views only move forward, whatever the delays.
        peer.seen = this.state;
        peer.executor.sweep();
        if (peer !== this.leader) return;
        peer.coordinator.setPlacement(this.#placement());
        peer.coordinator.reconcile(peer.seen);
      };
      this.clock.setTimer(delayMs, show);
    }
    return result;
  }

  #checkAccount({ counters }: JobCheckpoint): void {
    const of = (name: string): number => counters[name] ?? 0;
    const accounted =
      of('loadedFiles') + of('skippedFiles') + of('failedFiles') + of('filteredFiles');
    if (of('listedFiles') !== accounted) {
      this.problems.push(`listed ${of('listedFiles')}, accounted for ${accounted}`);
    }
    const bytes = of('loadedBytes') + of('skippedBytes') + of('failedBytes');
    if (of('listedBytes') !== bytes && !this.spec.metadataOnly) {
      this.problems.push(`listed ${of('listedBytes')} bytes, accounted for ${bytes}`);
    }
  }

  #watch(): void {
    this.leader?.coordinator.setPlacement(this.#placement());
    this.clock.setTimer(100, () => {
      this.#watch();
    });
  }

  #placement(): Placement {
    const { epoch, members } = this.state;
    const owners = [...members.values()].filter(isOnRing);
    if (this.#ring?.epoch !== epoch) this.#ring = Ring.from({ epoch, members: owners });
    const ring = this.#ring;
    const ids = new Set(owners.map(({ id }) => id));
    const alive = this.peers.filter(({ id, alive }) => alive || this.#unnoticed.has(id));
    const reachable = new Set(alive.map(({ id }) => id).filter((id) => ids.has(id)));
    return {
      epoch,
      isInOrder: true,
      memberCount: ids.size,
      reachableCount: reachable.size,
      capacityBytes: 1e12,
      ownersOf: (segment, count) => ring.ownersOf(placementKey(segment), count),
      isOnRing: (peer) => ids.has(peer),
      isReachable: (peer) => reachable.has(peer),
    };
  }

  #network(): SimNetwork {
    const peerOf = (id: PeerId): SimPeer | undefined => this.peers.find((peer) => peer.id === id);
    return {
      peerAt: (_from, endpoint) => {
        const peer = this.peers.find(({ id }) => endpointOf(id) === endpoint);
        return peer?.alive && !this.#isLost() ? peer : undefined;
      },
      owners: (from) => ({
        sendBatch: (to, batch: TaskBatch) =>
          this.#request(from, peerOf(to), (peer) => peer.executor.accept(from, copy(batch))),
        inventory: (to, pass) =>
          this.#request(from, peerOf(to), (peer) => peer.executor.inventory(pass)),
        discard: (to, file) =>
          this.#request(from, peerOf(to), (peer) => peer.executor.discard(copy(file))),
        recall: (to, recall) => {
          const peer = peerOf(to);
          if (!this.#isLost() && peer?.alive) peer.executor.recall(from, recall);
        },
        cancel: (to, pass) => {
          const peer = peerOf(to);
          if (!this.#isLost() && peer?.alive) peer.executor.cancel(pass);
        },
      }),
      leader: (from) => ({
        sendResults: (to, frame: ResultFrame) =>
          this.#request(from, peerOf(to), (peer) => {
            peer.coordinator.takeResults(from, copy(frame));
          }),
      }),
      fillMs: () => 1 + this.pick(30),
    };
  }

  /** One request that may be late, lost on either way, or heard twice. */
  #request<T>(
    from: PeerId,
    to: SimPeer | undefined,
    handle: (peer: SimPeer) => T | Promise<T>,
  ): Promise<T> {
    const generation = to?.generation;
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        reject(new RingloadError('deadline_exceeded', 'no answer'));
      };
      this.clock.setTimer(REQUEST_DEADLINE_MS, fail);
      const arrive = (): void => {
        if (!to?.alive || to.generation !== generation) {
          reject(new RingloadError('peer_unreachable', 'nobody there'));
          return;
        }
        const answer = new Promise<T>((answered) => {
          answered(handle(to));
        });
        const isAnswerLost = this.#isLost();
        answer.then(
          (value) =>
            isAnswerLost ||
            this.#soon(() => {
              resolve(value);
            }),
          (error: unknown) =>
            isAnswerLost ||
            this.#soon(() => {
              reject(toRingloadError(error));
            }),
        );
      };
      const isLocal = to?.id === from;
      if (isLocal) arrive();
      else if (!this.#isLost()) this.#soon(arrive);
      if (!isLocal && this.random.next() < this.faults.duplicateRate) this.#soon(arrive);
    });
  }

  #soon(then: () => void): void {
    this.clock.setTimer(1 + this.pick(this.faults.delayMaxMs), then);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(delayMs, resolve);
    });
  }

  #isLost(): boolean {
    return this.faults.lossRate > 0 && this.random.next() < this.faults.lossRate;
  }
}

/** What arrives shares nothing with what was sent. */
function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
