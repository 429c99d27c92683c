/** Clients: they ask peers for what was planned, and check what they are told against the model. */
import { toRingloadError, type ErrorCode } from '../../../src/base/errors.ts';
import type { JobId } from '../../../src/base/ids.ts';
import { newestJobOf } from '../../../src/cluster/cluster-state.ts';
import { isActiveState } from '../../../src/cluster/job-record.ts';
import { JOB_DEFAULTS, JOB_PRIORITIES, type JobSpec } from '../../../src/job/spec.ts';
import { comparePaths, isAtOrBelow } from '../../../src/ufs/path.ts';
import type { JobRef } from '../../../src/cluster/job-identity.ts';
import { CacheClients } from './cache-clients.ts';
import { Chance } from '../raft/chance.ts';
import type { ClientStep } from './client-step.ts';
import { SEGMENT_BYTES } from './sim-config.ts';
import type { Services, SimPeer } from './sim-peer.ts';
import { MOUNT } from './sim-ufs.ts';
import type { Cluster } from './strike.ts';
import type { World } from './world.ts';

/** No question of a client to a peer that lives may stay open for longer (L5). */
const ANSWER_MAX_MS = 90_000;

/** So few that there are several pages. */
const LIST_LIMIT = 4;
const ELSEWHERE = 's3://elsewhere';

/** Files whose names end in an even digit. */
const EVEN_FILES = '.*[02468]';

/** Half of a root's files, chosen in one way or another. */
function filtersOf(root: number): Partial<JobSpec> {
  if (root % 2 === 0) return { fileFilterRegex: EVEN_FILES };
  return { include: ['*[0-9]'], exclude: ['*[13579]'], maxSizeBytes: 100 * SEGMENT_BYTES };
}

interface OpenQuestion {
  readonly what: string;
  readonly peer: SimPeer;
  readonly life: object;
  readonly sinceMs: number;
}

export interface Stopped {
  readonly jobId: JobId;
  readonly run: number;
  readonly path: string;
  readonly atMs: number;
}

export class Clients {
  readonly #cluster: Cluster;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #open = new Set<OpenQuestion>();
  readonly stops: Stopped[] = [];
  /** Paths that clients read, and when the last of them was done with it. */
  readonly #reading = new Map<string, { count: number; untilMs: number }>();
  /** Peers and files whose ranges were cut at the end, for a version that cannot be completed. */
  readonly #cutOnce = new Set<string>();
  readonly acceptedJobs = new Set<JobId>();
  readonly #cache: CacheClients;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#world = cluster.world;
    this.#chance = new Chance(cluster.world.seed, 8);
    this.#cache = new CacheClients(cluster, this);
  }

  schedule(steps: readonly ClientStep[]): void {
    const { time } = this.#world;
    for (const step of steps) {
      time.after(step.atMs - time.nowMs, () => {
        this.#take(step);
      });
    }
  }

  /** Whether a GET of this path may be a reader's. */
  wasReadLately(path: string): boolean {
    const reading = this.#reading.get(path);
    return (
      reading !== undefined &&
      (reading.count > 0 || reading.untilMs > this.#world.time.nowMs - 3000)
    );
  }

  checkOpenQuestions(): void {
    const { nowMs } = this.#world.time;
    for (const question of this.#open) {
      const { what, peer, life, sinceMs } = question;
      if (peer.running?.life !== life) this.#open.delete(question);
      else if (!peer.isPaused) {
        this.#world.check('L5', nowMs - sinceMs < ANSWER_MAX_MS, () => {
          return `${peer.address} owes an answer to ${what} since ${Math.round(sinceMs)} ms`;
        });
      }
    }
  }

  /** The job's own order, as clients give it. */
  specOf(step: Extract<ClientStep, { kind: 'submit' }>): JobSpec {
    const { replicaCount, verify, segmented, reload } = step;
    return {
      ...JOB_DEFAULTS,
      path: rootOf(step.root),
      segmentSizeBytes: SEGMENT_BYTES,
      batchSize: 2,
      ...{ replicaCount, verify, segmented, reload },
      priority: JOB_PRIORITIES[step.root % JOB_PRIORITIES.length] ?? 'medium',
      ...(step.filter && filtersOf(step.root)),
    };
  }

  /** Questions of processes that run, without an answer yet. */
  get openCount(): number {
    return [...this.#open].filter(({ peer, life }) => peer.running?.life === life).length;
  }

  #take(step: ClientStep): void {
    switch (step.kind) {
      case 'submit':
        void this.submit(step.peer, this.specOf(step));
        return;
      case 'stop':
        void this.#stop(step.peer, rootOf(step.root));
        return;
      case 'retry':
        void this.retry(step.peer, { path: rootOf(step.root) });
        return;
      case 'status':
        void this.#status(step.peer, rootOf(step.root));
        return;
      case 'list':
        void this.list(step.peer, rootOf(step.root));
        return;
      case 'rule':
      case 'free':
      case 'check':
      case 'submitMany':
        void this.#cache.take(step);
        return;
      case 'trespass':
        void this.#trespass(step.peer);
        return;
      case 'read':
        void this.read(step.peer, this.#cluster.pathOf(step.root, step.file), step.isPart);
        return;
    }
  }

  async submit(peer: number, spec: JobSpec): Promise<void> {
    const answer = await this.ask(peer, 'submit', ({ jobs }) => jobs.submit(spec));
    if (!answer) return;
    const { jobId } = answer.value;
    this.acceptedJobs.add(jobId);
    this.#world.count('submits.accepted');
    this.#world.check('S4', this.#world.history.state.jobs.has(jobId), () => {
      return `job ${jobId} was accepted and is not committed`;
    });
  }

  async #stop(peer: number, path: string): Promise<void> {
    const answer = await this.ask(peer, 'stop', ({ jobs }) => jobs.stop({ path }));
    if (answer?.value !== true) return;
    const { state } = this.#world.history;
    const job = newestJobOf(state, { path });
    if (!job) return;
    this.#world.count('stops.accepted');
    // Another client may have resumed it by now: then this stop was for the run before.
    if (isActiveState(job.state) || job.state !== 'STOPPED') return;
    this.stops.push({ jobId: job.id, run: job.run, path, atMs: this.#world.time.nowMs });
  }

  async retry(peer: number, job: JobRef): Promise<void> {
    await this.ask(peer, 'retry', ({ jobs }) => jobs.retry(job));
  }

  async #status(peer: number, path: string): Promise<void> {
    const before = newestJobOf(this.#world.history.state, { path });
    const answer = await this.ask(peer, 'status', ({ jobs }) => jobs.status({ path }));
    if (!answer || !before) return;
    const status = answer.value;
    this.#world.count('statuses');
    if (status?.stale === true) return;
    const isOlder =
      status === undefined ||
      (status.id === before.id &&
        !isActiveState(before.state) &&
        isActiveState(status.state) &&
        this.#world.history.runs.get(before.id)?.at(-1)?.run === before.run);
    this.#world.check('S4', !isOlder, () => {
      return `job ${before.id} is ${before.state}, but is told to be ${status?.state ?? 'unknown'} and not stale`;
    });
  }

  /**
   * All pages of what is cached at or below `root`; undefined when a page was refused, or says that
   * it may lack something.
   */
  async list(
    peer: number,
    root: string,
    mustSucceed?: string,
  ): Promise<ReadonlySet<string> | undefined> {
    const listed: string[] = [];
    let after: string | undefined;
    let isWhole = true;
    do {
      const request = { root, limit: LIST_LIMIT, ...(after !== undefined && { after }) };
      const answer = await this.ask(
        peer,
        `list ${root}`,
        ({ reader }) => reader.list(request),
        mustSucceed,
      );
      if (!answer) return undefined;
      for (const { path, version } of answer.value.files) {
        const last = listed.at(-1);
        const isNext = last === undefined || comparePaths(last, path) < 0;
        const isThere = isAtOrBelow(root, path) && this.#world.ufs.versionOf(path, version);
        this.#world.check('S10', isNext, () => `${path} is listed after ${last}`);
        this.#world.check('S10', isThere !== undefined && isThere !== false, () => {
          return `${path}@${version} is listed below ${root}, and never was there`;
        });
        listed.push(path);
      }
      isWhole &&= answer.value.unanswered === undefined;
      after = answer.value.next;
    } while (after !== undefined);
    this.#world.count('lists');
    return isWhole ? new Set(listed) : undefined;
  }

  /** What lies in no mount is refused, and the under store never hears of it. */
  async #trespass(peer: number): Promise<void> {
    const path = `${ELSEWHERE}/d0`;
    const spec = { ...JOB_DEFAULTS, path, segmentSizeBytes: SEGMENT_BYTES, batchSize: 2 };
    const loaded = await this.ask(peer, 'a load from elsewhere', ({ jobs }) => jobs.submit(spec));
    const read = await this.ask(peer, 'a read from elsewhere', ({ reader }) => reader.read(path));
    this.#world.check('S9', !loaded && !read, () => `${path}, in no mount, was not refused`);
  }

  /** Whether all of it came. @param mustSucceed which invariant says so. */
  async read(peer: number, path: string, isPart: boolean, mustSucceed?: string): Promise<boolean> {
    const reading = this.#reading.get(path) ?? { count: 0, untilMs: 0 };
    this.#reading.set(path, reading);
    reading.count += 1;
    const range = isPart ? this.#rangeOf(path) : undefined;
    const services = this.#cluster.peers[peer]?.services;
    const came = services && this.#world.rules.readBegins(services, path);
    const answer = await this.ask(
      peer,
      `read ${path}`,
      async ({ reader }) => {
        const opened = await reader.read(path, range);
        const chunks: Uint8Array[] = [];
        for await (const chunk of opened.body) chunks.push(chunk.slice());
        return { ...opened, bytes: Buffer.concat(chunks) };
      },
      mustSucceed,
    );
    reading.count -= 1;
    reading.untilMs = this.#world.time.nowMs;
    if (!answer) return false;
    this.#world.count('reads');
    came?.(answer.value.record.version);
    const { record, offset, length, bytes } = answer.value;
    this.#world.check(
      'S2',
      bytes.length === length,
      () => `${bytes.length} of ${length} bytes of ${path} came`,
    );
    const version = this.#world.ufs.versionOf(path, record.version);
    const expected = version?.bytes.subarray(offset, offset + length);
    const isRight = expected !== undefined && Buffer.compare(expected, bytes) === 0;
    this.#world.check('S1', isRight, () => {
      return `${path}@${record.version} [${offset}, ${offset + length}) was read wrong at ${peer}`;
    });
    return true;
  }

  /**
   * Of a version that is cached in part and gone from the store, a range may have begun; it has to
   * be cut then, and whoever asks that peer again has to get the version that is there.
   */
  #isFirstCut(code: ErrorCode, which: string): boolean {
    if (code !== 'ufs_changed' || this.#cutOnce.has(which)) return false;
    this.#cutOnce.add(which);
    this.#world.count('reads.cut');
    return true;
  }

  #rangeOf(path: string): { offset: number; length: number } | undefined {
    const sizeBytes = this.#world.ufs.current(path)?.sizeBytes ?? 0;
    if (sizeBytes === 0) return undefined;
    const offset = this.#chance.whole(0, sizeBytes - 1);
    return { offset, length: this.#chance.whole(1, sizeBytes - offset) };
  }

  /** Undefined when there is no answer, or none that anybody would hear: the process ended. */
  async ask<T>(
    index: number,
    what: string,
    ask: (services: Services) => Promise<T>,
    mustSucceed?: string,
  ): Promise<{ readonly value: T } | undefined> {
    const peer = this.#cluster.peers[index];
    const running = peer?.running;
    if (!peer || !running?.services || running.life.isPaused) return undefined;
    const { life, services } = running;
    const question: OpenQuestion = { what, peer, life, sinceMs: this.#world.time.nowMs };
    this.#open.add(question);
    try {
      const value = await Promise.race([life.ended, ask(services)]);
      if (life.isOver) return undefined;
      this.#world.say(`${peer.address} answered ${what}`);
      return { value };
    } catch (thrown) {
      if (life.isOver) return undefined;
      const { code, message } = toRingloadError(thrown);
      this.#world.say(`${peer.address} refused ${what}: ${code}: ${message}`);
      this.#world.check(
        'errors',
        code !== 'internal',
        () => `${what} ended with ${code}: ${message}`,
      );
      if (mustSucceed !== undefined && !this.#isFirstCut(code, `${peer.address} ${what}`)) {
        this.#world.violated(mustSucceed, `${peer.address} refused ${what}: ${code}: ${message}`);
      }
      return undefined;
    } finally {
      this.#open.delete(question);
    }
  }
}

export function rootOf(root: number): string {
  return `${MOUNT}/d${root}`;
}
