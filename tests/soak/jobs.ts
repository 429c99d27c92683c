/** Loads of a soak: submitted all the time, each checked against the model when it has ended. */
import { setTimeout as delay } from 'node:timers/promises';
import { randomInt, type Random } from '../../src/base/random.ts';
import type { JobStatus } from '../../src/job/job-status.ts';
import { inTurns, pathOf } from '../fault/expect.ts';
import type { Cluster } from '../support/cluster.ts';
import type { Peer } from '../support/peer-process.ts';
import type { Ledger } from './ledger.ts';
import type { SoakModel, SoakSet } from './model.ts';

const LANE_COUNT = 2;
const POLL_MS = 250;
const ENDED = ['SUCCEEDED', 'FAILED', 'STOPPED'];

export interface JobsOptions {
  readonly cluster: Cluster;
  readonly model: SoakModel;
  readonly random: Random;
  readonly ledger: Ledger;
}

export class SoakJobs {
  readonly #options: JobsOptions;
  /** Accepted, and not seen to have ended. */
  readonly #open = new Map<string, { readonly set: SoakSet; readonly changeCount: number }>();
  #submitting = false;
  #lanes: Promise<unknown> | undefined;

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#open.size;
  }

  openIds(): string {
    return [...this.#open.keys()].join(', ');
  }

  start(): void {
    this.#submitting = true;
    this.#lanes = Promise.all(
      Array.from({ length: LANE_COUNT }, (_unused, lane) => this.#lane(lane)),
    );
  }

  /** No further loads; those accepted go on, and are looked at by {@link settle}. */
  async stop(): Promise<void> {
    this.#submitting = false;
    await this.#lanes;
  }

  /** Looks at what was accepted. True when all of it has ended. */
  async settle(): Promise<boolean> {
    for (const id of [...this.#open.keys()]) await this.#look(id);
    return this.#open.size === 0;
  }

  /**
   * Loads a set while all is calm. It has to succeed within the time, be exact, be resident on R
   * peers by what each of them says, and every peer must give the newest version.
   */
  async verify(set: SoakSet, deadlineMs: number): Promise<void> {
    const { cluster, ledger, model } = this.#options;
    const name = `${set.path} with ${set.replicaCount} copies`;
    try {
      const id = await cluster.submit({ path: set.path, replicas: set.replicaCount });
      const status = await cluster.waitForState(id, 'SUCCEEDED', deadlineMs);
      this.#expectExact(status, set);
      ledger.count('loads', 'verified');
    } catch (error) {
      ledger.fail(`load of ${name} while all is calm: ${firstLines(error)}`);
      return;
    }
    const missing = await this.#missingCopies(set);
    ledger.check(missing.length === 0, `${name} SUCCEEDED, but: ${missing.slice(0, 5).join('; ')}`);
    const wrong: string[] = [];
    for (const peer of cluster.runningPeers) {
      await inTurns(model.keysOf(set), 4, async (key) => {
        const bytes = await peer.api.readFile(pathOf(key)).catch((error: unknown) => String(error));
        if (typeof bytes === 'string') wrong.push(`${key} at peer ${peer.index}: ${bytes}`);
        else if (!model.isCurrent(key, bytes))
          wrong.push(`${key} at peer ${peer.index}: old or wrong`);
      });
    }
    ledger.check(wrong.length === 0, `${name} read back: ${wrong.slice(0, 5).join('; ')}`);
  }

  async #lane(lane: number): Promise<void> {
    const { cluster, model, random, ledger } = this.#options;
    while (this.#submitting) {
      const set = model.sets[(lane + 2 * randomInt(random, 2)) % model.sets.length] as SoakSet;
      const peers = cluster.runningPeers;
      const peer = peers[randomInt(random, Math.max(1, peers.length))];
      const { changeCount } = set;
      const request = { path: set.path, replicas: set.replicaCount, verify: random.next() < 0.3 };
      const accepted = await peer?.api.submit(request).catch(() => undefined);
      if (accepted === undefined) {
        ledger.count('submits', 'refused');
        await delay(POLL_MS);
        continue;
      }
      ledger.count('submits', accepted.outcome);
      // A run that began earlier may have listed before the latest changes.
      const began = accepted.outcome === 'created' ? changeCount : -1;
      this.#open.set(accepted.jobId, { set, changeCount: began });
      while (this.#submitting && this.#open.has(accepted.jobId)) {
        await delay(POLL_MS);
        await this.#look(accepted.jobId);
      }
    }
  }

  async #look(id: string): Promise<void> {
    const { cluster, ledger } = this.#options;
    const known = this.#open.get(id);
    const status = await cluster.status(id).catch(() => undefined);
    if (known === undefined || status === undefined || status.stale) return;
    if (!ENDED.includes(status.state)) return;
    this.#open.delete(id);
    ledger.count('loads', status.state);
    if (status.state === 'STOPPED') ledger.fail(`job ${id} is STOPPED, and nobody stopped it`);
    if (status.failure !== undefined) ledger.count('failed loads', status.failure.code);
    this.#expectConsistent(status);
    if (known.set.changeCount === known.changeCount && status.state === 'SUCCEEDED') {
      this.#expectExact(status, known.set);
    }
  }

  /** Whatever happened: the parts make up the whole. */
  #expectConsistent({ id, counters, state, listingDone }: JobStatus): void {
    if (state !== 'SUCCEEDED' && !listingDone) return;
    const { loadedFiles, skippedFiles, failedFiles, filteredFiles, listedFiles } = counters;
    const settledFiles = loadedFiles + skippedFiles + failedFiles + filteredFiles;
    const settledBytes = counters.loadedBytes + counters.skippedBytes + counters.failedBytes;
    const isRight = settledFiles === listedFiles && settledBytes === counters.listedBytes;
    this.#options.ledger.check(
      isRight,
      `account of job ${id}, ${state}: ${JSON.stringify(counters)}`,
    );
  }

  #expectExact({ id, counters }: JobStatus, set: SoakSet): void {
    const { model, ledger } = this.#options;
    const { loadedFiles, skippedFiles, loadedBytes, skippedBytes } = counters;
    const isRight =
      counters.listedFiles === model.keysOf(set).length &&
      loadedFiles + skippedFiles === counters.listedFiles &&
      loadedBytes + skippedBytes === model.sizeOf(set);
    const expected = `${model.keysOf(set).length} files of ${model.sizeOf(set)} bytes`;
    ledger.check(isRight, `job ${id}, ${expected}: ${JSON.stringify(counters)}`);
  }

  /** By what every peer says itself that it holds. */
  async #missingCopies(set: SoakSet): Promise<string[]> {
    const { cluster, model } = this.#options;
    const missing: string[] = [];
    const peers = cluster.runningPeers;
    await inTurns(model.keysOf(set), 4, async (key, position) => {
      const reader = peers[position % peers.length] as Peer;
      const placed = await reader.api.placement(pathOf(key)).catch((error: unknown) => {
        missing.push(`${key}: ${String(error)}`);
      });
      for (const { index, owners, residentOn } of placed?.segments ?? []) {
        const held = owners.filter((owner) => residentOn.includes(owner));
        const wanted = Math.min(set.replicaCount, peers.length);
        if (held.length < wanted)
          missing.push(`${key} segment ${index}: ${held.length} of ${wanted}`);
      }
    });
    return missing;
  }
}

const firstLines = (error: unknown): string => String(error).split('\n').slice(0, 3).join(' ');
