/**
 * The stage of fault stories: a cluster of real peers and the origin they load from. A story
 * starts a load, does something to peers, network, disk or origin, and says what must hold.
 *
 *   const data = stage.addFiles({ count: 24 });
 *   stage.slowReads(150);
 *   const load = await stage.load(data, { replicas: 2 });
 *   await load.reaches(isPartlyLoaded);
 *   await (await stage.cluster.waitForLeader()).kill();
 *   await load.succeeds();
 *   await expectLoaded(t, load);
 *
 * Stories of one file share a stage; each has files of its own, and {@link Stage.restore} brings
 * every peer back before the next one.
 */
import { type FaultRule, FaultyOrigin } from '../support/faulty-origin.ts';
import { Cluster, type ClusterOptions } from '../support/cluster.ts';
import { KIB } from '../../src/base/units.ts';
import { Load, type LoadOptions } from './load.ts';

/** Small, so that few bytes make many tasks. */
export const SEGMENT_BYTES = 64 * KIB;

/**
 * Few tasks at once and short back-offs: slow origins make long phases, retries short ones. At
 * most 16 segments of a peer are fetched at the same time.
 */
const STORY_SETTINGS = {
  RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: SEGMENT_BYTES,
  RINGLOAD_LOAD_CONCURRENCY: 1,
  RINGLOAD_LOAD_RETRY_DELAY_MAX_MS: 500,
  RINGLOAD_LOAD_THROTTLE_PATIENCE_MS: 3_000,
  RINGLOAD_LIVENESS_SUSPECT_AFTER_MS: 1_200,
  RINGLOAD_LIVENESS_DOWN_AFTER_MS: 3_000,
  RINGLOAD_UFS_RETRY_MAX_COUNT: 3,
  RINGLOAD_UFS_RETRY_DELAY_MS: 20,
  RINGLOAD_UFS_RETRY_DELAY_MAX_MS: 200,
} as const;

/** Fetches that may be lost with each peer that dies: what it had in flight. */
export const PARALLEL_FETCHES = 16;

export interface StageOptions extends Omit<ClusterOptions, 'mounts'> {
  /** Further mounts; `s3://origin` is always there. */
  readonly moreMounts?: readonly string[];
  /** Further mounts as `--mount` takes them, given the origin's endpoint. */
  readonly mountsAt?: (endpoint: string) => readonly string[];
  /** Where peers find the origin, given its own endpoint. Default there. */
  readonly originAt?: (endpoint: string) => string;
  /** Where the origin listens. Default 127.0.0.1. */
  readonly originHost?: string;
}

export interface FileSet {
  /** UFS path that holds exactly these files. */
  readonly path: string;
  readonly prefix: string;
  readonly keys: readonly string[];
}

export class Stage implements AsyncDisposable {
  readonly origin: FaultyOrigin;
  readonly cluster: Cluster;
  #setCount = 0;

  private constructor(origin: FaultyOrigin, cluster: Cluster) {
    this.origin = origin;
    this.cluster = cluster;
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    const {
      moreMounts = [],
      mountsAt = () => [],
      env = {},
      originHost,
      originAt,
      ...rest
    } = options;
    const origin = await FaultyOrigin.start(undefined, undefined, originHost);
    const endpoint = originAt?.(origin.endpoint) ?? origin.endpoint;
    const mounts = [
      ...[FaultyOrigin.BUCKET, ...moreMounts].map(
        (bucket) => `s3://${bucket},endpoint=${endpoint},credentials=anonymous`,
      ),
      ...mountsAt(origin.endpoint),
    ];
    try {
      const cluster = await Cluster.start({
        cacheCapacity: '128MiB',
        ...rest,
        mounts,
        env: { ...STORY_SETTINGS, ...env },
      });
      return new Stage(origin, cluster);
    } catch (error) {
      await origin[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Files that the origin has from now on, below a prefix of their own: `count` of `sizeBytes`
   * (default 512 KiB), an empty one, and one that ends in the middle of a segment. `below` is a
   * prefix with its slash.
   */
  addFiles(options: { count: number; sizeBytes?: number; below?: string }): FileSet {
    const prefix = `${options.below ?? ''}set-${++this.#setCount}/`;
    const keys = Array.from({ length: options.count }, (_, number) => {
      const key = `${prefix}dir/file-${String(number).padStart(4, '0')}`;
      this.origin.objects.put(key, options.sizeBytes ?? 8 * SEGMENT_BYTES);
      return key;
    });
    this.origin.objects.put(`${prefix}empty`, 0);
    this.origin.objects.put(`${prefix}odd`, SEGMENT_BYTES + 4_321);
    const path = `s3://${FaultyOrigin.BUCKET}/${prefix.slice(0, -1)}`;
    return { path, prefix, keys: [...keys, `${prefix}empty`, `${prefix}odd`] };
  }

  /** Every request for bytes takes so much longer, until the script changes. */
  slowReads(delayMs: number): void {
    this.origin.script({ operation: 'get', action: { kind: 'delay', delayMs } });
  }

  /** Listings come in pages of `pageKeys` keys, and each takes so much longer. */
  slowListing(delayMs: number, pageKeys: number): void {
    this.origin.pageMaxKeys = pageKeys;
    this.origin.script({ operation: 'list', action: { kind: 'delay', delayMs } });
  }

  /** The origin behaves, but for these rules. */
  script(...rules: readonly FaultRule[]): void {
    this.origin.script(...rules);
  }

  /** The origin behaves. */
  calm(): void {
    this.origin.pageMaxKeys = undefined;
    this.origin.script();
  }

  /** Submits at a running peer. */
  async load(files: FileSet, options: LoadOptions = {}): Promise<Load> {
    const id = await this.cluster.submit({ path: files.path, ...options });
    return new Load(this, { id, files, replicaCount: options.replicas ?? 1 });
  }

  /** Ends what earlier stories did: every peer runs, every member is up, the origin behaves. */
  async restore(): Promise<void> {
    this.calm();
    this.cluster.heal();
    const { peers } = this.cluster;
    for (const peer of peers) {
      if (peer.paused) peer.resume();
      if (!peer.running) await peer.start();
    }
    for (const peer of peers) await peer.waitReady();
    await this.cluster.waitFor(async () => {
      for (const peer of peers) {
        const { members, stale } = await peer.api.cluster();
        if (stale || members.length < peers.length) return false;
        if (members.some(({ state }) => state !== 'up')) return false;
      }
      return true;
    }, 'every member to be up');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop();
    await this.origin[Symbol.asyncDispose]();
  }
}
