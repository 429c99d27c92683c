/** Three peers before a store of generated objects, and what clients of S3 are run with. */
import { type ExecFileException, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { ObjectSet } from '../../../src/sample/object-set.ts';
import { type SampleStore, startSampleStore } from '../../../src/sample/sample-store.ts';
import { virtualBytes } from '../../../src/sample/virtual-bytes.ts';
import { Cluster } from '../../support/cluster.ts';
import { tempFolder, type TempFolder } from '../../support/temp-folder.ts';
import { clientEnvironment, KEY_ID, SECRET } from './client-environment.ts';

export const CLIENTS_HOME = resolve('.cache/s3-clients');
export const BUCKET = 'clients';
const STEP_DEADLINE_MS = 120_000;

/** Legal in S3 and as names of files, so that clients which copy to a disk take part. */
export const ODD = [
  'with space',
  'plus+plus',
  'a%41%2Fb',
  '100%',
  'hash#x',
  'grüße/日本語',
  "it's (odd)!",
  '🙂',
].map((name) => `odd/${name}`);
/** Legal in S3 alone. */
export const WILD = ['double//slash', 'up/../down', 'here/./there', '/first', 'last/'].map(
  (name) => `wild/${name}`,
);
export const LARGE = 'dir/sub/large';
/** One byte more than S3 takes in one request, and than 32 bits count. */
export const HUGE = 'huge';
const HUGE_BYTES = 5 * 1024 ** 3 + 1;
const SIZES: Readonly<Record<string, number>> = {
  empty: 0,
  one: 1,
  'dir/small': 100_000,
  [LARGE]: 20 * 1024 * 1024 + 17,
  [HUGE]: HUGE_BYTES,
  ...Object.fromEntries([...ODD, ...WILD].map((key, index) => [key, 1000 + index])),
};
export const PLAIN = Object.keys(SIZES).filter((key) => key !== HUGE && !WILD.includes(key));

/** Bytes and sum of a whole stream. */
export interface Streamed {
  readonly size: number;
  readonly crc32: number;
}

export class ClientStage implements AsyncDisposable {
  readonly folder: TempFolder;
  readonly cluster: Cluster;
  /** A directory that is the bucket `tables`. */
  readonly tables: string;
  readonly #store: SampleStore;
  readonly #objects: ObjectSet;
  #hugeStreamed: Streamed | undefined;

  private constructor(parts: {
    folder: TempFolder;
    cluster: Cluster;
    tables: string;
    store: SampleStore;
    objects: ObjectSet;
  }) {
    this.folder = parts.folder;
    this.cluster = parts.cluster;
    this.tables = parts.tables;
    this.#store = parts.store;
    this.#objects = parts.objects;
  }

  /** Some of the objects are loaded, the others will be read through. */
  static async open(): Promise<ClientStage> {
    const folder = await tempFolder('s3-clients');
    const tables = join(folder.path, 'tables');
    await mkdir(tables);
    const objects = new ObjectSet(Object.entries(SIZES));
    const store = await startSampleStore({ bucket: BUCKET, objects });
    const cluster = await Cluster.start({
      peers: 3,
      mounts: [
        `s3://${BUCKET},endpoint=${store.endpoint},credentials=anonymous`,
        `file://${tables}`,
      ],
      env: { RINGLOAD_S3_ACCESS_KEYS: `${KEY_ID}:${SECRET}` },
    });
    const jobId = await cluster.submit({ path: `s3://${BUCKET}/dir`, replicas: 2 });
    await cluster.waitForState(jobId, 'SUCCEEDED', 120_000);
    return new ClientStage({ folder, tables, store, cluster, objects });
  }

  /** The peer that all clients ask. */
  get endpoint(): string {
    return this.cluster.peers[0]?.s3Url ?? '';
  }

  sizeOf(key: string): number {
    const size = SIZES[key];
    if (size === undefined) throw new Error(`no object ${key}`);
    return size;
  }

  sha256(key: string, offset = 0, length = this.sizeOf(key)): string {
    const hash = createHash('sha256');
    for (const piece of this.#bytes(key, offset, length)) hash.update(piece);
    return hash.digest('hex');
  }

  /** What a client that reads the huge object from end to end has to find. */
  hugeStreamed(): Streamed {
    this.#hugeStreamed ??= {
      size: HUGE_BYTES,
      crc32: [...this.#bytes(HUGE, 0, HUGE_BYTES)].reduce((sum, piece) => crc32(piece, sum), 0),
    };
    return this.#hugeStreamed;
  }

  /** Runs a client in a clean environment; what it prints. */
  async run(program: string, args: readonly string[]): Promise<Buffer> {
    const options = {
      env: this.environment(),
      timeout: STEP_DEADLINE_MS,
      maxBuffer: 64 * 1024 * 1024,
      encoding: 'buffer',
    } as const;
    return new Promise((settle, fail) => {
      const ended = (error: ExecFileException | null, stdout: Buffer, stderr: Buffer): void => {
        const told = `${program} ${args.join(' ')}: ${String(stdout.subarray(0, 2000))}${String(stderr)}`;
        if (error) fail(new Error(`${told}${error.message}`));
        else settle(stdout);
      };
      execFile(program, args, options, ended);
    });
  }

  /** Runs a client that prints an object of any size. */
  async runStreaming(program: string, args: readonly string[]): Promise<Streamed> {
    const child = spawn(program, args, {
      env: this.environment(),
      timeout: STEP_DEADLINE_MS,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let sum = 0;
    let size = 0;
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      sum = crc32(piece, sum);
      size += piece.length;
    }
    return { size, crc32: sum };
  }

  environment(): NodeJS.ProcessEnv {
    return clientEnvironment(this.folder.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }

  #bytes(key: string, offset: number, length: number): Iterable<Uint8Array> {
    const object = this.#objects.find(key);
    if (!object) throw new Error(`no object ${key}`);
    return virtualBytes(key, object.version, offset, length);
  }
}

/** Why the tests of a client are skipped, if they are. */
export function clientMissing(name: string, program: string): string | undefined {
  return existsSync(program) ? undefined : `${name}: install-s3-clients.sh`;
}
