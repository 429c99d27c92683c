/** One run: a cluster that is formed, struck while it works, and healed. All follows from the seed. */
import { isActiveState } from '../../../src/cluster/job-record.ts';
import { isOnRing } from '../../../src/cluster/member.ts';
import { MemoryPeerHub } from '../../../src/peer/memory-peer-network.ts';
import { Chance } from '../raft/chance.ts';
import { VirtualTime } from '../raft/virtual-time.ts';
import { checkAmplification } from './amplification.ts';
import { Clients, rootOf } from './clients.ts';
import { History } from './history.ts';
import { Ending } from './ending.ts';
import { INDEX_PATH } from './job-roots.ts';
import { planOf, type Fault, type Mode, type Plan } from './plan.ts';
import { RuleWatch } from './rule-watch.ts';
import { simConfig } from './sim-config.ts';
import { SimPeer } from './sim-peer.ts';
import { SimUfs } from './sim-ufs.ts';
import { SimWeather } from './sim-weather.ts';
import { Striker, type Cluster } from './strike.ts';
import { StopWatch } from './stop-watch.ts';
import { World, type PlantedBug, type Violation } from './world.ts';

export interface RunOptions {
  readonly mode: Mode;
  readonly bug?: PlantedBug;
  /** In place of those of the plan. */
  readonly faults?: readonly Fault[];
  /** Positions of the faults of the plan that happen; default: all. */
  readonly only?: readonly number[];
  readonly log?: (line: string) => void;
}

export interface RunResult {
  readonly seed: number;
  readonly mode: Mode;
  readonly plan: Plan;
  readonly violation: Violation | undefined;
  readonly virtualMs: number;
  readonly events: number;
  readonly checks: number;
  /** Equal for equal runs. */
  readonly trace: number;
  readonly counts: ReadonlyMap<string, number>;
}

/** Until then the cluster has to be formed. */
const FORM_MAX_MS = 20_000;
const SAMPLE_MS = 100;

export async function runSeed(seed: number, options: RunOptions): Promise<RunResult> {
  const unplant = options.bug?.plant?.();
  try {
    return await new Run(seed, options).run();
  } finally {
    unplant?.();
  }
}

/** A file within a root counts once. */
function indexOf(roots: readonly string[], file: string): Uint8Array {
  return Buffer.from(['# all of it', ...roots.map((root) => `${root}/`), file, ''].join('\n'));
}

class Run implements Cluster {
  readonly world: World;
  readonly peers: SimPeer[] = [];
  readonly clients: Clients;
  readonly #plan: Plan;
  readonly #options: RunOptions;
  readonly #hub: MemoryPeerHub;
  readonly #striker: Striker;
  readonly #stopWatch: StopWatch;
  readonly #content: Chance;
  #events = 0;

  constructor(seed: number, options: RunOptions) {
    const time = new VirtualTime();
    this.#options = options;
    const plan = planOf(seed, options.mode, options.bug?.favours);
    this.#plan = options.faults ? { ...plan, faults: options.faults } : plan;
    const world = new World({ seed, time, bug: options.bug, log: options.log });
    this.world = world;
    world.network = new SimWeather(world, new Chance(seed, 3));
    world.ufs = new SimUfs(world, new Chance(seed, 4), this.#plan.ufsLatencyMs);
    world.disks = new Chance(seed, 5);
    world.history = new History(world, () => this.peers);
    world.rules = new RuleWatch(world, this.peers, this.#plan);
    world.roots = [...new Set(this.#plan.files.map(({ root }) => rootOf(root)))];
    this.#content = new Chance(seed, 6);
    const clock = {
      nowMs: () => time.nowMs,
      wallMs: () => time.nowMs,
      setTimer: (delayMs: number, callback: () => void) => time.after(delayMs, callback),
    };
    this.#hub = new MemoryPeerHub({
      clock,
      random: new Chance(seed, 9).random,
      fate: (from, to) => world.network.fate(from, to),
    });
    this.clients = new Clients(this);
    world.isReadLately = (path) => this.clients.wasReadLately(path);
    this.#striker = new Striker(this);
    this.#stopWatch = new StopWatch(world, this.clients.stops, this.peers);
  }

  async run(): Promise<RunResult> {
    const { world } = this;
    const { faults, files, steps, stormMs, mode, peerCount } = this.#plan;
    for (const { root, file, sizeBytes } of files) {
      world.ufs.put(this.pathOf(root, file), this.contentOf(sizeBytes));
    }
    if (steps.some((step) => step.kind === 'submitMany' && step.isIndexed))
      world.ufs.put(INDEX_PATH, indexOf(world.roots, this.pathOf(0, 0)));
    for (let count = 0; count < peerCount; count++) this.addPeer();
    this.#sample();
    await this.#until(() => this.#isFormed(), FORM_MAX_MS, 'the cluster is formed');
    const startMs = world.time.nowMs;
    const { only } = this.#options;
    const wanted = only ? faults.filter((_fault, at) => only.includes(at)) : faults;
    const shift = Math.max(0, startMs - 4000);
    this.#striker.schedule(wanted.map((fault) => ({ ...fault, atMs: fault.atMs + shift })));
    this.clients.schedule(steps.map((step) => ({ ...step, atMs: step.atMs + shift })));
    await this.#advance(Math.max(startMs, 4000) + stormMs - world.time.nowMs);
    if (mode === 'liveness' && !world.violation) {
      world.say('all faults end');
      this.#striker.stop();
      const until = (isDone: () => boolean, maxMs: number, what: string): Promise<boolean> =>
        this.#until(isDone, maxMs, what);
      await new Ending(this, this.#plan, until).run();
    }
    checkAmplification(world, this.#plan);
    for (const peer of this.peers) peer.running?.life.end();
    return {
      seed: world.seed,
      mode,
      plan: this.#plan,
      violation: world.violation,
      virtualMs: world.time.nowMs,
      events: this.#events,
      checks: world.checkCount,
      trace: world.trace,
      counts: world.counts,
    };
  }

  leader(): SimPeer | undefined {
    let newest: { peer: SimPeer; term: number } | undefined;
    for (const peer of this.peers) {
      const status = peer.services?.cluster.consensus.status();
      if (status?.role !== 'leader' || (newest && newest.term >= status.term)) continue;
      newest = { peer, term: status.term };
    }
    return newest?.peer;
  }

  addPeer(): void {
    const index = this.peers.length;
    const peer = new SimPeer({
      world: this.world,
      hub: this.#hub,
      // Why not drawn: what other seeds met stays what they meet.
      config: simConfig(this.#plan, { areFetchesFollowed: this.world.seed % 4 === 1 }),
      index,
      regionCount: this.#plan.regionCount,
      join: index === 0 ? [] : this.peers.slice(0, 2).map(({ address }) => address),
      peerAt: (address) => this.peers.find((each) => each.address === address),
    });
    this.peers.push(peer);
    peer.start();
  }

  pathOf(root: number, file: number): string {
    return `${rootOf(root)}/f${String(file).padStart(2, '0')}`;
  }

  contentOf(sizeBytes: number): Uint8Array {
    return Uint8Array.from({ length: sizeBytes }, () => this.#content.whole(1, 255));
  }

  #isFormed(): boolean {
    const { members } = this.world.history.state;
    return (
      this.peers.every((peer) => {
        const member = members.get(peer.id);
        return peer.services !== undefined && member !== undefined && isOnRing(member);
      }) && this.leader() !== undefined
    );
  }

  #sample(): void {
    this.world.history.sample();
    this.world.rules.sample();
    this.#stopWatch.look(this.leader() !== undefined);
    this.clients.checkOpenQuestions();
    this.world.time.after(SAMPLE_MS, () => {
      this.#sample();
    });
  }

  async #advance(deltaMs: number): Promise<void> {
    const { world } = this;
    const untilMs = world.time.nowMs + deltaMs;
    while (!world.violation && (await world.time.step(untilMs))) this.#events += 1;
  }

  async #until(isDone: () => boolean, maxMs: number, what: string): Promise<boolean> {
    const { world } = this;
    const untilMs = world.time.nowMs + maxMs;
    while (!world.violation && !isDone()) {
      if (world.time.nowMs >= untilMs) {
        world.check('L1', false, () => `not within ${maxMs} ms: ${what}; ${this.#describe()}`);
        break;
      }
      await this.#advance(50);
    }
    if (!world.violation) world.checkCount += 1;
    return !world.violation;
  }

  #describe(): string {
    const { jobs, members, epoch } = this.world.history.state;
    const parts = this.peers.map((peer) => {
      const status = peer.services?.cluster.consensus.status();
      const state = members.get(peer.id)?.state ?? 'unknown';
      const raft = status ? `${status.role}@${status.term} ${status.appliedIndex}` : 'not ready';
      return `${peer.address}: ${state}, ${peer.isUp ? raft : 'down'}`;
    });
    const active = [...jobs.values()].map(
      ({ id, state, run, checkpoint }) =>
        `${id} ${state} run ${run} pass ${checkpoint?.pass ?? 0}${isActiveState(state) ? '' : ' (over)'}`,
    );
    return `epoch ${epoch}; ${[...parts, ...active].join('; ')}`;
  }
}
