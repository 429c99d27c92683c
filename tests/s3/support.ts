/** The S3 endpoint over real sockets, in front of a reader whose under store is in memory. */
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { ManualClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { ObjectAttributes } from '../../src/base/object-attributes.ts';
import { type AnswerServer, startAnswerServer } from '../../src/data/io/answer-server.ts';
import { AttributeBook } from '../../src/s3/attribute-book.ts';
import { Authenticator } from '../../src/s3/authenticator.ts';
import type { Field } from '../../src/s3/s3-error.ts';
import { newRunningSum } from '../../src/s3/io/running-sums.ts';
import { S3Service } from '../../src/s3/service.ts';
import { ObjectWrites, type WriteNotices } from '../../src/s3/writes.ts';
import { MountTable } from '../../src/ufs/mounts.ts';
import type { ObjectPart, UfsObject, UnderStores } from '../../src/ufs/under-store.ts';
import { ReadWorld } from '../read/support.ts';

export const KEY_ID = 'RINGLOADKEY';
export const SECRET = 'canary-secret/with+signs';
export const MTIME_MS = Date.UTC(2026, 0, 31, 12, 0, 0, 700);
export const LAST_MODIFIED = 'Sat, 31 Jan 2026 12:00:00 GMT';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** `<Code>` of an error document. */
  readonly code: string | undefined;
}

/** Writes where nobody has to hear of them. */
export function unheardWrites(stores: UnderStores): ObjectWrites {
  const notices = { begin: async () => ({ end: () => Promise.resolve() }) };
  return new ObjectWrites({ stores, notices, newSum: newRunningSum });
}

export interface S3WorldOptions {
  readonly mounts?: readonly string[];
  readonly anonymous?: boolean;
  readonly region?: string;
  /** The mounts take writes. */
  readonly writable?: boolean;
  /** How long a body may stand still. */
  readonly bodyStallMs?: number;
}

/** An S3 port on loopback that turns nobody away and waits for a minute. */
export const PATIENT_SERVER = {
  ...{ host: '127.0.0.1', port: 0, what: 'S3 endpoint', logger: silentLogger },
  tooMany: { status: 503, headers: [] },
  bounds: { limit: Infinity, refuseFrom: Infinity, dropFrom: Infinity },
  openFileMaxCount: 4,
  peers: {
    ...{ token: () => undefined, socketMaxCount: 1 },
    ...{ headTimeoutMs: 60_000, stallTimeoutMs: 60_000 },
  },
  ...{ headersTimeoutMs: 60_000, requestTimeoutMs: 60_000 },
  onRefused: () => undefined,
} as const;

export class S3World implements AsyncDisposable {
  readonly reads = new ReadWorld();
  readonly attributes = new Map<string, ObjectAttributes>();
  readonly parts = new Map<string, readonly ObjectPart[]>();
  /** Questions about objects that the under store got. */
  statCount = 0;
  /** The endpoint's clock. */
  wallMs = Date.now();
  /** Set: stats of the under store fail with it. */
  fault: Error | undefined;
  readonly service: S3Service;
  #server: AnswerServer | undefined;

  /** What was said about writes, in order: `begin path`, `end path changed`. */
  readonly notices: string[] = [];

  private constructor(options: S3WorldOptions) {
    const { mounts = ['s3://b'], anonymous = true, region, writable = false } = options;
    const { reader, under } = this.reads;
    if (writable) under.takeWrites();
    const table = new MountTable(mounts.map((path) => ({ path, store: under })));
    const stores: UnderStores = { mounts, storeOf: (path) => table.storeOf(path) };
    const stat = async (path: string, signal: AbortSignal): Promise<UfsObject> => {
      this.statCount++;
      if (this.fault) throw this.fault;
      const object = await under.stat(path, signal);
      const attributes = this.attributes.get(path);
      return attributes ? { ...object, attributes } : object;
    };
    const book = new AttributeBook({ stat, clock: new ManualClock() });
    this.service = new S3Service({
      stores,
      objects: {
        stat: (path) => reader.stat(path),
        open: (found, range) => reader.open(found, range),
        attributesOf: (found, wantsChecksums) => book.of(found, wantsChecksums),
        part: ({ path }, number) => Promise.resolve(this.parts.get(path)?.[number - 1]),
      },
      writes: new ObjectWrites({ stores, notices: this.#notices(), newSum: newRunningSum }),
      authenticator: new Authenticator({
        accessKeys: new Map([[KEY_ID, SECRET]]),
        allowsAnonymous: anonymous,
        ...(region !== undefined && { region }),
        wallMs: () => this.wallMs,
      }),
      region: region ?? 'us-east-1',
      newRequestId: () => 'REQUEST',
      logger: silentLogger,
    });
  }

  static async open(options: S3WorldOptions = {}): Promise<S3World> {
    const world = new S3World(options);
    const { service } = world;
    world.#server = await startAnswerServer({
      ...PATIENT_SERVER,
      answer: (request) => service.answer(request),
      failed: (error, request) => service.errorAnswer(error, request),
      ...(options.bodyStallMs !== undefined && { requestTimeoutMs: options.bodyStallMs }),
    });
    return world;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#server?.port ?? 0}`;
  }

  put(key: string, text = key, bucket = 's3://b'): UfsObject {
    return this.reads.under.put(`${bucket}/${key}`, Buffer.from(text), MTIME_MS);
  }

  #notices(): WriteNotices {
    return {
      begin: async (paths) => {
        this.notices.push(...paths.map((path) => `begin ${path}`));
        return {
          end: async (mayHaveChanged) => {
            const outcome = mayHaveChanged ? 'changed' : 'same';
            for (const path of paths) {
              this.notices.push(`end ${path} ${outcome}`);
              if (mayHaveChanged) this.reads.reader.forget(path);
            }
          },
        };
      },
    };
  }

  /** Sends exactly this target. */
  async send(
    method: string,
    target: string,
    headers: Readonly<Record<string, string | readonly string[]>> = {},
    sent?: Uint8Array | string,
  ): Promise<Reply> {
    const { hostname, port } = new URL(this.endpoint);
    const outgoing = httpRequest({
      ...{ method, hostname, port, path: target, agent: false },
      headers: headers as Record<string, string | string[]>,
    });
    outgoing.end(sent);
    const [incoming] = (await once(outgoing, 'response')) as [
      AsyncIterable<Buffer> & { statusCode: number; headers: Reply['headers'] },
    ];
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const code = /<Error><Code>(\w+)</.exec(body.toString())?.[1];
    return { status: incoming.statusCode, headers: incoming.headers, body, code };
  }

  get(target: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.send('GET', target, headers);
  }

  /** The keys and groups of a listing, in the order of the document. */
  async list(query: string, bucket = 'b'): Promise<Listing> {
    const { status, body, code } = await this.get(`/${bucket}?${query}`);
    const xml = body.toString();
    const all = (pattern: RegExp): string[] =>
      [...xml.matchAll(pattern)].map(([, text = '']) => text);
    const one = (name: string): string | undefined =>
      new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
    return {
      ...{ status, code, xml, one },
      keys: all(/<Key>([^<]*)<\/Key>/g),
      groups: all(/<CommonPrefixes><Prefix>([^<]*)<\/Prefix>/g),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.close(0);
  }
}

export interface Listing {
  readonly status: number;
  readonly code: string | undefined;
  readonly xml: string;
  readonly keys: readonly string[];
  readonly groups: readonly string[];
  one(name: string): string | undefined;
}

/** Written from the specification, apart from the product: headers of a signed request. */
export function signed(request: {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers?: readonly Field[];
  readonly at?: Date;
  readonly secret?: string;
  readonly keyId?: string;
  readonly scope?: string;
  readonly payload?: string;
  readonly signedHeaders?: string;
}): Record<string, string> {
  const at = request.at ?? new Date();
  const time = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = request.scope ?? `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const payload = request.payload ?? createHash('sha256').digest('hex');
  const all: Field[] = [
    ['host', request.host],
    ['x-amz-content-sha256', payload],
    ['x-amz-date', time],
    ...(request.headers ?? []),
  ];
  const names = request.signedHeaders?.split(';') ?? all.map(([name]) => name).sort();
  const lines = names
    .map((name) => `${name}:${all.find(([n]) => n === name)?.[1] ?? ''}\n`)
    .join('');
  const [path = '', query = ''] = request.target.split('?', 2);
  const canonical = `${request.method}\n${path}\n${query}\n${lines}\n${names.join(';')}\n${payload}`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  let key: Buffer = Buffer.from(`AWS4${request.secret ?? SECRET}`);
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const signature = createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash}`)
    .digest('hex');
  const credential = `${request.keyId ?? KEY_ID}/${scope}`;
  return {
    ...Object.fromEntries(all.filter(([name]) => name !== 'host')),
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}
