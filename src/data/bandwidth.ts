/**
 * Holds what this peer receives to its limits: one for each job that has one, one for all that
 * comes from under stores. A fill is admitted before it asks for anything, and its body is charged
 * piece by piece, in whichever thread it arrives. So little is ever under way beyond what the
 * limit allows that its average holds over seconds, whatever the size of segments.
 *
 * Readers go first: they share the limit with prefetches but rest only for what readers took, and
 * prefetches rest for both.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { sleep } from '../base/clock.ts';
import { BandwidthBuckets, type BucketShare } from './bandwidth-buckets.ts';

/** What an idle bucket saves up. */
const BURST_SECONDS = 0.2;
/** What may be asked for and not have come yet. */
const UNDER_WAY_SECONDS = 0.5;
const FILL_INTERVAL_MS = 20;
/** The under stores' buckets: all that comes, and what readers take of it. */
const UFS_SLOT = 0;
const READERS_SLOT = 1;

export interface FillToLimit {
  readonly lengthBytes: number;
  readonly isFromUfs: boolean;
  /** For a job, and not for a reader that waits. */
  readonly isPrefetch: boolean;
  readonly group?: string;
  /** Of the group, bytes per second. */
  readonly rateBps?: number;
}

/** Leave for one fill to receive its bytes. */
export interface Passage {
  readonly buckets: BucketShare;
  /** Charges bytes that came; resolves when more may come. */
  pass(bytes: number, signal: AbortSignal): Promise<void>;
  /** The fill has ended. */
  done(): void;
}

interface Bucket {
  readonly slot: number;
  rateBps: number;
  filledMs: number;
  underWayBytes: number;
  userCount: number;
}

interface Waiting {
  readonly lengthBytes: number;
  readonly charged: readonly Bucket[];
  readonly awaited: readonly Bucket[];
  readonly admit: () => void;
}

export class Bandwidth {
  readonly #clock: Clock;
  readonly #buckets = new BandwidthBuckets();
  readonly #groups = new Map<string, Bucket>();
  readonly #freeSlots: number[] = [];
  readonly #ufs: { readonly all: Bucket; readonly readers: Bucket } | undefined;
  #waiting: Waiting[] = [];
  #underWayCount = 0;
  #timer: Timer | undefined;
  #wasHeld = false;
  #usedBytes = 0;

  /** @param ufsBps limit of what comes from under stores; undefined: there is none, and never. */
  constructor(clock: Clock, ufsBps?: number) {
    this.#clock = clock;
    for (let slot = BandwidthBuckets.slotCount - 1; slot > READERS_SLOT; slot--) {
      this.#freeSlots.push(slot);
    }
    if (ufsBps === undefined) return;
    this.#ufs = {
      all: this.#bucket(UFS_SLOT, ufsBps),
      readers: this.#bucket(READERS_SLOT, ufsBps),
    };
  }

  /** For lane threads. */
  get memory(): SharedArrayBuffer {
    return this.#buckets.memory;
  }

  get limitsUfs(): boolean {
    return this.#ufs !== undefined;
  }

  /** From now on; what was saved up at a higher rate is lost. */
  setUfsRate(rateBps: number): void {
    if (!this.#ufs) return;
    for (const bucket of [this.#ufs.all, this.#ufs.readers]) this.#setRate(bucket, rateBps);
    this.#admitWaiting();
  }

  /** What came from under stores since the last call, and whether more would have come. */
  takeDemand(): { readonly usedBytes: number; readonly wasHeld: boolean } {
    const demand = { usedBytes: this.#usedBytes, wasHeld: this.#wasHeld };
    this.#usedBytes = 0;
    this.#wasHeld = this.#isHeld();
    return demand;
  }

  /** Undefined at once where nothing limits the fill. @throws the signal's reason */
  async admit(fill: FillToLimit, signal: AbortSignal): Promise<Passage | undefined> {
    const charged: Bucket[] = [];
    const awaited: Bucket[] = [];
    if (this.#ufs && fill.isFromUfs) {
      const { all, readers } = this.#ufs;
      charged.push(all, ...(fill.isPrefetch ? [] : [readers]));
      awaited.push(fill.isPrefetch ? all : readers);
    }
    if (fill.rateBps !== undefined) {
      const bucket = this.#groupOf(fill.group ?? '', fill.rateBps);
      if (bucket) charged.push(bucket);
      if (bucket) awaited.push(bucket);
    }
    if (charged.length === 0) return undefined;
    for (const bucket of charged) bucket.userCount++;
    try {
      await this.#turn({ lengthBytes: fill.lengthBytes, charged, awaited }, signal);
    } catch (error) {
      for (const bucket of charged) bucket.userCount--;
      throw error;
    }
    return this.#passage(fill, charged, awaited);
  }

  #turn(fill: Omit<Waiting, 'admit'>, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        ...fill,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          this.#underWayCount++;
          for (const bucket of fill.charged) bucket.underWayBytes += fill.lengthBytes;
          resolve();
        },
      };
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
      this.#admitWaiting();
      this.#keepFilling();
    });
  }

  #passage(fill: FillToLimit, charged: readonly Bucket[], awaited: readonly Bucket[]): Passage {
    const buckets = {
      charged: charged.map(({ slot }) => slot),
      awaited: awaited.map(({ slot }) => slot),
    };
    let isDone = false;
    return {
      buckets,
      pass: async (bytes, signal) => {
        let restMs = this.#buckets.charge(buckets, bytes);
        while (restMs > 0) {
          await sleep(this.#clock, restMs, signal);
          restMs = this.#buckets.restMs(buckets.awaited);
        }
      },
      done: () => {
        if (isDone) return;
        isDone = true;
        this.#underWayCount--;
        if (fill.isFromUfs) this.#usedBytes += fill.lengthBytes;
        for (const bucket of charged) {
          bucket.underWayBytes -= fill.lengthBytes;
          bucket.userCount--;
        }
        this.#admitWaiting();
      },
    };
  }

  /** In order, but past those whose own limit holds them back. */
  #admitWaiting(): void {
    if (this.#waiting.length === 0) return;
    const held = new Set<Bucket>();
    this.#waiting = this.#waiting.filter(({ lengthBytes, awaited, admit }) => {
      const mayBegin = awaited.every((bucket) => {
        return !held.has(bucket) && this.#hasRoom(bucket, lengthBytes);
      });
      if (mayBegin) admit();
      else for (const bucket of awaited) held.add(bucket);
      return !mayBegin;
    });
    this.#wasHeld ||= this.#isHeld();
  }

  #hasRoom(bucket: Bucket, lengthBytes: number): boolean {
    this.#fill(bucket);
    if (bucket.rateBps <= 0 || this.#buckets.balanceOf(bucket.slot) < 0) return false;
    const { underWayBytes, rateBps } = bucket;
    return underWayBytes === 0 || underWayBytes + lengthBytes <= rateBps * UNDER_WAY_SECONDS;
  }

  #isHeld(): boolean {
    const ufs = this.#ufs;
    if (!ufs) return false;
    if (this.#buckets.balanceOf(UFS_SLOT) < 0) return true;
    return this.#waiting.some(({ charged }) => charged.includes(ufs.all));
  }

  #keepFilling(): void {
    if (this.#underWayCount === 0 && this.#waiting.length === 0) return;
    this.#timer ??= this.#clock.setTimer(FILL_INTERVAL_MS, () => {
      this.#timer = undefined;
      for (const bucket of this.#used()) this.#fill(bucket);
      this.#admitWaiting();
      this.#keepFilling();
    });
  }

  #used(): Bucket[] {
    const ufs = this.#ufs ? [this.#ufs.all, this.#ufs.readers] : [];
    return [...ufs, ...this.#groups.values()];
  }

  #fill(bucket: Bucket): void {
    const nowMs = this.#clock.nowMs();
    const bytes = Math.floor(((nowMs - bucket.filledMs) / 1000) * bucket.rateBps);
    if (bytes <= 0 && bucket.rateBps > 0) return;
    // Why not all of the time: what was too little for a byte counts the next time.
    const spentMs = bucket.rateBps > 0 ? (bytes / bucket.rateBps) * 1000 : nowMs - bucket.filledMs;
    bucket.filledMs += spentMs;
    if (bytes > 0) this.#buckets.fill(bucket.slot, bytes, bucket.rateBps * BURST_SECONDS);
  }

  #setRate(bucket: Bucket, rateBps: number): void {
    if (bucket.rateBps === rateBps) return;
    this.#fill(bucket);
    bucket.rateBps = rateBps;
    this.#buckets.tellRate(bucket.slot, rateBps);
    this.#buckets.fill(bucket.slot, 0, rateBps * BURST_SECONDS);
  }

  #bucket(slot: number, rateBps: number): Bucket {
    this.#buckets.reset(slot);
    this.#buckets.tellRate(slot, rateBps);
    const filledMs = this.#clock.nowMs();
    return { slot, rateBps, filledMs, underWayBytes: 0, userCount: 0 };
  }

  /** Undefined when more groups have a limit at once than there are buckets. */
  #groupOf(group: string, rateBps: number): Bucket | undefined {
    const known = this.#groups.get(group);
    if (known) {
      this.#setRate(known, rateBps);
      return known;
    }
    if (this.#freeSlots.length === 0) this.#forgetUnused();
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return undefined;
    const bucket = this.#bucket(slot, rateBps);
    this.#groups.set(group, bucket);
    return bucket;
  }

  #forgetUnused(): void {
    for (const [group, { slot, userCount }] of this.#groups) {
      if (userCount > 0) continue;
      this.#groups.delete(group);
      this.#freeSlots.push(slot);
    }
  }
}
