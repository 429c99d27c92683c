/**
 * A real S3 server, a counting proxy before it, and three peers that load from it: one world for
 * all load tests of one server.
 */
import { createHash } from 'node:crypto';
import { Cluster } from '../../support/cluster.ts';
import type { Peer } from '../../support/peer-process.ts';
import { sha256Of, type VirtualObject } from '../../../src/sample/object-set.ts';
import { runCli, type CliResult } from '../../cli/support/run-cli.ts';
import type { JobStatus } from '../../../src/job/job-status.ts';
import type { SubmitRequest } from '../../support/peer-api.ts';
import { CountingProxy } from './counting-proxy.ts';
import { Uploader, type RealStore } from './real-store.ts';

const READS_IN_FLIGHT = 8;
const LOAD_DEADLINE_MS = 240_000;

export const BUCKET = 'ringload-extended';
/** Mounted with a secret that the server does not know. */
export const LOCKED_BUCKET = 'ringload-locked';

export class LoadWorld implements AsyncDisposable {
  readonly store: RealStore;
  readonly uploader: Uploader;
  readonly cluster: Cluster;
  readonly #proxy: CountingProxy;

  private constructor(parts: {
    store: RealStore;
    uploader: Uploader;
    cluster: Cluster;
    proxy: CountingProxy;
  }) {
    this.store = parts.store;
    this.uploader = parts.uploader;
    this.cluster = parts.cluster;
    this.#proxy = parts.proxy;
  }

  static async open(store: RealStore): Promise<LoadWorld> {
    const uploader = new Uploader(store, BUCKET);
    await uploader.createBucket();
    const proxy = await CountingProxy.start(store.endpoint, BUCKET);
    const cluster = await Cluster.start({
      mounts: [
        `s3://${BUCKET},endpoint=${proxy.endpoint},credentials=env:STORE_ID:STORE_SECRET`,
        `s3://${LOCKED_BUCKET},endpoint=${proxy.endpoint},credentials=env:STORE_ID:WRONG_SECRET`,
      ],
      cacheCapacity: '2GiB',
      env: {
        STORE_ID: store.accessKeyId,
        STORE_SECRET: store.secretAccessKey,
        WRONG_SECRET: 'not-the-secret',
        RINGLOAD_CACHE_REGION_SIZE_BYTES: '64MiB',
        RINGLOAD_UFS_RETRY_DELAY_MS: 10,
        RINGLOAD_LOG_LEVEL: 'debug',
      },
    });
    return new LoadWorld({ store, uploader, cluster, proxy });
  }

  path(key: string): string {
    return `s3://${BUCKET}/${key}`;
  }

  /** Loads to the end, whatever that is. */
  async load(request: SubmitRequest): Promise<JobStatus> {
    const id = await this.cluster.submit(request);
    return this.cluster.waitFor(
      async () => {
        const status = await this.cluster.status(id);
        const ended = status?.state === 'SUCCEEDED' || status?.state === 'FAILED';
        return ended && !status.stale ? status : undefined;
      },
      `the load of ${request.path} to end`,
      LOAD_DEADLINE_MS,
    );
  }

  /** What the server sends for objects while `work` runs, counted before it reaches a peer. */
  async originReadsOf<T>(
    work: () => Promise<T>,
  ): Promise<{ result: T; bytes: number; reads: number; repeated: readonly string[] }> {
    const { objectBytes, readCount } = this.#proxy;
    const repeatedBefore = new Set(this.#proxy.repeatedReads());
    const result = await work();
    return {
      result,
      bytes: this.#proxy.objectBytes - objectBytes,
      reads: this.#proxy.readCount - readCount,
      repeated: this.#proxy.repeatedReads().filter((read) => !repeatedBefore.has(read)),
    };
  }

  /** Keys whose bytes, read through that peer, are not those of the object. */
  async damagedOn(peer: Peer, objects: readonly VirtualObject[]): Promise<string[]> {
    const queue = [...objects];
    const damaged: string[] = [];
    const worker = async (): Promise<void> => {
      for (let object = queue.shift(); object; object = queue.shift()) {
        const finding = await this.#compare(peer, object).catch(String);
        if (finding !== undefined) damaged.push(`${object.key}: ${finding}`);
      }
    };
    await Promise.all(Array.from({ length: READS_IN_FLIGHT }, worker));
    return damaged;
  }

  cli(...args: string[]): Promise<CliResult> {
    const peer = this.cluster.peers.map(({ restPort }) => `127.0.0.1:${restPort}`).join(',');
    return runCli([...args, '--peer', peer]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop();
    await this.#proxy[Symbol.asyncDispose]();
    this.uploader[Symbol.dispose]();
    await this.store.stop();
  }

  async #compare(peer: Peer, object: VirtualObject): Promise<string | undefined> {
    const path = encodeURIComponent(this.path(object.key));
    const response = await fetch(`${peer.restUrl}/v1/files/content?path=${path}`, {
      signal: AbortSignal.timeout(120_000),
    });
    if (!response.ok || response.body === null) return `HTTP ${response.status}`;
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    if (bytes !== object.sizeBytes) return `${bytes} bytes, not ${object.sizeBytes}`;
    return hash.digest('hex') === sha256Of(object) ? undefined : 'other bytes';
  }
}
