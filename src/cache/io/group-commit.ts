/**
 * Makes records durable, many at a time: one sync of the data they speak of, one append to the
 * sidecar, one sync of that, then they take effect. While one group is being synced the next one
 * gathers, so the delay is bounded by two syncs. A group of segments that were all loaded ahead
 * rests for a while while a reader waits for another one: that one then finds no sync before it, and
 * takes them along.
 *
 * Invariant: a record takes effect only after its data and itself are durable; after a failed
 * sync nothing is tried again, the group fails and the region is given up. What a full disk refuses
 * fails its group only.
 */
import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import type { Region } from '../region.ts';
import { isDiskFull } from './cache-io-error.ts';
import type { RegionFiles } from './region-files.ts';

/** Records per group: bounds the memory of one append. */
const GROUP_MAX_COUNT = 4096;

/** Records whose news are told in one turn of the event loop: each of them sets others to work. */
const TURN_MAX_COUNT = 16;
/** How long what was loaded ahead rests at most, and how often it is looked for a reader. */
const REST_MAX_MS = 100;
const LOOK_MS = 4;

export interface NewRecord {
  readonly region: Region;
  /** Whether the record speaks of data written since the last sync. */
  readonly isAboutNewData: boolean;
  /** Of a segment that may have been loaded ahead; absent: it waits for nobody. */
  readonly urgency?: AwaitedNow;
  /** The record's bytes, asked for when the group is written. */
  encode(): Uint8Array;
  /** Lets the durable record take effect. */
  apply?(recordOffset: number): void;
}

/** Whether a reader waits, as it is now. */
export interface AwaitedNow {
  readonly isUrgent: boolean;
}

/** Readers that wait for fills, and a clock to rest by. */
export interface CommitRest {
  readonly clock: Clock;
  readonly demands: { readonly value: number };
}

/** What a group needs of its directory. */
export interface CommitTarget {
  readonly files: Pick<RegionFiles, 'syncData' | 'writeRecords' | 'keepRecords'>;
  /** @throws cache_io when the directory is out of service. */
  checkServing(): void;
  attempt<T>(action: string, work: () => Promise<T>): Promise<T>;
  abandon(region: Region): void;
  unpin(region: Region): void;
}

interface PendingRecord {
  readonly record: NewRecord;
  readonly resolve: () => void;
  readonly reject: (error: RingloadError) => void;
}

export class GroupCommit {
  readonly #directory: CommitTarget;
  #pending: PendingRecord[] = [];
  #running: Promise<void> | undefined;
  readonly #rest: CommitRest | undefined;
  #wake: () => void = () => undefined;

  /** @param rest absent: no group rests. */
  constructor(directory: CommitTarget, rest?: CommitRest) {
    this.#directory = directory;
    this.#rest = rest;
  }

  /** Resolves when the record is durable and applied. @throws cache_io */
  commit(record: NewRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      const { state, id } = record.region;
      if (state !== 'open' && state !== 'sealed') {
        reject(new RingloadError('cache_io', `write to region ${id}, which is ${state}`));
        return;
      }
      record.region.pinCount++;
      this.#pending.push({ record, resolve, reject });
      if (!isAhead(record)) this.#wake();
      this.#running ??= this.#run();
    });
  }

  /** Writes the record with the next group. When that fails the directory has noted it. */
  note(record: NewRecord): void {
    this.commit(record).catch(() => undefined);
  }

  /** Resolves when nothing is pending. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // Why: commits of the same turn of the event loop share the first group, too.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.length > 0) {
      await this.#letReadersGoFirst();
      const group = this.#pending.splice(0, GROUP_MAX_COUNT);
      await this.#writeGroup(group);
    }
    this.#running = undefined;
  }

  async #letReadersGoFirst(): Promise<void> {
    if (!this.#rest) return;
    const { clock, demands } = this.#rest;
    const mayRest = (): boolean =>
      demands.value > 0 && this.#pending.every(({ record }) => isAhead(record));
    for (let restedMs = 0; restedMs < REST_MAX_MS && mayRest(); restedMs += LOOK_MS) {
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(LOOK_MS, resolve);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.#wake = () => undefined;
  }

  async #writeGroup(group: readonly PendingRecord[]): Promise<void> {
    const byRegion = new Map<Region, PendingRecord[]>();
    for (const pending of group) {
      const { region } = pending.record;
      const others = byRegion.get(region);
      if (others) others.push(pending);
      else byRegion.set(region, [pending]);
    }
    await Promise.all([...byRegion].map(([region, records]) => this.#writeRegion(region, records)));
  }

  async #writeRegion(region: Region, group: readonly PendingRecord[]): Promise<void> {
    try {
      const encoded = group.map(({ record }) => record.encode());
      const isAboutNewData = group.some(({ record }) => record.isAboutNewData);
      let recordOffset = await this.#append(region, Buffer.concat(encoded), isAboutNewData);
      for (const [position, { record, resolve }] of group.entries()) {
        if (position > 0 && position % TURN_MAX_COUNT === 0) {
          await new Promise((next) => setImmediate(next));
          this.#directory.checkServing();
        }
        record.apply?.(recordOffset);
        recordOffset += encoded[position]?.length ?? 0;
        resolve();
      }
    } catch (error) {
      for (const { reject } of group) reject(error as RingloadError);
    } finally {
      for (let count = 0; count < group.length; count++) this.#directory.unpin(region);
    }
  }

  /** Returns where the first record lies. */
  async #append(region: Region, bytes: Uint8Array, isAboutNewData: boolean): Promise<number> {
    const directory = this.#directory;
    directory.checkServing();
    if (region.state === 'abandoned') {
      throw new RingloadError('cache_io', `write to region ${region.id}, which is abandoned`);
    }
    const recordOffset = region.recordTail;
    let isWriting = false as boolean;
    try {
      await directory.attempt(`commit to region ${region.id}`, async () => {
        if (isAboutNewData) {
          await directory.files.syncData(region);
          failpoint('cache.data.synced');
        }
        isWriting = true;
        await directory.files.writeRecords(region, bytes);
        isWriting = false;
        failpoint('cache.record.appended');
        await directory.files.keepRecords(region, bytes);
        failpoint('cache.record.synced');
      });
    } catch (error) {
      // Why not on a full disk: the write was refused and no sync failed, so nothing is in doubt.
      const isRefused = isWriting && error instanceof RingloadError && isDiskFull(error);
      if (!isRefused) directory.abandon(region);
      throw error;
    }
    directory.checkServing();
    return recordOffset;
  }
}

function isAhead({ urgency }: NewRecord): boolean {
  return urgency?.isUrgent === false;
}
