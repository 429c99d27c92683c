/**
 * One trial: an object that is overwritten, deleted and made again while readers of several peers
 * read ranges of it. Every byte tells the version that it belongs to.
 */
import { toRingloadError } from '../../src/base/errors.ts';
import { sleep } from '../../src/base/clock.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import { settle } from '../data/support.ts';
import { PATH, SEGMENT_BYTES, TrialWorld, type TrialPeer } from './trial-world.ts';

/** Virtual time within which every read has to have ended. */
const READ_MAX_MS = 120_000;
const STEP_MS = 10;

export interface TrialResult {
  readonly wholeCount: number;
  /** Reads that began, and were cut because the object had changed or gone. */
  readonly cutCount: number;
  readonly refusedCount: number;
  readonly mutationCount: number;
  /** Promises that were broken. */
  readonly violations: readonly string[];
}

interface Written {
  readonly version: string;
  readonly bytes: Uint8Array;
}

export async function runTrial(seed: number): Promise<TrialResult> {
  return new Trial(seed).run();
}

class Trial {
  readonly #random: SeededRandom;
  readonly #world: TrialWorld;
  readonly #isAlwaysFresh: boolean;
  readonly #contents = new Map<string, Uint8Array>();
  /** What was there, in order, each from its time on; undefined: nothing. */
  readonly #history: { readonly atMs: number; readonly version: string | undefined }[] = [];
  readonly #violations: string[] = [];
  #loaded: string | undefined;
  #wholeCount = 0;
  #cutCount = 0;
  #refusedCount = 0;
  #mutationCount = 0;
  #pending = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#isAlwaysFresh = this.#random.next() < 0.3;
    this.#world = new TrialWorld(this.#random, this.#isAlwaysFresh);
  }

  async run(): Promise<TrialResult> {
    const world = this.#world;
    const first = this.#put(1 + randomInt(this.#random, 6 * SEGMENT_BYTES));
    if (world.chance(0.6)) await this.#load(first);
    world.trouble = world.chance(0.5) ? 0.05 : 0;
    this.#begin(this.#mutate());
    for (let reader = 2 + randomInt(this.#random, 4); reader > 0; reader--)
      this.#begin(this.#readOn());
    if (world.chance(0.5)) this.#begin(this.#disturb());
    for (let ms = 0; this.#pending > 0 && ms < READ_MAX_MS; ms += STEP_MS) {
      await settle();
      world.clock.advance(STEP_MS);
    }
    if (this.#pending > 0) this.#violations.push(`${this.#pending} parts have not ended`);
    return {
      wholeCount: this.#wholeCount,
      cutCount: this.#cutCount,
      refusedCount: this.#refusedCount,
      mutationCount: this.#mutationCount,
      violations: this.#violations,
    };
  }

  #begin(part: Promise<void>): void {
    this.#pending++;
    part
      .catch((thrown: unknown) => this.#violations.push(`failed: ${String(thrown)}`))
      .finally(() => this.#pending--);
  }

  async #load({ version, bytes }: Written): Promise<void> {
    this.#loaded = version;
    const record = { path: PATH, version, sizeBytes: bytes.length, mtimeMs: 0 };
    const cut = { segmentSizeBytes: SEGMENT_BYTES, segmented: true, replicaCount: 2 };
    await this.#world.load({ ...record, ...cut }, bytes, this.#world.pick([0.5, 0.9, 1]));
  }

  async #mutate(): Promise<void> {
    for (let count = 1 + randomInt(this.#random, 5); count > 0; count--) {
      await this.#pause(150);
      const size = this.#contents.get(this.#current ?? '')?.length ?? SEGMENT_BYTES;
      const kind = this.#random.next();
      if (kind < 0.5) this.#put(size);
      else if (kind < 0.7) this.#put(1 + randomInt(this.#random, 6 * SEGMENT_BYTES));
      else {
        this.#world.under.delete(PATH);
        this.#note(undefined);
        await this.#pause(60);
        this.#put(size);
      }
    }
  }

  async #readOn(): Promise<void> {
    for (let count = 1 + randomInt(this.#random, 4); count > 0; count--) {
      await this.#pause(100);
      await this.#read(this.#world.pick(this.#world.peers));
    }
  }

  async #read({ reader }: TrialPeer): Promise<void> {
    const sinceMs = this.#world.clock.nowMs();
    const offset = randomInt(this.#random, 3 * SEGMENT_BYTES);
    const range = this.#world.chance(0.5)
      ? undefined
      : { offset, length: 1 + randomInt(this.#random, 40) };
    let opened: Awaited<ReturnType<typeof reader.read>>;
    try {
      opened = await reader.read(PATH, range);
    } catch (thrown) {
      this.#refused(toRingloadError(thrown).code, sinceMs);
      return;
    }
    const { record, length } = opened;
    const expected = this.#contents.get(record.version);
    if (!expected || expected.length !== record.sizeBytes)
      return void this.#violations.push(
        `version ${record.version} has not ${record.sizeBytes} bytes`,
      );
    if (!this.#mayServe(record.version, sinceMs))
      this.#violations.push(`version ${record.version} was not there when it was asked for`);
    const got: number[] = [];
    const isLeft = this.#world.chance(0.1);
    try {
      for await (const chunk of opened.body) {
        got.push(...chunk);
        if (isLeft) break;
        if (this.#world.chance(0.3)) await this.#pause(30);
      }
    } catch {
      this.#cutCount++;
      this.#compare(record.version, got, opened.offset, expected);
      return;
    }
    this.#compare(record.version, got, opened.offset, expected);
    if (isLeft) return;
    if (got.length !== length)
      this.#violations.push(`${got.length} of ${length} bytes without an error`);
    else this.#wholeCount++;
  }

  #compare(version: string, got: readonly number[], offset: number, expected: Uint8Array): void {
    const at = got.findIndex((byte, position) => byte !== expected[offset + position]);
    if (at < 0) return;
    const other = [...this.#contents].find(([, bytes]) => bytes[offset + at] === got[at])?.[0];
    this.#violations.push(`byte ${offset + at} of ${version} is of ${other ?? 'none'}`);
  }

  /** Only what was so at some moment since it was asked for is an answer. */
  #refused(code: string, sinceMs: number): void {
    this.#refusedCount++;
    const isGone = this.#since(sinceMs).includes(undefined);
    const isOutside = code === 'range_not_satisfiable';
    const isTrouble = this.#world.trouble > 0 || code === 'ufs_changed';
    if (!isOutside && !isTrouble && !(code === 'ufs_not_found' && isGone))
      this.#violations.push(`refused with ${code}`);
  }

  #mayServe(version: string, sinceMs: number): boolean {
    if (version === this.#loaded && !this.#isAlwaysFresh) return true;
    return this.#since(sinceMs).includes(version);
  }

  #since(sinceMs: number): (string | undefined)[] {
    const later = this.#history.filter(({ atMs }) => atMs >= sinceMs);
    const before = this.#history.findLast(({ atMs }) => atMs < sinceMs);
    return [...(before ? [before] : []), ...later].map(({ version }) => version);
  }

  /** Peers are away for a while, segments go, owners change. */
  async #disturb(): Promise<void> {
    const world = this.#world;
    for (let count = 1 + randomInt(this.#random, 4); count > 0; count--) {
      await this.#pause(120);
      const kind = this.#random.next();
      if (kind < 0.4) await world.hurt();
      else if (kind < 0.6) world.turnRing();
      else {
        const peer = world.pick(world.peers);
        peer.isAway = true;
        await this.#pause(500);
        peer.isAway = false;
      }
    }
  }

  get #current(): string | undefined {
    return this.#history.at(-1)?.version;
  }

  #put(size: number): Written {
    // Two versions differ in every byte.
    const number = this.#contents.size + 1;
    const bytes = Uint8Array.from({ length: size }, (_, at) => (number * 37 + at * 7) % 251);
    const { version } = this.#world.under.put(PATH, bytes);
    this.#contents.set(version, bytes);
    this.#note(version);
    return { version, bytes };
  }

  #note(version: string | undefined): void {
    if (this.#history.length > 0) this.#mutationCount++;
    this.#history.push({ atMs: this.#world.clock.nowMs(), version });
  }

  #pause(maxMs: number): Promise<void> {
    return sleep(this.#world.clock, randomInt(this.#random, maxMs));
  }
}

/** Trials from `first` on; the first broken promise names its seed. */
export async function runTrials(first: number, count: number): Promise<TrialResult> {
  const sum = { wholeCount: 0, cutCount: 0, refusedCount: 0, mutationCount: 0 };
  const violations: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const result = await runTrial(seed);
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += result[name];
    violations.push(...result.violations.map((each) => `seed ${seed}: ${each}`));
  }
  return { ...sum, violations };
}
