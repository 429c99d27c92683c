/**
 * A cluster of real peer processes on loopback, for fault tests and benchmarks.
 *
 *   await using cluster = await Cluster.start({ peers: 3, mounts: ['s3://data'], env: {…} });
 *   const leader = await cluster.waitForLeader();
 *   await leader.kill();
 *
 * With `proxied` every connection between peers runs through a fault proxy: a peer advertises a
 * loopback address of its own, where a proxy listens on the same ports. The proxies find out which
 * peer a connection comes from, so traffic can be cut pair by pair and one way. Linux only.
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobState, JobStatus } from '../../src/job/job-status.ts';
import { freePort } from './free-port.ts';
import { PeerFailpoints } from './peer-failpoints.ts';
import { Peer, type PeerPlace } from './peer-process.ts';
import type { SubmitRequest } from './peer-api.ts';
import { ownerOfPort } from './socket-owner.ts';
import { type Direction, type Faults, type ProxyConnection, TcpProxy } from './tcp-proxy.ts';
import { type TempFolder, tempFolder } from './temp-folder.ts';
import { waitFor } from './wait-for.ts';

/** Short timers, so that an election takes half a second; ratios as in the defaults. */
const FAST_TIMERS = {
  RINGLOAD_RAFT_TICK_MS: 50,
  RINGLOAD_LIVENESS_PING_INTERVAL_MS: 200,
  RINGLOAD_LIVENESS_LINK_TIMEOUT_MS: 1_000,
  RINGLOAD_LIVENESS_SUSPECT_AFTER_MS: 1_500,
  RINGLOAD_LIVENESS_DOWN_AFTER_MS: 4_000,
  RINGLOAD_LOAD_CHECKPOINT_INTERVAL_MS: 300,
  RINGLOAD_LOAD_RETRY_DELAY_MS: 100,
  RINGLOAD_CACHE_REGION_SIZE_BYTES: '8MiB',
  RINGLOAD_LOG_FORMAT: 'plain',
} as const;

export interface ClusterOptions {
  /** Default 3. */
  readonly peers?: number;
  /** As `--mount` takes them: `s3://bucket,endpoint=http://…`. */
  readonly mounts: readonly string[];
  /** For every peer: credentials, and configuration as `RINGLOAD_SECTION_KEY`. */
  readonly env?: Readonly<Record<string, string | number | boolean>>;
  /** More of it for the peer with this index, 0 for the first. */
  readonly envOf?: (index: number) => Readonly<Record<string, string>>;
  /** More arguments of `serve`. */
  readonly args?: readonly string[];
  /** Bytes that each peer's cache may use. Default `1GiB`. */
  readonly cacheCapacity?: string;
  /** Where the data of the peer with that index goes; default a folder of the cluster's own. */
  readonly folderOf?: (index: number) => string | undefined;
  /** More cache directories of the peer with that index, as `path=capacity`. */
  readonly moreCacheDirs?: (index: number) => readonly string[];
  /** Put a fault proxy in front of every peer. Default false. */
  readonly proxied?: boolean;
  /** How others reach the peer with that index; default as it listens. Not with `proxied`. */
  readonly advertiseHostOf?: (index: number) => string;
  /** Where the peers run, by index. Default: all on 127.0.0.1. */
  readonly places?: readonly PeerPlace[];
  /** Let {@link Peer.failpoints} give orders. Default false. */
  readonly failpoints?: boolean;
  /** Told of every line that a peer prints, with the peer's index. */
  readonly onLine?: (index: number, line: string) => void;
  /** Module that node runs in place of the compiled CLI. */
  readonly program?: string;
}

const DEFAULT_PROGRAM = join(process.cwd(), 'build/program/cli/main.js');

export class Cluster implements AsyncDisposable {
  readonly peers: Peer[] = [];
  readonly #options: ClusterOptions;
  readonly #folder: TempFolder;
  readonly #proxies: TcpProxy[] = [];
  readonly #dataProxies = new Map<Peer, TcpProxy>();
  readonly #muteDataPorts = new Set<Peer>();
  readonly #faults = new PairFaults();
  readonly #clones: Peer[] = [];
  #startedCount = 0;

  private constructor(options: ClusterOptions, folder: TempFolder) {
    this.#options = options;
    this.#folder = folder;
  }

  /** Resolves when all peers are ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options, await tempFolder('cluster'));
    try {
      for (let count = options.peers ?? 3; count > 0; count--) await cluster.addPeer();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** Starts one more peer, joins it, and resolves when it is ready. */
  async addPeer(): Promise<Peer> {
    const { peer, advertiseHost } = await this.#createPeer();
    this.peers.push(peer);
    this.#faults.peers = this.peers;
    if (this.#options.proxied && advertiseHost !== undefined) {
      await this.#startProxies(peer, advertiseHost);
    }
    await peer.start();
    await peer.waitReady();
    return peer;
  }

  /**
   * A peer on a copy of another one's data, not started and not one of {@link peers}. Whoever
   * clones one that runs gets what is on the disk at that moment.
   */
  async clonePeer(original: Peer): Promise<Peer> {
    const { peer } = await this.#createPeer();
    await rm(peer.dataDir, { recursive: true });
    await cp(original.dataDir, peer.dataDir, { recursive: true });
    this.#clones.push(peer);
    return peer;
  }

  async #createPeer(): Promise<{ peer: Peer; advertiseHost: string | undefined }> {
    const index = this.#startedCount++;
    const { mounts, env = {}, args = [], program = DEFAULT_PROGRAM, onLine } = this.#options;
    const { folderOf, moreCacheDirs } = this.#options;
    const dataDir = join(folderOf?.(index) ?? this.#folder.path, `peer-${index}`);
    await mkdir(dataDir);
    const advertiseHost = this.#options.proxied
      ? `127.0.1.${index + 1}`
      : this.#options.advertiseHostOf?.(index);
    const failpoints = this.#options.failpoints && new PeerFailpoints(`${dataDir}.failpoints`);
    const place = this.#options.places?.[index];
    const armed = failpoints && { RINGLOAD_FAILPOINTS: failpoints.setting };
    const settings = { ...FAST_TIMERS, ...armed, ...env, ...this.#options.envOf?.(index) };
    const peer = new Peer({
      index,
      program,
      dataDir,
      ...(failpoints && { failpoints }),
      ...(onLine && {
        onLine: (line: string) => {
          onLine(index, line);
        },
      }),
      ...(place && { place }),
      restPort: await freePort(),
      dataPort: await freePort(),
      s3Port: await freePort(),
      ...(advertiseHost !== undefined && { advertiseHost }),
      join: this.peers.map((member) => member.advertisedAddress),
      mounts,
      args: [
        ...[
          `${join(dataDir, 'cache')}=${this.#options.cacheCapacity ?? '1GiB'}`,
          ...(moreCacheDirs?.(index) ?? []),
        ].flatMap((directory) => ['--cache-dir', directory]),
        ...args,
      ],
      env: Object.fromEntries(
        Object.entries(settings).map(([name, value]) => [name, String(value)]),
      ),
    });
    return { peer, advertiseHost };
  }

  /** Forgets a peer that has left for good. */
  drop(peer: Peer): void {
    if (peer.running) throw new Error(`peer ${peer.index} still runs`);
    this.peers.splice(this.peers.indexOf(peer), 1);
  }

  /** Peers that can answer: those that are paused are left out. */
  get runningPeers(): readonly Peer[] {
    return this.peers.filter((peer) => peer.running && !peer.paused);
  }

  /** The peer that a majority of the running peers takes for the leader, if they agree. */
  async leader(): Promise<Peer | undefined> {
    const views = await Promise.allSettled(this.runningPeers.map((peer) => peer.api.cluster()));
    const leaders = new Map<string, number>();
    for (const view of views) {
      if (view.status === 'rejected' || view.value.leaderId === undefined) continue;
      const { leaderId, members } = view.value;
      const address = members.find(({ id }) => id === leaderId)?.address;
      if (address !== undefined) leaders.set(address, (leaders.get(address) ?? 0) + 1);
    }
    const agreed = [...leaders].find(([, count]) => count > this.runningPeers.length / 2)?.[0];
    return this.runningPeers.find((peer) => peer.advertisedAddress === agreed);
  }

  /** @param other a peer that shall not be taken, such as one just killed. */
  async waitForLeader(options: { deadlineMs?: number; other?: Peer } = {}): Promise<Peer> {
    return this.waitFor(
      async () => {
        const leader = await this.leader();
        return leader === options.other ? undefined : leader;
      },
      'a leader',
      options.deadlineMs,
    );
  }

  /** Waits for a condition; a failure shows the last lines of every peer. */
  waitFor<T>(
    probe: () => T | undefined | false | Promise<T | undefined | false>,
    what: string,
    deadlineMs = 60_000,
  ): Promise<T> {
    return waitFor(probe, { what, deadlineMs, context: () => this.logs() });
  }

  /** Submits at one running peer after the other, until one of them answers with the job's id. */
  submit(request: SubmitRequest): Promise<string> {
    let attempt = 0;
    return this.waitFor(
      async () => (await this.#anyPeer(attempt++).api.submit(request)).jobId,
      `the load of ${request.path} to be accepted`,
    );
  }

  /** As any running peer answers, rather one that is current; undefined when none answers. */
  async status(jobId: string): Promise<JobStatus | undefined> {
    let stale: JobStatus | undefined;
    for (const peer of this.runningPeers) {
      const status = await peer.api.job(jobId).catch(() => undefined);
      if (status?.stale === false) return status;
      stale ??= status;
    }
    return stale;
  }

  /** @throws at once when the job ends in another state than the one waited for. */
  async waitForState(jobId: string, state: JobState, deadlineMs = 60_000): Promise<JobStatus> {
    const ended: readonly JobState[] = ['SUCCEEDED', 'FAILED', 'STOPPED'];
    let seen: JobStatus | undefined;
    const status = await waitFor(
      async () => {
        seen = (await this.status(jobId)) ?? seen;
        if (seen === undefined || seen.stale) return undefined;
        return seen.state === state || ended.includes(seen.state) ? seen : undefined;
      },
      {
        what: `job ${jobId} to be ${state}`,
        deadlineMs,
        context: () => `${JSON.stringify(seen)}\n${this.logs()}`,
      },
    );
    if (status.state !== state) {
      throw new Error(
        `job ${jobId} is ${status.state} in place of ${state}: ${JSON.stringify(status.failure)}\n${this.logs()}`,
      );
    }
    return status;
  }

  readFile(path: string, peer = this.#anyPeer()): Promise<Buffer> {
    return peer.api.readFile(path);
  }

  /** Bytes from `from` to `to` stop arriving, both ways round of connecting. Proxied only. */
  cut(from: Peer, to: Peer): void {
    this.#requireProxies();
    this.#faults.set(from, to, { silent: true });
  }

  /** Cuts all traffic between peers of different sides. Proxied only. */
  partition(...sides: readonly (readonly Peer[])[]): void {
    for (const side of sides) {
      for (const other of sides) {
        if (side === other) continue;
        for (const from of side) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** Spoils what flows from `from` to `to`. Proxied only. */
  spoil(from: Peer, to: Peer, faults: Faults): void {
    this.#requireProxies();
    this.#faults.set(from, to, faults);
  }

  /** The peer's data port takes connections and says nothing; its links go on. Proxied only. */
  muteDataPort(peer: Peer): void {
    this.#requireProxies();
    this.#muteDataPorts.add(peer);
  }

  /** Connections that were made to the peer's data port so far. Proxied only. */
  dataConnectionCount(peer: Peer): number {
    this.#requireProxies();
    return this.#dataProxies.get(peer)?.acceptedCount ?? 0;
  }

  /** Ends every cut and fault; open connections go on. */
  heal(): void {
    this.#faults.clear();
    this.#muteDataPorts.clear();
  }

  /** Resets every connection between peers. Proxied only. */
  resetLinks(): void {
    for (const proxy of this.#proxies) proxy.resetAll();
  }

  /** The last lines of every peer, for failure reports. */
  logs(): string {
    return this.peers
      .map(
        (peer) =>
          `--- peer ${peer.index} (${peer.running ? 'running' : 'not running'}, pid ${peer.pid}, ${peer.restUrl})\n${peer.logs()}`,
      )
      .join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.peers, ...this.#clones].map((peer) => peer.stop(5_000)));
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
    await this.#folder[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #anyPeer(position = 0): Peer {
    const peer = this.runningPeers[position % this.runningPeers.length];
    if (peer === undefined) throw new Error('no peer is running');
    return peer;
  }

  #requireProxies(): void {
    if (!this.#options.proxied) throw new Error('the cluster was started without `proxied`');
  }

  async #startProxies(peer: Peer, host: string): Promise<void> {
    for (const port of [peer.restPort, peer.dataPort]) {
      const isData = port === peer.dataPort;
      const proxy = await TcpProxy.start({
        host,
        port,
        target: { host: '127.0.0.1', port },
        faultsOf: (connection, direction) =>
          isData && this.#muteDataPorts.has(peer)
            ? { silent: true }
            : this.#faults.of(connection, direction, peer),
      });
      this.#proxies.push(proxy);
      if (isData) this.#dataProxies.set(peer, proxy);
    }
  }
}

/** Faults by sender and receiver. */
class PairFaults {
  peers: readonly Peer[] = [];
  readonly #byPair = new Map<string, Faults>();
  /** Who opened a connection; undefined for others than peers. */
  readonly #openers = new WeakMap<ProxyConnection, Peer | 'other'>();

  set(from: Peer, to: Peer, faults: Faults): void {
    this.#byPair.set(`${from.index}>${to.index}`, faults);
  }

  clear(): void {
    this.#byPair.clear();
  }

  of(connection: ProxyConnection, direction: Direction, target: Peer): Faults {
    const opener = this.#openerOf(connection);
    if (opener === 'other') return {};
    const [from, to] = direction === 'up' ? [opener, target] : [target, opener];
    return this.#byPair.get(`${from.index}>${to.index}`) ?? {};
  }

  #openerOf(connection: ProxyConnection): Peer | 'other' {
    const known = this.#openers.get(connection);
    if (known) return known;
    const pids = this.peers.filter((peer) => peer.running).map((peer) => peer.pid);
    const owner = ownerOfPort(connection.clientPort, pids);
    const opener = this.peers.find((peer) => peer.pid === owner) ?? 'other';
    this.#openers.set(connection, opener);
    return opener;
  }
}
