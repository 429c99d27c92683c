/**
 * The under store of a simulated cluster: objects with all the versions they ever had, and for
 * each process a way to it that is slow, refuses, breaks off, lies, or is cut.
 */
import { sleep } from '../../../src/base/clock.ts';
import { RingloadError, type ErrorCode } from '../../../src/base/errors.ts';
import type { PeerId } from '../../../src/base/ids.ts';
import { throwIfCancelled } from '../../../src/ufs/cancel.ts';
import { MemoryUnderStore } from '../../../src/ufs/memory-under-store.ts';
import { comparePaths, isAtOrBelow } from '../../../src/ufs/path.ts';
import type {
  ListPage,
  ListRequest,
  RangeRequest,
  UfsObject,
  UnderStore,
  UnderStores,
} from '../../../src/ufs/under-store.ts';
import type { Chance } from '../raft/chance.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

export interface Version extends UfsObject {
  readonly bytes: Uint8Array;
  readonly sinceMs: number;
  untilMs: number;
}

/** Shares of calls that go wrong. */
export interface UfsWeather {
  unavailable: number;
  throttled: number;
  /** Of bodies: broken off with an error, ended early without one, damaged, stalled. */
  reset: number;
  short: number;
  corrupt: number;
  stalled: number;
  /** Of pages: as the store was a while ago. */
  stale: number;
  latencyMaxMs: number;
}

const FAIR_WEATHER: UfsWeather = {
  unavailable: 0,
  throttled: 0,
  reset: 0,
  short: 0,
  corrupt: 0,
  stalled: 0,
  stale: 0,
  latencyMaxMs: 10,
};

export interface Get {
  readonly peer: PeerId;
  readonly range: RangeRequest;
  readonly atMs: number;
  /** A client read that path at that time: the GET may be its. */
  readonly isForReader: boolean;
  bytes: number;
}

export const MOUNT = 's3://b';
const CHUNK_BYTES = 700;
const STALL_MS = 4000;
/** How old a stale page is at most. */
const STALE_MS = 3000;

export class SimUfs {
  weather: UfsWeather;
  isDead = false;
  readonly versions = new Map<string, Version[]>();
  readonly gets: Get[] = [];
  /** Paths that a page showed otherwise than they were, and when. */
  readonly lies: { readonly path: string; readonly atMs: number }[] = [];
  readonly #now = new MemoryUnderStore();
  readonly #world: World;
  readonly #chance: Chance;

  readonly #latencyMs: number;

  constructor(world: World, chance: Chance, latencyMs: number) {
    this.#world = world;
    this.#chance = chance;
    this.#latencyMs = latencyMs;
    this.weather = this.fairWeather();
  }

  fairWeather(): UfsWeather {
    return { ...FAIR_WEATHER, latencyMaxMs: this.#latencyMs };
  }

  put(path: string, bytes: Uint8Array): Version {
    const atMs = this.#world.time.nowMs;
    this.#end(path);
    const object = this.#now.put(path, bytes);
    const version = { ...object, bytes, sinceMs: atMs, untilMs: Infinity };
    const known = this.versions.get(path);
    if (known) known.push(version);
    else this.versions.set(path, [version]);
    return version;
  }

  delete(path: string): void {
    this.#end(path);
    this.#now.delete(path);
  }

  /** The version that is there now. */
  current(path: string): Version | undefined {
    return this.versions.get(path)?.find(({ untilMs }) => untilMs === Infinity);
  }

  versionOf(path: string, version: string): Version | undefined {
    return this.versions.get(path)?.find((each) => each.version === version);
  }

  /** Versions at or below `root` that were there all the time from `sinceMs` on. */
  stableSince(root: string, sinceMs: number): Version[] {
    return [...this.versions.values()]
      .flat()
      .filter(
        (each) =>
          isAtOrBelow(root, each.path) && each.sinceMs <= sinceMs && each.untilMs === Infinity,
      );
  }

  /** Whether anything at or below `root` changed, or was shown otherwise than it is, since then. */
  isDisturbedSince(root: string, sinceMs: number): boolean {
    const isChanged = [...this.versions.values()]
      .flat()
      .some(
        ({ path, sinceMs: from, untilMs }) =>
          isAtOrBelow(root, path) &&
          (from > sinceMs || (untilMs !== Infinity && untilMs >= sinceMs)),
      );
    return isChanged || this.lies.some((lie) => isAtOrBelow(root, lie.path) && lie.atMs >= sinceMs);
  }

  wasLiedAboutSince(path: string, sinceMs: number): boolean {
    return this.lies.some((lie) => lie.path === path && lie.atMs >= sinceMs);
  }

  storesFor(peer: PeerId, life: Life): UnderStores {
    const store: UnderStore = {
      listsByKey: true,
      list: (request, signal) => this.#list(life, request, signal),
      stat: async (path, signal) => {
        this.#checkMount(path);
        await this.#reach(life, signal, `stat ${path}`);
        return this.#now.stat(path, signal);
      },
      readRange: (range, signal) => this.#read(peer, life, range, signal),
      checksum: () => Promise.resolve(undefined),
      close: () => Promise.resolve(),
    };
    return {
      mounts: [MOUNT],
      storeOf: (path) => {
        if (isAtOrBelow(MOUNT, path)) return store;
        throw new RingloadError('path_not_mounted', `${path} lies in no mount`);
      },
    };
  }

  async #list(life: Life, request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    await this.#reach(life, signal, `list ${request.root}`);
    this.#checkMount(request.root);
    const page = await this.#now.list(request, signal);
    if (!this.#chance.hit(this.weather.stale)) return page;
    this.#world.count('ufs.staleListing');
    return this.#asItWas(page, request);
  }

  /**
   * The page with what it says about each object made older: earlier versions, some not there yet,
   * and some still there that are gone.
   */
  #asItWas(page: ListPage, request: ListRequest): ListPage {
    const nowMs = this.#world.time.nowMs;
    const objects = this.#goneLately(page, request);
    for (const { path } of objects) this.lies.push({ path, atMs: nowMs });
    this.#world.count('ufs.listedGone', objects.length);
    for (const object of page.objects) {
      const known = this.versions.get(object.path) ?? [];
      const older = known.findLast(
        ({ version, untilMs }) => version !== object.version && untilMs > nowMs - STALE_MS,
      );
      const isHidden = !older && (known.at(-1)?.sinceMs ?? 0) > nowMs - STALE_MS;
      if (older || isHidden) this.lies.push({ path: object.path, atMs: nowMs });
      if (older) this.#world.count('ufs.listedOlder');
      if (isHidden) this.#world.count('ufs.listedNotYet');
      if (older) objects.push(describe(older));
      else if (!isHidden) objects.push(object);
    }
    objects.sort((a, b) => comparePaths(a.path, b.path));
    return { ...page, objects };
  }

  /** In the span of the page. */
  #goneLately({ cursor, done }: ListPage, { root, after }: ListRequest): UfsObject[] {
    const nowMs = this.#world.time.nowMs;
    return [...this.versions.values()].flatMap((known) => {
      const last = known.at(-1);
      if (!last || last.untilMs > nowMs || last.untilMs <= nowMs - STALE_MS) return [];
      const isInSpan =
        isAtOrBelow(root, last.path) &&
        (after === undefined || comparePaths(last.path, after) > 0) &&
        (done || (cursor !== undefined && comparePaths(last.path, cursor) < 0));
      return isInSpan ? [describe(last)] : [];
    });
  }

  #checkMount(path: string): void {
    this.#world.check('S9', isAtOrBelow(MOUNT, path), () => `${path} lies in no mount`);
  }

  async *#read(
    peer: PeerId,
    life: Life,
    range: RangeRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const isForReader = this.#world.isReadLately(range.path);
    const get: Get = { peer, range, atMs: this.#world.time.nowMs, isForReader, bytes: 0 };
    this.gets.push(get);
    this.#world.count('ufs.get');
    this.#checkMount(range.path);
    const ends = this.#world.begins(`read ${range.path}`, life);
    try {
      yield* this.#body(get, life, signal);
    } finally {
      ends();
    }
  }

  async *#body(get: Get, life: Life, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { weather } = this;
    const { range } = get;
    await this.#reach(life, signal, `read ${range.path}`);
    const bytes = this.#bytesOf(range);
    const fate = this.#bodyFate(weather);
    const breakAt = fate === undefined ? Infinity : this.#chance.whole(0, range.length - 1);
    for (let at = 0; at < range.length;) {
      const end = Math.min(range.length, at + CHUNK_BYTES);
      await sleep(life.clock, this.#chance.between(0.1, weather.latencyMaxMs / 2), signal);
      throwIfCancelled(signal);
      const isBroken = breakAt < end;
      if (isBroken && fate === 'stalled') await sleep(life.clock, STALL_MS, signal);
      if (isBroken && (fate === 'stalled' || fate === 'reset'))
        throw new RingloadError('ufs_unavailable', `read ${range.path}: the connection broke`);
      const chunk = bytes.slice(range.offset + at, range.offset + end);
      const isShort = isBroken && fate === 'short';
      const part = isShort ? chunk.subarray(0, breakAt - at) : chunk;
      if (isBroken && fate === 'corrupt') part[breakAt - at] = (part[breakAt - at] ?? 0) ^ 1;
      get.bytes += part.length;
      yield part;
      if (isShort) return;
      at = end;
    }
    if (fate === 'corrupt')
      throw new RingloadError('ufs_bad_response', `read ${range.path}: a checksum differs`);
  }

  #bodyFate(weather: UfsWeather): 'reset' | 'short' | 'corrupt' | 'stalled' | undefined {
    for (const fate of ['reset', 'short', 'corrupt', 'stalled'] as const) {
      if (!this.#chance.hit(weather[fate])) continue;
      this.#world.count(`ufs.${fate}`);
      return fate;
    }
    return undefined;
  }

  #bytesOf(range: RangeRequest): Uint8Array {
    const now = this.current(range.path);
    if (!now) throw new RingloadError('ufs_not_found', `${range.path} does not exist`);
    const isAsked = now.version === range.version && now.sizeBytes === range.sizeBytes;
    const isIgnored =
      this.#world.bug?.ignoresVersions === true && now.sizeBytes >= range.offset + range.length;
    if (!isAsked && !isIgnored)
      throw new RingloadError('ufs_changed', `${range.path} is version ${now.version} now`);
    return now.bytes;
  }

  /** The way to the store, and what it says before it does anything. */
  async #reach(life: Life, signal: AbortSignal, action: string): Promise<void> {
    throwIfCancelled(signal);
    if (!life.begin()) return never();
    const { weather } = this;
    this.#world.note('ufs', action.length);
    await sleep(life.clock, this.#chance.between(0.5, weather.latencyMaxMs), signal);
    throwIfCancelled(signal);
    for (const [share, code] of [
      [this.isDead ? 1 : weather.unavailable, 'ufs_unavailable'],
      [weather.throttled, 'ufs_throttled'],
    ] as const satisfies readonly (readonly [number, ErrorCode])[]) {
      if (!this.#chance.hit(share)) continue;
      this.#world.count(`ufs.${code}`);
      throw new RingloadError(code, `cannot ${action}`);
    }
  }

  #end(path: string): void {
    const now = this.current(path);
    if (now) now.untilMs = this.#world.time.nowMs;
  }
}

function describe({ path, sizeBytes, version, mtimeMs }: UfsObject): UfsObject {
  return { path, sizeBytes, version, mtimeMs };
}

/** What a dead process waits for. */
export function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
