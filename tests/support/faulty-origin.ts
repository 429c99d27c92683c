/**
 * A sample store that misbehaves by script, and counts what it is asked.
 *
 * Rules are tried in order for each request; the first that matches decides. What cannot be
 * expressed by a rule is not a fault that a client can see.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { SeededRandom, type Random } from '../../src/base/random.ts';
import type { CombinableSum } from '../../src/base/crc-combine.ts';
import { ExtraSum } from '../../src/data/io/extra-sum.ts';
import { bytesOf, ObjectSet, sha256Of, type VirtualObject } from '../../src/sample/object-set.ts';
import { errorReply, type ObjectChecksums, type SampleReply } from '../../src/sample/s3-answer.ts';
import type { SampleOperation, SampleRequest } from '../../src/sample/s3-request.ts';
import {
  ConnectionCut,
  startSampleStore,
  type Interceptor,
  type SampleStore,
} from '../../src/sample/sample-store.ts';

export type FaultAction =
  /** Answers with a status; `code` makes an S3 error document, `body` any other. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly code?: string;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Answers when this has resolved. */
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  /** Ends or stops the connection after `at` bytes of the body; -1: before the head. */
  | { readonly kind: 'reset' | 'fin' | 'stall'; readonly at: number }
  /** A chunked body that breaks off after `at` bytes, without the chunk that ends it. */
  | { readonly kind: 'cut-chunks'; readonly how: 'reset' | 'fin'; readonly at: number }
  /** One byte at a time. */
  | { readonly kind: 'loris'; readonly intervalMs: number }
  /** `checksum`: what is sent as the CRC32 of the object. */
  | { readonly kind: 'flip'; readonly at: number; readonly checksum?: string }
  /** Body shorter or longer by so many bytes; `Content-Length` agrees with the body. */
  | { readonly kind: 'resize'; readonly byBytes: number }
  /** No `Content-Length`: chunked, or until the connection closes. */
  | { readonly kind: 'no-length'; readonly cutAt?: number; readonly byBytes?: number }
  /** 206 of a range that starts so many bytes later. */
  | { readonly kind: 'shift-range'; readonly byBytes: number; readonly honest: boolean }
  /** 200 with the whole object. */
  | { readonly kind: 'whole' }
  /** The object has this ETag: conditions on it are judged by its text. */
  | { readonly kind: 'etag'; readonly value: string }
  /** Changes headers of the regular answer; null removes one. */
  | { readonly kind: 'headers'; readonly set: Readonly<Record<string, string | null>> }
  /** Adds a full or wrong or composite CRC32 to the answer. */
  | { readonly kind: 'checksum'; readonly value: string }
  /** Changes the object first; `ignoreConditions`: and forgets about If-Match. */
  | { readonly kind: 'change'; readonly sizeBytes?: number; readonly ignoreConditions?: boolean }
  | { readonly kind: 'delete' }
  /** Edits the document of a listing, or whatever else is answered in one piece. */
  | { readonly kind: 'edit'; readonly edit: (text: string, request: SampleRequest) => string };

export interface FaultRule {
  readonly operation?: SampleOperation;
  readonly key?: string | RegExp;
  /** Only requests of which this is true. */
  readonly when?: (request: SampleRequest) => boolean;
  /** Only the n-th matching request, from 1. */
  readonly nth?: number;
  /** Only the first so many matching requests. */
  readonly times?: number;
  /** Chance for each matching request, by the origin's seed. */
  readonly probability?: number;
  readonly action: FaultAction;
}

export interface ReceivedRequest extends SampleRequest {
  /** By `performance.now()`. */
  readonly atMs: number;
}

interface ActiveRule {
  readonly rule: FaultRule;
  matchCount: number;
}

export class FaultyOrigin implements AsyncDisposable {
  static readonly BUCKET = 'origin';
  readonly objects: ObjectSet;
  readonly #random: Random;
  #rules: ActiveRule[] = [];
  #store: SampleStore | undefined;
  readonly requests: ReceivedRequest[] = [];
  /** As some servers do: a listing starts at its token or at the beginning. */
  ignoresStartAfter = false;
  /** Checksums of whole objects that it keeps and tells, true ones unless `spoilt` names the key. */
  checksums:
    | {
        readonly algorithm: CombinableSum;
        readonly type?: ObjectChecksums['type'];
        readonly spoilt?: string;
      }
    | undefined;
  /** Most keys of one page, as a server may decide: makes long listings of few objects. */
  pageMaxKeys: number | undefined;
  readonly #running = new Map<string, number>();
  readonly #peaks = new Map<string, number>();
  readonly #sentBytes = new Map<string, number>();

  private constructor(objects: ObjectSet, seed: number) {
    this.objects = objects;
    this.#random = new SeededRandom(seed);
  }

  /** @param host address to listen on. Default 127.0.0.1. */
  static async start(
    objects = new ObjectSet(),
    seed = 1,
    host = '127.0.0.1',
  ): Promise<FaultyOrigin> {
    const origin = new FaultyOrigin(objects, seed);
    origin.#store = await startSampleStore({
      bucket: FaultyOrigin.BUCKET,
      objects,
      host,
      intercept: origin.#intercept,
      checksums: (object) => origin.#checksumsOf(object),
    });
    return origin;
  }

  get endpoint(): string {
    return this.#started.endpoint;
  }

  get openConnectionCount(): number {
    return this.#started.totals().openConnectionCount;
  }

  /** Replaces the script. */
  script(...rules: readonly FaultRule[]): void {
    this.#rules = rules.map((rule) => ({ rule, matchCount: 0 }));
  }

  countOf(operation: SampleOperation, key?: string): number {
    return this.requests.filter(
      (request) => request.operation === operation && (key ?? request.key) === request.key,
    ).length;
  }

  /** Requests for bytes of keys that begin so. */
  getsBelow(prefix: string): readonly ReceivedRequest[] {
    return this.requests.filter(
      ({ operation, key }) => operation === 'get' && key.startsWith(prefix),
    );
  }

  /** Body bytes sent for a key. */
  sentBytesOf(key: string): number {
    return this.#sentBytes.get(key) ?? 0;
  }

  /** Most GETs of a key (and range, when given) that ran at the same time. */
  peakConcurrencyOf(key: string, range?: string): number {
    return this.#peaks.get(range === undefined ? key : `${key}\0${range}`) ?? 0;
  }

  expectedBytes(key: string, offset?: number, length?: number): Buffer {
    return bytesOf(this.#object(key), offset, length);
  }

  expectedSha256(key: string): string {
    return sha256Of(this.#object(key));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store?.close();
  }

  get #started(): SampleStore {
    if (!this.#store) throw new Error('the origin is not started');
    return this.#store;
  }

  #object(key: string): NonNullable<ReturnType<ObjectSet['find']>> {
    const object = this.objects.find(key);
    if (!object) throw new Error(`the origin has no object ${key}`);
    return object;
  }

  #checksumsOf(object: VirtualObject): ObjectChecksums | undefined {
    if (!this.checksums) return undefined;
    const { algorithm, type = 'FULL_OBJECT', spoilt } = this.checksums;
    const sum = new ExtraSum(algorithm);
    sum.update(bytesOf(object));
    const bytes = Buffer.from(sum.result(), 'hex');
    if (object.key === spoilt) bytes[0] = (bytes[0] ?? 0) ^ 1;
    const suffix = type === 'COMPOSITE' ? '-3' : '';
    return { algorithm, type, value: bytes.toString('base64') + suffix };
  }

  readonly #intercept: Interceptor = async (incoming, answer, gone) => {
    const request = this.#asServed(incoming);
    const proceed = (altered = request): SampleReply => answer(altered);
    this.requests.push({ ...request, atMs: performance.now() });
    const action = this.#actionFor(request);
    const reply = action
      ? await applyFault(action, { request, proceed, gone, objects: this.objects })
      : proceed(request);
    return request.operation === 'get' ? { ...reply, body: this.#counted(request, reply) } : reply;
  };

  #asServed(incoming: SampleRequest): SampleRequest {
    const request = this.ignoresStartAfter ? withoutStartAfter(incoming) : incoming;
    if (this.pageMaxKeys === undefined || request.operation !== 'list') return request;
    const asked = Number(request.query.get('max-keys') ?? Infinity);
    const query = new Map(request.query);
    query.set('max-keys', String(Math.min(asked, this.pageMaxKeys)));
    return { ...request, query };
  }

  async *#counted(request: SampleRequest, reply: SampleReply): AsyncGenerator<Uint8Array> {
    const { key, headers } = request;
    const names = [key, `${key}\0${headers.range ?? ''}`];
    for (const name of names) {
      const running = (this.#running.get(name) ?? 0) + 1;
      this.#running.set(name, running);
      this.#peaks.set(name, Math.max(running, this.#peaks.get(name) ?? 0));
    }
    try {
      for await (const piece of reply.body) {
        this.#sentBytes.set(key, this.sentBytesOf(key) + piece.length);
        yield piece;
      }
    } finally {
      for (const name of names) this.#running.set(name, (this.#running.get(name) ?? 1) - 1);
    }
  }

  #actionFor(request: SampleRequest): FaultAction | undefined {
    for (const active of this.#rules) {
      const { rule } = active;
      if (rule.operation !== undefined && rule.operation !== request.operation) continue;
      if (!matchesKey(rule.key, request.key)) continue;
      if (rule.when !== undefined && !rule.when(request)) continue;
      active.matchCount++;
      if (rule.nth !== undefined && active.matchCount !== rule.nth) continue;
      if (rule.times !== undefined && active.matchCount > rule.times) continue;
      if (rule.probability !== undefined && this.#random.next() >= rule.probability) continue;
      return rule.action;
    }
    return undefined;
  }
}

function withoutStartAfter(request: SampleRequest): SampleRequest {
  const query = new Map(request.query);
  query.delete('start-after');
  return { ...request, query };
}

function matchesKey(wanted: string | RegExp | undefined, key: string): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? wanted === key : wanted.test(key);
}

interface FaultContext {
  readonly request: SampleRequest;
  readonly proceed: (request?: SampleRequest) => SampleReply;
  readonly gone: AbortSignal;
  readonly objects: ObjectSet;
}

async function applyFault(action: FaultAction, context: FaultContext): Promise<SampleReply> {
  const { request, proceed, gone, objects } = context;
  switch (action.kind) {
    case 'status':
      return statusReply(action, request);
    case 'delay':
      await delay(action.delayMs, undefined, { signal: gone }).catch(() => undefined);
      return proceed();
    case 'hold':
      await action.until;
      return proceed();
    case 'reset':
    case 'fin':
    case 'stall':
      if (action.at < 0) await interrupt(action.kind, gone);
      return withBody(proceed(), (body) => interrupted(body, action, gone));
    case 'cut-chunks':
      return withBody(withHeaders(proceed(), { 'content-length': null }), (body) =>
        interrupted(body, { kind: action.how, at: action.at }, gone),
      );
    case 'loris':
      return withBody(proceed(), (body) => trickled(body, action.intervalMs, gone));
    case 'flip':
      return withBody(
        withHeaders(proceed(), { 'x-amz-checksum-crc32': action.checksum ?? null }),
        (body) => flipped(body, action.at),
      );
    case 'resize':
      return resized(proceed(), action.byBytes);
    case 'no-length':
      return withoutLength(proceed(), action);
    case 'shift-range':
      return shifted(context, action);
    case 'whole':
      return proceed({ ...request, headers: { ...request.headers, range: undefined } });
    case 'etag':
      return withEtag(context, action.value);
    case 'headers':
      return withHeaders(proceed(), action.set);
    case 'checksum':
      return withHeaders(proceed(), { 'x-amz-checksum-crc32': action.value });
    case 'change':
      objects.put(request.key, action.sizeBytes ?? objects.find(request.key)?.sizeBytes ?? 0);
      return action.ignoreConditions === true ? proceed(unconditional(request)) : proceed();
    case 'delete':
      objects.delete(request.key);
      return proceed();
    case 'edit':
      return edited(proceed(), (text) => action.edit(text, request));
  }
}

function statusReply(
  action: Extract<FaultAction, { kind: 'status' }>,
  request: SampleRequest,
): SampleReply {
  if (action.code !== undefined) {
    const reply = errorReply(request, action.status, action.code, 'scripted');
    return { ...reply, headers: { ...reply.headers, ...action.headers } };
  }
  const body = Buffer.from(action.body ?? '');
  const headers = { 'content-length': String(body.length), ...action.headers };
  return { status: action.status, headers, body: request.method === 'HEAD' ? [] : [body] };
}

function withBody(
  reply: SampleReply,
  change: (body: SampleReply['body']) => SampleReply['body'],
): SampleReply {
  return { ...reply, body: change(reply.body) };
}

function withHeaders(
  reply: SampleReply,
  set: Readonly<Record<string, string | null>>,
): SampleReply {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...reply.headers, ...set })) {
    if (value !== null) headers[name] = value;
  }
  return { ...reply, headers };
}

function withEtag({ request, proceed }: FaultContext, etag: string): SampleReply {
  const condition = request.headers['if-match'];
  if (condition !== undefined && condition !== etag) {
    return errorReply(request, 412, 'PreconditionFailed', 'A pre-condition did not hold.');
  }
  return withHeaders(proceed(unconditional(request)), { etag });
}

async function interrupt(how: 'reset' | 'fin' | 'stall', gone: AbortSignal): Promise<never> {
  if (how !== 'stall') throw new ConnectionCut(how);
  await new Promise<void>((resolve) => {
    if (gone.aborted) resolve();
    gone.addEventListener('abort', () => {
      resolve();
    });
  });
  throw new ConnectionCut('reset');
}

async function* interrupted(
  body: SampleReply['body'],
  action: Extract<FaultAction, { kind: 'reset' | 'fin' | 'stall' }>,
  gone: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let left = action.at;
  for await (const piece of body) {
    if (piece.length <= left) {
      left -= piece.length;
      yield piece;
      continue;
    }
    if (left > 0) yield piece.subarray(0, left);
    // A reset discards what the kernel has not sent yet: let it leave first.
    await delay(20);
    await interrupt(action.kind, gone);
  }
  await interrupt(action.kind, gone);
}

async function* trickled(
  body: SampleReply['body'],
  intervalMs: number,
  gone: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    for (let i = 0; i < piece.length; i++) {
      yield piece.subarray(i, i + 1);
      await delay(intervalMs, undefined, { signal: gone }).catch(() => undefined);
      if (gone.aborted) return;
    }
  }
}

async function* flipped(body: SampleReply['body'], at: number): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const piece of body) {
    const inside = at - position;
    position += piece.length;
    if (inside < 0 || inside >= piece.length) {
      yield piece;
      continue;
    }
    const copy = Uint8Array.from(piece);
    copy[inside] = (copy[inside] ?? 0) ^ 1;
    yield copy;
  }
}

function resized(reply: SampleReply, byBytes: number): SampleReply {
  const length = Number(reply.headers['content-length']) + byBytes;
  return withBody(withHeaders(reply, { 'content-length': String(length) }), (body) =>
    fitted(body, length),
  );
}

async function* fitted(body: SampleReply['body'], length: number): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const piece of body) {
    const part = piece.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
  }
  if (left > 0) yield new Uint8Array(left);
}

function withoutLength(
  reply: SampleReply,
  action: Extract<FaultAction, { kind: 'no-length' }>,
): SampleReply {
  const length = Number(reply.headers['content-length']) + (action.byBytes ?? 0);
  const bare = withHeaders(reply, {
    'content-length': null,
    // Without a length and with `close`, HTTP/1.1 says the end of the connection ends the body.
    ...(action.cutAt === undefined ? {} : { connection: 'close', 'transfer-encoding': 'identity' }),
  });
  return withBody(bare, (body) => fitted(body, Math.min(length, action.cutAt ?? length)));
}

function shifted(
  { request, proceed }: FaultContext,
  action: Extract<FaultAction, { kind: 'shift-range' }>,
): SampleReply {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  if (!match) throw new Error('a range cannot be shifted where none was asked for');
  const [first, last] = [Number(match[1]) + action.byBytes, Number(match[2]) + action.byBytes];
  const other = proceed({
    ...request,
    headers: { ...request.headers, range: `bytes=${first}-${last}` },
  });
  if (action.honest) return other;
  const regular = proceed();
  return { ...regular, body: other.body };
}

function unconditional(request: SampleRequest): SampleRequest {
  const headers = { ...request.headers };
  delete headers['if-match'];
  delete headers['if-unmodified-since'];
  return { ...request, headers };
}

async function edited(reply: SampleReply, edit: (text: string) => string): Promise<SampleReply> {
  const pieces: Uint8Array[] = [];
  for await (const piece of reply.body) pieces.push(piece);
  const body = Buffer.from(edit(Buffer.concat(pieces).toString('utf8')));
  return { ...withHeaders(reply, { 'content-length': String(body.length) }), body: [body] };
}

/** Hex digest of what was read, to compare with {@link FaultyOrigin.expectedSha256}. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
