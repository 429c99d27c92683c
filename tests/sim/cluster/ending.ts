/**
 * The end of a run whose faults are over: somebody leads, every job ends, placement is restored,
 * every peer serves every file, and what is cached is served without under store and quorum.
 */
import { isActiveState, type JobRecord } from '../../../src/cluster/job-record.ts';
import { identityOf } from '../../../src/cluster/job-identity.ts';
import { isOnRing } from '../../../src/cluster/member.ts';
import { compileFilters } from '../../../src/job/file-filter.ts';
import type { JobSpec } from '../../../src/job/spec.ts';
import { serializeState } from '../../../src/cluster/cluster-state.ts';
import { Chance } from '../raft/chance.ts';
import type { Clients } from './clients.ts';
import { keysOf } from './history.ts';
import { loads, rootsOfJob } from './job-roots.ts';
import { SMALL_REGION_COUNT, type Plan } from './plan.ts';
import { letsGo } from './plan-rules.ts';
import { segmentName, type SimPeer } from './sim-peer.ts';
import type { Version } from './sim-ufs.ts';
import type { Cluster } from './strike.ts';

type Until = (isDone: () => boolean, maxMs: number, what: string) => Promise<boolean>;

/** Ten election time-outs, drawn out by what came late. */
const LEADER_MAX_MS = 20_000;
const JOBS_MAX_MS = 150_000;
const REPAIR_MAX_MS = 120_000;
const READS_MAX_MS = 100_000;
const AGAIN_MS = 100;
/** Longer than owners take to look for runs that are over. */
const REST_MS = 3000;
/** Set at once on a peer that does nothing. */
const TIMER_MAX_COUNT = 16;

export class Ending {
  readonly #cluster: Cluster & { readonly clients: Clients };
  readonly #plan: Plan;
  readonly #until: Until;
  readonly #chance: Chance;

  constructor(cluster: Cluster & { readonly clients: Clients }, plan: Plan, until: Until) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#until = until;
    this.#chance = new Chance(cluster.world.seed, 10);
  }

  async run(): Promise<void> {
    const steps = [
      () => this.#until(() => this.#isAgreed(), LEADER_MAX_MS, 'all follow one leader'),
      () => this.#until(() => this.#isAnswered(), JOBS_MAX_MS, 'what was asked is answered'),
      () => this.#until(() => this.#areJobsOver(), JOBS_MAX_MS, 'all jobs end'),
      () => this.#retryFailed(),
      () => this.#until(() => this.#isFreed(), REPAIR_MAX_MS, 'all have let go of what was freed'),
      () => this.#checkFreed(),
      () => this.#until(() => this.#isRepaired(), REPAIR_MAX_MS, 'placement is in order'),
      () => this.#until(() => this.#isDrained(), REPAIR_MAX_MS, 'members that drain are gone'),
      () => this.#checkPlacement(),
      () => this.#readEverything(),
      () => this.#listEverything(),
      () => this.#comeToRest(),
      () => this.#readAlone(),
    ];
    for (const step of steps) if (!(await step())) return;
  }

  #isAgreed(): boolean {
    const { peers, world } = this.#cluster;
    const leader = this.#cluster.leader();
    if (!leader) return false;
    const digest = serializeState(world.history.state);
    return this.#members().every((peer) => {
      const cluster = peer.services?.cluster;
      if (!cluster || !peers.includes(peer)) return false;
      const state = world.history.state.members.get(peer.id)?.state;
      const isUp = state === 'up' || state === 'draining';
      return (
        isUp && cluster.leader() === leader.id && serializeState(cluster.state.current) === digest
      );
    });
  }

  /** A submit that waited for a leader until now begins a job of its own. */
  #isAnswered(): boolean {
    return this.#cluster.clients.openCount === 0;
  }

  #members(): SimPeer[] {
    const { members } = this.#cluster.world.history.state;
    return this.#cluster.peers.filter(
      (peer) => !peer.isRetired && members.get(peer.id)?.state !== 'left',
    );
  }

  #jobs(): JobRecord[] {
    return [...this.#cluster.world.history.state.jobs.values()];
  }

  #areJobsOver(): boolean {
    return this.#jobs().every(({ state }) => !isActiveState(state));
  }

  /** What failed under faults can be loaded once they are over. */
  async #retryFailed(): Promise<boolean> {
    const { clients, world } = this.#cluster;
    const failed = this.#newestJobs().filter(({ state }) => state === 'FAILED');
    if (failed.length === 0) return true;
    for (const { id } of failed) void clients.retry(this.#anyPeer(), { id });
    const isRetried = (): boolean =>
      failed.every(({ id, run }) => (world.history.state.jobs.get(id)?.run ?? 0) > run);
    if (!(await this.#until(isRetried, 30_000, 'retries are taken'))) return false;
    if (!(await this.#until(() => this.#areJobsOver(), JOBS_MAX_MS, 'retried jobs end')))
      return false;
    for (const { id } of failed) {
      const job = world.history.state.jobs.get(id);
      const isTooSmall =
        job?.failure?.code === 'cache_full' || this.#plan.regionCount <= SMALL_REGION_COUNT;
      const { rules } = world;
      const isBounded =
        rules.letsGo || job?.spec.paths !== undefined || job?.spec.index !== undefined;
      const hasFewPeers = (job?.spec.replicaCount ?? 1) > this.#members().length;
      world.check(
        'L1',
        job?.state === 'SUCCEEDED' || isTooSmall || isBounded || hasFewPeers,
        () => {
          return `job ${id} cannot be loaded without faults: ${JSON.stringify(job?.failure)}`;
        },
      );
    }
    return !world.violation;
  }

  #isFreed(): boolean {
    return this.#cluster.world.history.state.frees.every(({ waitsFor }) => waitsFor.length === 0);
  }

  async #checkFreed(): Promise<boolean> {
    const { world } = this.#cluster;
    const { frees } = world.history.state;
    for (const peer of this.#members()) await world.rules.checkRecords(peer, frees);
    return !world.violation;
  }

  #isDrained(): boolean {
    if (this.#lacksRoom()) return true;
    const { members } = this.#cluster.world.history.state;
    return ![...members.values()].some(({ state }) => state === 'draining');
  }

  #isRepaired(): boolean {
    // Copies that find no room are tried again and again.
    if (this.#lacksRoom()) return true;
    const { epoch } = this.#cluster.world.history.state;
    return this.#members().every((peer) => {
      const status = peer.services?.repair.repairer.status;
      return status?.idle === true && (status.epoch === undefined || status.epoch === epoch);
    });
  }

  /** Every file of a job that SUCCEEDED lies where the ring wants it, if anybody has it at all. */
  async #checkPlacement(): Promise<boolean> {
    const { world } = this.#cluster;
    const isSmall = this.#plan.regionCount <= SMALL_REGION_COUNT;
    // What was dropped because it had rotted comes back with the next read of it.
    if ((world.counts.get('corruptSegmentsDropped') ?? 0) > 0 || this.#lacksRoom()) return true;
    for (const job of this.#newestJobs()) {
      if (job.state === 'SUCCEEDED' && !isSmall) await this.#checkFilesOf(job);
    }
    return !world.violation;
  }

  /** By time or quota what was loaded may go in part, which frees do not. */
  #lacksRoom(): boolean {
    return this.#plan.steps.some((step) => step.kind === 'rule' && letsGo(step));
  }

  /** Of those that load the same, or parts of it, the one that ran last. */
  #newestJobs(): JobRecord[] {
    const { history, roots } = this.#cluster.world;
    const newest = [...new Map(this.#jobs().map((job) => [identityOf(job.spec), job])).values()];
    const lastMs = ({ id }: JobRecord): number => history.runs.get(id)?.at(-1)?.fromMs ?? 0;
    const endMs = ({ id }: JobRecord): number => history.runs.get(id)?.at(-1)?.untilMs ?? 0;
    return newest.filter((job) =>
      newest.every(
        (other) =>
          other === job ||
          endMs(other) < lastMs(job) ||
          !rootsOfJob(job.spec, roots).some((root) => loads(other.spec, root, roots)),
      ),
    );
  }

  /** Those that the job cannot have missed: there, and told truly, since its last run began. */
  #filesOf(job: JobRecord): Version[] {
    const { history, ufs } = this.#cluster.world;
    const spec = job.spec as JobSpec;
    const accepts = compileFilters(spec);
    const sinceMs = history.runs.get(job.id)?.at(-1)?.fromMs ?? 0;
    return history
      .stableFilesOf(spec, sinceMs)
      .filter(
        (version) =>
          accepts(version) &&
          !ufs.wasLiedAboutSince(version.path, sinceMs) &&
          !history.wasFreedSince(version.path, sinceMs),
      );
  }

  async #checkFilesOf(job: JobRecord): Promise<void> {
    const { world } = this.#cluster;
    const spec = job.spec as JobSpec;
    const ring = this.#anyServices()?.cluster.ring.ring();
    const members = this.#members();
    // What was lost everywhere comes back with a read of it, at one owner.
    const readThrough = new Set(
      world.ufs.gets.filter(({ isForReader }) => isForReader).map(({ range }) => range.path),
    );
    const residents = new Map(members.map((peer) => [peer.id, peer.resident()]));
    await new Promise((resolve) => setImmediate(resolve));
    for (const version of this.#filesOf(job)) {
      const { path } = version;
      if (readThrough.has(path)) continue;
      for (const key of keysOf(version)) {
        const name = segmentName(key);
        const isHeld = [...residents.values()].some((names) => names.has(name));
        const placementKey = key.index === 0 || !spec.segmented ? path : `${path}\0${key.index}`;
        const owners =
          this.#anyServices()
            ?.cluster.ring.readPlacement()
            .ownersOf({ path, index: key.index, segmented: spec.segmented }, spec.replicaCount) ??
          [];
        const lacking = owners.filter((owner) => residents.get(owner)?.has(name) !== true);
        world.check('L1', !isHeld || lacking.length === 0 || ring === undefined, () => {
          return `${name} (${placementKey}) is not restored on ${lacking.join(',')}`;
        });
      }
    }
  }

  /** Every file from every peer, in a version that it had; the newest one where it was loaded. */
  async #readEverything(): Promise<boolean> {
    const { world, pathOf } = this.#cluster;
    let open = 0;
    for (const { root, file } of this.#plan.files) {
      const path = pathOf.call(this.#cluster, root, file);
      if (!world.ufs.current(path)) continue;
      open += 1;
      void this.#readSomewhere(path).then(() => (open -= 1));
    }
    return this.#until(() => open === 0, READS_MAX_MS, 'all files are read');
  }

  /**
   * As clients do whose peer goes away while they ask it: they ask another one. Why one may go: a
   * member that drained ends when it hears that it was removed, a moment after the others.
   */
  async #readSomewhere(path: string): Promise<void> {
    const { clients, world } = this.#cluster;
    for (;;) {
      if (await clients.read(this.#anyPeer(), path, false, 'L1')) return;
      if (world.violation) return;
      await new Promise<void>((resolve) => world.time.after(AGAIN_MS, resolve));
    }
  }

  /** Of each job that SUCCEEDED, every file that was there all the time is listed by any peer. */
  async #listEverything(): Promise<boolean> {
    const { world } = this.#cluster;
    let open = 0;
    for (const job of this.#newestJobs()) {
      if (job.state !== 'SUCCEEDED') continue;
      open += 1;
      void this.#listAll(rootsOfJob(job.spec, world.roots)).then((listed) => {
        open -= 1;
        for (const { path } of this.#filesOf(job)) {
          world.check('S10', listed.has(path), () => `${path} is not listed`);
        }
      });
    }
    return this.#until(() => open === 0, READS_MAX_MS, 'all files are listed');
  }

  async #listAll(roots: readonly string[]): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (const root of roots)
      for (const path of (await this.#listWhole(root)) ?? []) found.add(path);
    return found;
  }

  /** Again until nobody is out of reach: links come back a while after the faults end. */
  async #listWhole(root: string): Promise<ReadonlySet<string> | undefined> {
    const { clients, world } = this.#cluster;
    for (;;) {
      const listed = await clients.list(this.#anyPeer(), root, 'S10');
      if (listed || world.violation) return listed;
      await new Promise<void>((resolve) => world.time.after(AGAIN_MS, resolve));
    }
  }

  /** L4: when nothing is asked any more, nothing goes on, and nothing is kept for what is over. */
  async #comeToRest(): Promise<boolean> {
    const { world } = this.#cluster;
    const untilMs = world.time.nowMs + REST_MS;
    await this.#until(() => world.time.nowMs >= untilMs, REST_MS + 100, 'a while has passed');
    const open = world.openNow();
    world.check('L4', open.length === 0, () => `still under way: ${open.join(', ')}`);
    for (const { address, running } of this.#members()) {
      if (!running) continue;
      const holders = [...(running.store?.leaseHolders() ?? [])];
      world.check('L4', holders.length === 0, () => `${address} leases to ${holders.join(', ')}`);
      const { timerCount } = running.life;
      world.check('L4', timerCount <= TIMER_MAX_COUNT, () => `${address} has ${timerCount} timers`);
    }
    return !world.violation;
  }

  /** A peer that reaches nobody serves all that it holds itself. */
  async #readAlone(): Promise<boolean> {
    const { world, clients, peers } = this.#cluster;
    const index = this.#anyPeer();
    const alone = peers[index];
    if (!alone?.services) return true;
    const names = alone.resident();
    await new Promise((resolve) => setImmediate(resolve));
    world.ufs.isDead = true;
    for (const other of peers) {
      if (other === alone) continue;
      world.network.cut(alone.address, other.address);
      world.network.cut(other.address, alone.address);
    }
    const isAlone = (): boolean =>
      alone.services?.cluster.network.links().every(({ connected }) => !connected) === true;
    if (!(await this.#until(isAlone, 20_000, 'a peer is alone'))) return false;
    let open = 0;
    const records = await alone.services.catalog.scan({ root: '', limit: 100 });
    for (const record of records) {
      const version = world.ufs.versionOf(record.path, record.version);
      const isHeld = version && keysOf(version).every((key) => names.has(segmentName(key)));
      const isHome = alone.services.cluster.ring
        .readPlacement()
        .ownersOf({ path: record.path, index: 0, segmented: true }, record.replicaCount)
        .includes(alone.id);
      const isAsked = alone.services.rules.freshnessOf(record.path) !== 'immutable';
      if (!isHeld || !isHome || isAsked) continue;
      open += 1;
      world.count('reads.alone');
      const mayGo = this.#lacksRoom() || (world.counts.get('disk.rottenBits') ?? 0) > 0;
      void clients
        .read(index, record.path, false, mayGo ? undefined : 'L3')
        .then(() => (open -= 1));
    }
    return this.#until(() => open === 0, READS_MAX_MS, 'cached files are read alone');
  }

  #anyPeer(): number {
    const { peers } = this.#cluster;
    const fit = peers.flatMap((peer, index) => (peer.services && !peer.isRetired ? [index] : []));
    return this.#chance.pick(fit) ?? 0;
  }

  #anyServices() {
    return this.#members().find((peer) => {
      const member = this.#cluster.world.history.state.members.get(peer.id);
      return peer.services && member && isOnRing(member);
    })?.services;
  }
}
