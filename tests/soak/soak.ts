/**
 * A soak: real peers, readers and loads all the time, phases with faults in turn with calm ones.
 * After each phase of faults everything must come to an end and be right within a bound; at the end
 * the processes use what they used after the warm-up.
 */
import { SeededRandom } from '../../src/base/random.ts';
import { Stage } from '../fault/stage.ts';
import type { Peer } from '../support/peer-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { SoakFaults } from './faults.ts';
import { SoakJobs } from './jobs.ts';
import type { Ledger } from './ledger.ts';
import { SoakModel } from './model.ts';
import { SoakReaders } from './readers.ts';
import { excessOf, highest, type Logs, usageOf, usageText, type Usage } from './watch.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly peerCount: number;
  readonly ledger: Ledger;
  readonly logs: Logs;
}

const FAULTS_MS = 40_000;
/** Within this everything has to be over after the faults. */
const CALM_DEADLINE_MS = 180_000;
const LOAD_DEADLINE_MS = 90_000;
const REST_DEADLINE_MS = 90_000;

export async function runSoak(options: SoakOptions): Promise<void> {
  const { minutes, seed, peerCount, logs } = options;
  const untilMs = performance.now() + minutes * 60_000;
  await using stage = await Stage.open({
    peers: peerCount,
    proxied: true,
    cacheCapacity: '96MiB',
    onLine: logs.onLine,
    env: { RINGLOAD_LOAD_CONCURRENCY: 2, RINGLOAD_RAFT_REPLACE_VOTER_AFTER_MS: 15_000 },
  });
  await new Soak(stage, options, seed).run(untilMs);
}

class Soak {
  readonly #stage: Stage;
  readonly #ledger: Ledger;
  readonly #model: SoakModel;
  readonly #faults: SoakFaults;
  readonly #jobs: SoakJobs;
  readonly #readers: SoakReaders;

  constructor(stage: Stage, { ledger, peerCount }: SoakOptions, seed: number) {
    this.#stage = stage;
    this.#ledger = ledger;
    // One stream each, so that how long one part takes does not shift the others' choices.
    const random = (part: number) => new SeededRandom(seed * 4 + part);
    this.#model = new SoakModel(stage.origin.objects, random(0));
    const shared = { model: this.#model, ledger };
    this.#faults = new SoakFaults({ ...shared, stage, peerCount, random: random(1) });
    this.#jobs = new SoakJobs({ ...shared, cluster: stage.cluster, random: random(2) });
    const peers = (): readonly Peer[] => stage.cluster.peers.filter(({ serves }) => serves);
    this.#readers = new SoakReaders({ ...shared, peers, random: random(3) });
  }

  async run(untilMs: number): Promise<void> {
    await this.#verifyAll('warm-up');
    const baseline = await this.#usage();
    this.#ledger.say(`baseline: ${usageText(baseline)}`);
    for (let phase = 1; performance.now() < untilMs && !this.#isLost(); phase++) {
      await this.#faultyPhase(phase, untilMs);
      await this.#calmPhase(phase);
    }
    await this.#readers.stop();
    await this.#expectRest(baseline);
    const seconds = (this.#readers.longestMs / 1000).toFixed(1);
    this.#ledger.say(`longest unavailability of any reader: ${seconds} s`);
  }

  /** It makes no sense to go on with a cluster that does not come back. */
  #isLost(): boolean {
    return this.#ledger.failures.length > 20;
  }

  async #faultyPhase(phase: number, untilMs: number): Promise<void> {
    this.#ledger.say(`phase ${phase}: faults`);
    this.#readers.isCalm = false;
    this.#jobs.start();
    this.#faults.start();
    const endMs = Math.min(untilMs, performance.now() + FAULTS_MS);
    while (performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      this.#expectProcesses();
    }
    await this.#faults.stop();
    await this.#jobs.stop();
  }

  /** A process that ended though nobody touched it. */
  #expectProcesses(): void {
    const { busy, leaving } = this.#faults;
    for (const peer of this.#stage.cluster.peers) {
      if (peer.running || peer.pid === 0 || busy.has(peer) || leaving.has(peer)) continue;
      this.#ledger.fail(`peer ${peer.index} ended by itself\n${peer.logs().slice(-2000)}`);
      busy.add(peer);
    }
  }

  async #calmPhase(phase: number): Promise<void> {
    const { cluster } = this.#stage;
    this.#ledger.say(`phase ${phase}: calm`);
    const startMs = performance.now();
    let state = '';
    try {
      for (const peer of cluster.peers) {
        if (peer.paused) peer.resume();
        if (!peer.running && !this.#faults.leaving.has(peer)) await peer.start();
        this.#faults.busy.delete(peer);
      }
      await waitFor(
        async () => {
          state = await this.#unsettled();
          return state === '';
        },
        { what: 'everything to be over', deadlineMs: CALM_DEADLINE_MS, intervalMs: 500 },
      );
      this.#ledger.pass();
    } catch {
      this.#ledger.fail(
        `phase ${phase} was not over within ${CALM_DEADLINE_MS / 1000} s: ${state}`,
      );
      return;
    }
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    this.#ledger.say(`phase ${phase}: over after ${seconds} s`);
    this.#readers.isCalm = true;
    await this.#verifyAll(`phase ${phase}`);
  }

  /** What is not over yet; empty when everything is. */
  async #unsettled(): Promise<string> {
    const { cluster } = this.#stage;
    const { leaving } = this.#faults;
    const [leaver] = leaving;
    if (leaver !== undefined) {
      if (leaver.running) return await this.#tellToLeave(leaver);
      const exit = await leaver.stop();
      if (exit?.code !== 0) {
        this.#ledger.fail(`peer ${leaver.index} left with ${JSON.stringify(exit)}`);
      }
      leaving.delete(leaver);
      cluster.drop(leaver);
    }
    for (const peer of cluster.peers) {
      if (!peer.serves) await peer.waitReady(1_000);
      const { stale, members, repair } = await peer.api.cluster();
      if (stale) return `peer ${peer.index} is not current`;
      const states = members.map((member) => member.state).join(' ');
      if (members.length !== cluster.peers.length || !/^(up ?)+$/.test(states)) {
        return `peer ${peer.index} says of the members: ${states}`;
      }
      if (repair.length < members.length) return `peer ${peer.index} does not hear of all repairs`;
      const busy = repair.filter(({ idle }) => !idle);
      if (busy.length > 0) return `repair goes on: ${JSON.stringify(busy[0])}`;
    }
    return (await this.#jobs.settle()) ? '' : `jobs go on: ${this.#jobs.openIds()}`;
  }

  /** Again and again, as an operator would. */
  async #tellToLeave(leaver: Peer): Promise<string> {
    const other = this.#stage.cluster.runningPeers.find((peer) => peer !== leaver);
    const { id } = await leaver.api.self();
    await other?.api.removeMember(id).catch(() => undefined);
    return `peer ${leaver.index} has not left`;
  }

  async #verifyAll(when: string): Promise<void> {
    for (const set of this.#model.sets) await this.#jobs.verify(set, LOAD_DEADLINE_MS);
    this.#ledger.say(`${when}: verified`);
  }

  async #usage(): Promise<Usage> {
    return highest(await Promise.all(this.#stage.cluster.runningPeers.map(usageOf)));
  }

  async #expectRest(baseline: Usage): Promise<void> {
    let now = await this.#usage();
    const isAtRest = async (): Promise<boolean> => {
      now = await this.#usage();
      return excessOf(now, baseline).length === 0;
    };
    await waitFor(isAtRest, {
      what: 'processes at rest',
      deadlineMs: REST_DEADLINE_MS,
      intervalMs: 3_000,
    }).catch(() => undefined);
    this.#ledger.say(`at the end: ${usageText(now)}`);
    const excess = excessOf(now, baseline);
    for (const figure of ['rssBytes', 'descriptors', 'sockets', 'lagSeconds'] as const) {
      const text = `${figure} is ${now[figure]}, after the warm-up it was ${baseline[figure]}`;
      this.#ledger.check(!excess.includes(figure), text);
    }
  }
}
