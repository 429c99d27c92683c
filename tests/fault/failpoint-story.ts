/**
 * Plays one crash: a peer is told to die at the n-th hit of a failpoint, jobs run past it, and what
 * was promised must hold: an accepted job is not lost, ends truthfully, counts exactly, and its
 * bytes are right and resident on R live peers; an acknowledged stop is final.
 */
import type { Peer } from '../support/peer-process.ts';
import {
  type Asserts,
  expectBytes,
  expectBytesFromCache,
  expectExactAccounting,
  pathOf,
} from './expect.ts';
import type { CrashRow } from './failpoint-rows.ts';
import {
  evictionsOf,
  expectCopies,
  expectHeld,
  expectHeldOrEvicted,
  repairedCountOf,
} from './held.ts';
import { Load } from './load.ts';
import { currentView, waitForRoles, waitUntilInOrder } from './members.ts';
import { type FileSet, SEGMENT_BYTES, type Stage } from './stage.ts';

/** Jobs of one story, so that what happens once in a job has a first, middle and last time. */
const JOB_COUNT = 3;
const REPLICA_COUNT = 2;
/** Fetches that were under way may start their last request so long after a stop. */
const STOP_GRACE_MS = 2_000;
const STOP_WATCH_MS = 500;
const DEADLINE_MS = 120_000;

export interface Crash {
  readonly row: CrashRow;
  /** The hit at which the peer dies; undefined: nobody dies, hits are counted. */
  readonly nth: number | undefined;
  /** Bring the dead peer back at once, or when the jobs have ended without it. */
  readonly restart: 'at once' | 'after the jobs';
}

export interface Played {
  readonly died: boolean;
  /** Hits of every failpoint on the peer that was to die. */
  readonly hits: ReadonlyMap<string, number>;
}

export async function play(t: Asserts, stage: Stage, crash: Crash): Promise<Played> {
  await stage.restore();
  // Of two voters none may die, whatever the crash.
  await waitForRoles(stage, ['voter', 'voter', 'voter']);
  // What repair copies from here on, the story has left to it.
  if (crash.row.story === 'load') await waitUntilInOrder(stage);
  const victim = await victimOf(stage, crash.row);
  const story = new CrashStory(t, stage, crash, victim);
  try {
    return await (crash.row.story === 'stop' ? story.stopJobs() : story.loadFiles());
  } finally {
    victim.failpoints.disarm();
  }
}

async function victimOf(stage: Stage, { role }: CrashRow): Promise<Peer> {
  const leader = await stage.cluster.waitForLeader();
  const others = stage.cluster.peers.filter((peer) => peer !== leader);
  const [victim] = role === 'leader' ? [leader] : others;
  if (!victim) throw new Error('no peer to crash');
  return victim;
}

class CrashStory {
  readonly #t: Asserts;
  readonly #stage: Stage;
  readonly #crash: Crash;
  readonly #victim: Peer;
  #died = false;
  #isBack = false;
  /** Before the story: segments that those who do not die had evicted, and repair had copied. */
  readonly #evicted = new Map<Peer, number>();
  readonly #repaired = new Map<Peer, number>();
  #hits: ReadonlyMap<string, number> = new Map();

  constructor(t: Asserts, stage: Stage, crash: Crash, victim: Peer) {
    this.#t = t;
    this.#stage = stage;
    this.#crash = crash;
    this.#victim = victim;
  }

  async loadFiles(): Promise<Played> {
    const isSmall = this.#crash.row.story === 'load';
    const { epoch } = await currentView(this.#stage);
    const sets = this.#addSets(isSmall ? 2 : 8);
    if (isSmall) this.#stage.slowReads(20);
    for (const peer of this.#stage.cluster.peers) {
      if (peer !== this.#victim) this.#evicted.set(peer, await evictionsOf(peer));
      this.#repaired.set(peer, await repairedCountOf(peer));
    }
    this.#arm();
    const accepted = await this.#submitAll(sets);
    await this.#until(() => this.#haveEnded(accepted));
    // Reading passes further points on a peer that is still there.
    if (!this.#died && isSmall) await this.#until(() => this.#readAll(sets));
    this.#disarm();
    const loads = await this.#takeUp(sets, accepted);
    const ended = await Promise.all(loads.map((load) => load.succeeds(DEADLINE_MS)));
    if (!this.#isBack) {
      // What ended under a ring without the dead peer owes nothing to it.
      const keys = loads.flatMap(({ files }, position) =>
        ended[position]?.certificate?.epoch === epoch ? [] : files.keys,
      );
      if (isSmall) await expectCopies(this.#t, this.#stage, keys, REPLICA_COUNT);
      await this.#comeBack('after the jobs');
    }
    await this.#victim.waitReady(DEADLINE_MS);
    for (const load of loads) await this.#expectTrue(load, isSmall);
    if (isSmall) await this.#expectNothingRepaired(epoch);
    if (this.#died) await expectBytes(this.#t, this.#stage, sets[0]?.keys ?? [], [this.#victim]);
    return { died: this.#died, hits: this.#hits };
  }

  async stopJobs(): Promise<Played> {
    const sets = this.#addSets(12);
    this.#stage.slowReads(1_000);
    const loads = await this.#takeUp(sets, await this.#submitAll(sets));
    // Why one: owners take jobs in turn, and the first is over when the last begins.
    await Promise.any(loads.map((load) => load.isUnderWay()));
    this.#arm();
    for (const { id } of loads) {
      await this.#victim.api.stop(id).catch(() => undefined);
      await this.#until(async () => true);
      if (this.#died) break;
    }
    this.#disarm();
    await this.#comeBack('at once');
    for (const { id } of loads) await this.#stopUntilTaken(id);
    const stoppedMs = performance.now();
    const watchedMs = stoppedMs + STOP_GRACE_MS + STOP_WATCH_MS;
    await this.#stage.cluster.waitFor(() => performance.now() > watchedMs, 'the watch to end');
    for (const load of loads) await this.#expectStopped(load, stoppedMs + STOP_GRACE_MS);
    await this.#comeBack('after the jobs');
    return { died: this.#died, hits: this.#hits };
  }

  #addSets(count: number): FileSet[] {
    const sizeBytes = 4 * SEGMENT_BYTES;
    return Array.from({ length: JOB_COUNT }, () => this.#stage.addFiles({ count, sizeBytes }));
  }

  #arm(): void {
    const { row, nth } = this.#crash;
    const kill = row.afterMs === undefined ? 'kill' : `kill:${row.afterMs}`;
    this.#victim.failpoints.arm(nth === undefined ? '' : `${row.point}=${kill}@${nth}`);
  }

  /** All at once, at the peer that dies when it leads; ids of those that were answered. */
  async #submitAll(sets: readonly FileSet[]): Promise<readonly (string | undefined)[]> {
    const leader =
      this.#crash.row.role === 'leader' ? this.#victim : await this.#stage.cluster.waitForLeader();
    return Promise.all(
      sets.map(({ path }) =>
        leader.api.submit({ path, replicas: REPLICA_COUNT }).then(
          ({ jobId }) => jobId,
          () => undefined,
        ),
      ),
    );
  }

  /** Waits for what the story does next, or for the death that overtakes it. */
  async #until(isDone: () => Promise<boolean>): Promise<void> {
    const what = `failpoint ${this.#crash.row.point} to be hit, or the story to go on`;
    await this.#stage.cluster.waitFor(
      async () => !this.#victim.running || (await isDone()) || !this.#victim.running,
      what,
      DEADLINE_MS,
    );
    this.#died = !this.#victim.running;
  }

  /** From here on nobody dies; what was hit so far is noted. */
  #disarm(): void {
    const { row, nth } = this.#crash;
    const { failpoints } = this.#victim;
    this.#hits = failpoints.hits();
    this.#died = failpoints.acted(row.point, `kill@${nth}`);
    failpoints.disarm();
    const isDead = !this.#victim.running;
    this.#t.true(this.#died || !isDead, `died of something else\n${this.#victim.logs()}`);
  }

  async #haveEnded(ids: readonly (string | undefined)[]): Promise<boolean> {
    for (const id of ids) {
      if (id === undefined) return false;
      const status = await this.#stage.cluster.status(id);
      if (status?.stale !== false || status.endedAtMs === undefined) return false;
    }
    return true;
  }

  /** Every file at every peer; what a dying peer answers is not looked at. */
  async #readAll(sets: readonly FileSet[]): Promise<boolean> {
    const reads = sets.flatMap(({ keys }) =>
      this.#stage.cluster.runningPeers.flatMap(({ api }) =>
        keys.map((key) => api.readFile(pathOf(key)).catch(() => undefined)),
      ),
    );
    await Promise.all(reads);
    return true;
  }

  /** Each path has its job: the accepted one, or one that is submitted now. */
  async #takeUp(
    sets: readonly FileSet[],
    accepted: readonly (string | undefined)[],
  ): Promise<readonly Load[]> {
    await this.#comeBack('at once');
    return Promise.all(
      sets.map(async (files, position) => {
        const id = accepted[position];
        if (id === undefined) return this.#stage.load(files, { replicas: REPLICA_COUNT });
        return new Load(this.#stage, { id, files, replicaCount: REPLICA_COUNT });
      }),
    );
  }

  async #comeBack(when: Crash['restart']): Promise<void> {
    if (!this.#died || this.#isBack || this.#crash.restart !== when) return;
    this.#isBack = true;
    const victim = this.#victim;
    await this.#stage.cluster.waitFor(() => victim.exit !== undefined, 'the peer to be dead');
    this.#t.is(victim.exit?.signal, 'SIGKILL');
    await victim.start();
  }

  /**
   * No false success: counted exactly, and held by R live owners.
   * @param isKept whether all that is loaded has room; else it may be evicted by now.
   */
  async #expectTrue(load: Load, isKept: boolean): Promise<void> {
    const status = await load.status();
    this.#t.is(status.state, 'SUCCEEDED');
    this.#t.truthy(status.digest);
    expectExactAccounting(this.#t, load, status);
    const { keys } = load.files;
    if (isKept) {
      await expectHeld(this.#t, load, status);
      await expectBytesFromCache(this.#t, this.#stage, keys);
    } else {
      await expectHeldOrEvicted(this.#t, load, status, this.#evicted);
      await expectBytes(this.#t, this.#stage, keys);
    }
  }

  /**
   * As long as the ring is the one that the jobs began under, what they left behind is complete:
   * repair, which looks after every job, has nothing to copy.
   */
  async #expectNothingRepaired(epoch: number): Promise<void> {
    await waitUntilInOrder(this.#stage);
    if ((await currentView(this.#stage)).epoch !== epoch) return;
    for (const [peer, count] of this.#repaired) {
      const isNewProcess = this.#died && peer === this.#victim;
      const copiedCount = (await repairedCountOf(peer)) - (isNewProcess ? 0 : count);
      this.#t.is(copiedCount, 0, `repair copied segments to peer ${peer.index}`);
    }
  }

  async #stopUntilTaken(id: string): Promise<void> {
    await this.#stage.cluster.waitFor(async () => {
      for (const { api } of this.#stage.cluster.runningPeers) {
        if (await api.stop(id).catch(() => undefined)) return true;
      }
      return false;
    }, `job ${id} to be stopped`);
  }

  async #expectStopped(load: Load, sinceMs: number): Promise<void> {
    this.#t.is((await load.status()).state, 'STOPPED');
    const gets = this.#stage.origin.getsBelow(load.files.prefix);
    this.#t.deepEqual(
      gets.filter(({ atMs }) => atMs > sinceMs),
      [],
      'fetches began after the stop',
    );
  }
}
