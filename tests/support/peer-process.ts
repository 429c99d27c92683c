/** One peer as a real process: started, killed, paused and started again on the same data. */
import { join } from 'node:path';
import { Child, type ChildExit, cleanEnvironment } from './child.ts';
import { PeerApi } from './peer-api.ts';
import type { PeerFailpoints } from './peer-failpoints.ts';
import { waitFor } from './wait-for.ts';

/** Where a peer runs, when not on this host's loopback. */
export interface PeerPlace {
  /** Address that it listens on and is reached at. */
  readonly host: string;
  /** What its command begins with, such as `ip netns exec NAME`. */
  readonly prefix: readonly string[];
}

export interface PeerOptions {
  /** 0 for the first peer of a cluster. */
  readonly index: number;
  /** Module that node runs, with `serve` as its first argument. */
  readonly program: string;
  readonly dataDir: string;
  readonly failpoints?: PeerFailpoints;
  readonly restPort: number;
  readonly dataPort: number;
  /** Default: any free one. */
  readonly s3Port?: number;
  readonly place?: PeerPlace;
  /** Told to the other peers in place of the address it listens on. */
  readonly advertiseHost?: string;
  /** `host:port` of members; empty for the peer that founds the cluster. */
  readonly join: readonly string[];
  readonly mounts: readonly string[];
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly onLine?: (line: string) => void;
}

/** `FAULT_LANES=off`: peers receive through the SDK on their main threads, without lanes. */
const WITHOUT_LANES = process.env['FAULT_LANES'] === 'off';
const PATH_SETTINGS = WITHOUT_LANES ? { RINGLOAD_LANES_THREAD_COUNT: '0' } : {};

export class Peer {
  readonly index: number;
  readonly api: PeerApi;
  readonly dataDir: string;
  readonly #options: PeerOptions;
  /** Output of earlier processes of this peer. */
  #formerLogs = '';
  #child: Child | undefined;
  #paused = false;
  #disturbanceCount = 0;
  #serves = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.index = options.index;
    this.dataDir = options.dataDir;
    this.api = new PeerApi(`http://${this.host}:${options.restPort}`);
  }

  /** Address that it listens on. */
  get host(): string {
    return this.#options.place?.host ?? '127.0.0.1';
  }

  get restUrl(): string {
    return this.api.url;
  }

  get restPort(): number {
    return this.#options.restPort;
  }

  get dataPort(): number {
    return this.#options.dataPort;
  }

  /** Where S3 clients are served. */
  get s3Url(): string {
    const { s3Port } = this.#options;
    if (s3Port === undefined) throw new Error('the peer was made without an S3 port');
    return `http://${this.host}:${s3Port}`;
  }

  /** `host:port` by which other peers reach this one. */
  get advertisedAddress(): string {
    return `${this.#options.advertiseHost ?? this.host}:${this.#options.restPort}`;
  }

  /** 0 before the first start. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exit === undefined;
  }

  /** Grows with everything that is done to the process: equal twice means left alone between. */
  get disturbanceCount(): number {
    return this.#disturbanceCount;
  }

  /** It was ready once since its last start, and runs. */
  get serves(): boolean {
    return this.running && this.#serves;
  }

  /** True between {@link pause} and {@link resume}: the process runs but answers nothing. */
  get paused(): boolean {
    return this.running && this.#paused;
  }

  /** Of a cluster that was started with `failpoints`. */
  get failpoints(): PeerFailpoints {
    const { failpoints } = this.#options;
    if (!failpoints) throw new Error('the cluster was started without `failpoints`');
    return failpoints;
  }

  /** How the last process ended; undefined while it runs. */
  get exit(): ChildExit | undefined {
    return this.#child?.exit;
  }

  /** Starts the process; {@link waitReady} tells when it serves. */
  async start(): Promise<void> {
    if (this.running) throw new Error(`peer ${this.index} runs already`);
    const { program, advertiseHost, join: members, mounts, args, env, place } = this.#options;
    const [command, ...prefix] = [...(place?.prefix ?? []), process.execPath];
    this.#paused = false;
    this.#serves = false;
    this.#disturbanceCount++;
    if (this.#child) this.#formerLogs = `${this.logs()}\n--- started again ---\n`;
    this.#child = await Child.start({
      command,
      args: [
        ...prefix,
        ...[program, 'serve', '--data-dir', this.dataDir],
        ...(place ? ['--host', place.host] : []),
        ...['--rest-port', String(this.restPort), '--data-port', String(this.dataPort)],
        ...(advertiseHost === undefined ? [] : ['--advertise-host', advertiseHost]),
        ...members.flatMap((member) => ['--join', member]),
        ...mounts.flatMap((mount) => ['--mount', mount]),
        ...args,
      ],
      env: cleanEnvironment({
        ...PATH_SETTINGS,
        RINGLOAD_S3_PORT: String(this.#options.s3Port ?? 0),
        ...env,
      }),
      cwd: join(this.dataDir, '..'),
      ...(this.#options.onLine && { onLine: this.#options.onLine }),
    });
  }

  /** Resolves when `/readyz` answers 200. @throws when the process ends or the time is up. */
  async waitReady(deadlineMs = 60_000): Promise<void> {
    let ended: ChildExit | undefined;
    const isReady = async (): Promise<boolean> => {
      ended = this.#child?.exit;
      return ended !== undefined || (await this.api.ready());
    };
    const context = (): string => this.logs();
    await waitFor(isReady, { what: `peer ${this.index} to be ready`, deadlineMs, context });
    if (ended) {
      throw new Error(
        `peer ${this.index} ended with ${ended.code ?? ended.signal} before it was ready\n${this.logs()}`,
      );
    }
    this.#serves = true;
  }

  /** Sends a signal and, where it ends the process, waits for that. Default SIGKILL. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#disturbanceCount++;
    if (signal === 'SIGKILL') this.#serves = false;
    this.#child?.kill(signal);
    if (signal === 'SIGKILL') await this.#child?.exited;
  }

  /** SIGSTOP: the process keeps its sockets and does nothing until {@link resume}. */
  pause(): void {
    this.#paused = true;
    this.#disturbanceCount++;
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#paused = false;
    this.#disturbanceCount++;
    this.#child?.kill('SIGCONT');
  }

  /** Ends the process orderly, or by force after `graceMs`. */
  async stop(graceMs = 10_000): Promise<ChildExit | undefined> {
    this.#disturbanceCount++;
    this.#serves = false;
    return this.#child?.stop(graceMs);
  }

  /** Ends what runs (SIGKILL unless told otherwise) and starts anew on the same data. */
  async restart(how: 'kill' | 'stop' = 'kill'): Promise<void> {
    if (how === 'kill') await this.kill();
    else await this.stop();
    await this.start();
  }

  /** The last lines that the peer printed. */
  logs(): string {
    return this.#formerLogs + (this.#child?.logs() ?? '');
  }
}
