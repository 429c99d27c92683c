/**
 * S3, and what speaks S3, as an under store: listing, heads and ranged reads through the AWS SDK.
 *
 * This file owns the course of a call: its deadline, its retries, and when a failure means that
 * the credentials are to be read anew. What an answer must look like is checked in `s3-listing.ts`
 * and `s3-body.ts`, what an error means is decided in `s3-errors.ts`. Order on a read: check the
 * head, count the body, and give out the last chunk only after the body has ended as promised.
 */
import { setMaxListeners } from 'node:events';
import type { Readable } from 'node:stream';

import { GetObjectCommand, type GetObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3';

import { RingloadError } from '../../base/errors.ts';
import { Scope, throwIfCancelled } from '../cancel.ts';
import { checkRange } from '../check-range.ts';
import { checkMount, UFS_DEFAULT_LIMITS, type MountConfig, type UfsLimits } from '../mounts.ts';
import { comparePaths, parsePath } from '../path.ts';
import { RetryBudget, RetryLoop, type Failure } from '../retry.ts';
import type {
  BrowsePage,
  BrowseRequest,
  ListPage,
  ListRequest,
  RangeMover,
  ObjectChecksum,
  ObjectPart,
  RangeRequest,
  UfsObject,
  UnderStore,
} from '../under-store.ts';
import type { UnderStoreDependencies } from './dependencies.ts';
import { attributesOf, attributesOfBody } from './s3-attributes.ts';
import { checkHead, watchBody } from './s3-body.ts';
import { browseKeys } from './s3-browse.ts';
import { objectChecksumOf, verifierOf, type ChecksumVerifier } from './s3-checksum.ts';
import { createS3Client, createSockets, type S3Sockets } from './s3-client.ts';
import { S3Direct } from './s3-direct.ts';
import { classifyS3Failure } from './s3-errors.ts';
import { headObject } from './s3-head.ts';
import { listKeys, type KeyPage, type KeyRange } from './s3-listing.ts';
import { targetOf } from './s3-target.ts';
import { conditionOf, versionFrom } from './s3-version.ts';
import { S3Writer } from './s3-writer.ts';

const BYTES_PER_EXTRA_RETRY = 16 * 1024 * 1024;
/** How often refused credentials are read again. */
const RENEWAL_INTERVAL_MS = 5_000;

/** How far one readRange has come, over all its attempts. */
interface RangeProgress {
  readonly request: RangeRequest;
  receivedBytes: number;
  waitedMs: number;
  verifier?: ChecksumVerifier | undefined;
}

export class S3UnderStore implements UnderStore {
  readonly listsByKey = true;
  readonly writer?: S3Writer;
  readonly #mount: MountConfig;
  readonly #limits: UfsLimits;
  readonly #dependencies: UnderStoreDependencies;
  readonly #sockets: S3Sockets;
  readonly #budget = new RetryBudget();
  readonly #closing = new AbortController();
  readonly #direct: S3Direct;
  #client: S3Client;
  #renewedAtMs: number | undefined;

  /** @throws config_invalid */
  constructor(mount: MountConfig, dependencies: UnderStoreDependencies) {
    this.#mount = checkMount(mount);
    this.#limits = { ...UFS_DEFAULT_LIMITS, ...mount.limits };
    this.#dependencies = dependencies;
    this.#sockets = createSockets(this.#limits);
    this.#client = this.#createClient();
    this.#direct = new S3Direct({
      mount: this.#mount,
      limits: this.#limits,
      dependencies,
      client: () => this.#client,
      retries: (lengthBytes) => this.#retriesFor(lengthBytes),
      failureOf: (thrown, action, client) => this.#failureOf(thrown, action, client),
      succeeded: () => {
        this.#budget.succeeded();
      },
    });
    setMaxListeners(0, this.#closing.signal);
    if (mount.writes !== 'through') return;
    this.writer = new S3Writer({
      ...{ limits: this.#limits, clock: dependencies.clock, closing: this.#closing.signal },
      client: () => this.#client,
      document: (action, signal, call) => this.#document(action, signal, call),
      retries: (maxCount) => this.#retryLoop(Math.min(maxCount, this.#limits.retryMaxCount)),
      failureOf: (thrown, action, client) => this.#failureOf(thrown, action, client),
    });
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const { root, after, limit } = request;
    const { authority: bucket, key } = parsePath(root);
    const afterKey = after === undefined ? undefined : parsePath(after).key;
    const list = (range: Omit<KeyRange, 'bucket'>): Promise<KeyPage> =>
      this.#document(`list ${root}`, signal, (client, bounded) =>
        listKeys(client, { bucket, ...range }, bounded),
      ).then((page) => this.#withHints(page));

    const objects: UfsObject[] = [];
    if (key !== '' && (afterKey === undefined || comparePaths(afterKey, key) < 0)) {
      // The first key with this prefix is the object `root` itself, if it exists at all.
      const { objects: first } = await list({ prefix: key, limit: 1 }).catch(nothingIfForbidden);
      objects.push(...first.filter((object) => object.path === root));
      if (objects.length === limit) return { objects, done: false, cursor: root };
    }
    const prefix = key === '' ? '' : `${key}/`;
    // A cursor before the prefix would be legal for the store, but servers differ on it.
    const isBelow = afterKey !== undefined && comparePaths(afterKey, prefix) >= 0;
    const page = await list({
      prefix,
      after: isBelow ? afterKey : undefined,
      limit: limit - objects.length,
    });
    objects.push(...page.objects);
    const cursor = objects.at(-1)?.path ?? after;
    const result = { objects, done: page.done };
    return cursor === undefined ? result : { ...result, cursor };
  }

  async browse(request: BrowseRequest, signal: AbortSignal): Promise<BrowsePage> {
    return this.#document(`browse ${request.prefix}`, signal, (client, bounded) =>
      browseKeys(client, request, bounded),
    );
  }

  async part(
    request: { readonly path: string; readonly version: string; readonly partNumber: number },
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    const { path, version, partNumber } = request;
    const target = { ...targetOf(path), ...conditionOf(version) };
    const output = await this.#document(`part of ${path}`, signal, (client, bounded) =>
      headObject(client, target, { PartNumber: partNumber }, bounded),
    );
    const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(output.ContentRange ?? '') ?? [];
    const { PartsCount: partCount } = output;
    if (first === undefined || last === undefined || partCount === undefined) return undefined;
    return { offset: Number(first), length: Number(last) - Number(first) + 1, partCount };
  }

  async stat(path: string, signal: AbortSignal): Promise<UfsObject> {
    const target = targetOf(path);
    // Costs nothing, and is what a client may ask for.
    const isChecked = this.#mount.responseChecksums !== 'ignore';
    const mode = isChecked ? ({ ChecksumMode: 'ENABLED' } as const) : {};
    const output = await this.#document(`stat ${path}`, signal, (client, bounded) =>
      headObject(client, target, mode, bounded),
    );
    const { ContentLength: sizeBytes, ETag, LastModified } = output;
    if (sizeBytes === undefined || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw new RingloadError('ufs_bad_response', `cannot stat ${path}: no valid Content-Length`);
    }
    const version = versionFrom(ETag, LastModified);
    const mtimeMs = LastModified?.getTime() ?? 0;
    return { path, sizeBytes, version, mtimeMs, attributes: attributesOf(output) };
  }

  async checksum(
    { path, version }: Pick<UfsObject, 'path' | 'version'>,
    signal: AbortSignal,
  ): Promise<ObjectChecksum | undefined> {
    if (this.#mount.responseChecksums === 'ignore') return undefined;
    const target = { ...targetOf(path), ...conditionOf(version) };
    const output = await this.#document(`checksum of ${path}`, signal, (client, bounded) =>
      headObject(client, target, { ChecksumMode: 'ENABLED' }, bounded),
    );
    return objectChecksumOf(output);
  }

  async *readRange(request: RangeRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    checkRange(request);
    // One signal for hundreds of reads of a job is what we expect, not a leak.
    setMaxListeners(0, signal);
    const progress: RangeProgress = { request, receivedBytes: 0, waitedMs: 0 };
    const retries = this.#retriesFor(request.length);
    const scope = new Scope(`read ${request.path}`, [signal, this.#closing.signal]);
    try {
      for (;;) {
        const client = this.#client;
        try {
          yield* this.#readRest(client, progress, scope.signal);
          this.#budget.succeeded();
          return;
        } catch (thrown) {
          throwIfCancelled(scope.signal);
          const failure = this.#failureOf(thrown, scope.action, client);
          // With every byte received nothing is left to resume: the answer as a whole was bad.
          if (progress.receivedBytes >= request.length) throw failure.error;
          await retries.waitOrThrow(failure, scope.signal);
        }
      }
    } finally {
      scope.release();
    }
  }

  /** What is under way when the store is closed is ended by whoever moves the bytes. */
  async moveRange(request: RangeRequest, mover: RangeMover, signal: AbortSignal): Promise<boolean> {
    checkRange(request);
    throwIfCancelled(this.#closing.signal);
    return this.#direct.move(request, mover, signal);
  }

  close(): Promise<void> {
    this.#closing.abort(new RingloadError('cancelled', 'the under store is closed'));
    this.#sockets.http.destroy();
    this.#sockets.https.destroy();
    return Promise.resolve();
  }

  /** A call whose answer fits into memory, with deadline and retries. */
  async #document<T>(
    action: string,
    signal: AbortSignal,
    call: (client: S3Client, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    setMaxListeners(0, signal);
    const retries = this.#retryLoop(this.#limits.retryMaxCount);
    for (;;) {
      const client = this.#client;
      const scope = new Scope(action, [signal, this.#closing.signal]);
      try {
        throwIfCancelled(scope.signal);
        scope.limit(this.#dependencies.clock, this.#limits.listTimeoutMs);
        const value = await scope.race(call(client, scope.signal));
        this.#budget.succeeded();
        return value;
      } catch (thrown) {
        throwIfCancelled(signal);
        throwIfCancelled(this.#closing.signal);
        await retries.waitOrThrow(this.#failureOf(thrown, action, client), signal);
      } finally {
        scope.release();
      }
    }
  }

  /** One attempt at what is still missing. The last chunk is held back until the body ends well. */
  async *#readRest(
    client: S3Client,
    progress: RangeProgress,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { request } = progress;
    const { clock } = this.#dependencies;
    const start = request.offset + progress.receivedBytes;
    const scope = new Scope(`read ${request.path}`, [signal]);
    try {
      const lift = scope.limit(clock, this.#limits.requestTimeoutMs);
      const sent = client.send(getCommand(request, start), { abortSignal: scope.signal });
      const output = await scope.race(sent, (late) => bodyOf(late).destroy());
      lift();
      const body = bodyOf(output);
      try {
        checkHead(output, request, start);
      } catch (thrown) {
        body.destroy();
        throw thrown;
      }
      const isWhole = start === 0 && request.length === request.sizeBytes;
      if (isWhole) progress.verifier = this.#verifierOf(output);
      const attributes = request.onAttributes && attributesOfBody(attributesOf(output), isWhole);
      if (attributes) request.onAttributes(attributes);
      const chunks = watchBody(body, {
        clock,
        windowMs: this.#limits.throughputWindowMs,
        minBytesPerWindow: this.#limits.throughputMinBytes,
        expectedBytes: request.length - progress.receivedBytes,
        waitMaxMs: this.#limits.readTimeoutMs - progress.waitedMs,
        onWaited: (waitedMs) => (progress.waitedMs += waitedMs),
        signal: scope.signal,
        action: scope.action,
      });
      let last: Uint8Array | undefined;
      for await (const chunk of chunks) {
        if (chunk.length === 0) continue;
        progress.receivedBytes += chunk.length;
        if (progress.receivedBytes > request.length) throw badBody(progress, 'is too long');
        progress.verifier?.update(chunk);
        if (progress.receivedBytes === request.length) last = chunk;
        else yield chunk;
      }
      if (!last) throw cutBody(progress);
      if (progress.verifier?.matches() === false) {
        throw corruptBody(progress, progress.verifier.algorithm);
      }
      if (progress.verifier) request.onChecked?.();
      yield last;
    } finally {
      scope.release();
    }
  }

  #retriesFor(lengthBytes: number): RetryLoop {
    const extraCount = Math.floor(lengthBytes / BYTES_PER_EXTRA_RETRY);
    return this.#retryLoop(this.#limits.retryMaxCount + extraCount);
  }

  /** Whom nothing tells of checksums may be asked for them all the same. */
  #withHints(page: KeyPage): KeyPage {
    if (this.#mount.responseChecksums !== 'thorough') return page;
    return { ...page, objects: page.objects.map((o) => ({ ...o, mayHaveChecksum: true })) };
  }

  #verifierOf(output: GetObjectCommandOutput): ChecksumVerifier | undefined {
    const { responseChecksums } = this.#mount;
    if (responseChecksums === 'ignore') return undefined;
    return verifierOf(output, { md5: responseChecksums === 'thorough' });
  }

  #retryLoop(retryMaxCount: number): RetryLoop {
    const { clock, random, onThrottled } = this.#dependencies;
    const { retryDelayMs, retryDelayMaxMs } = this.#limits;
    const delays = { retryDelayMs, retryDelayMaxMs };
    return new RetryLoop({
      ...{ clock, random, budget: this.#budget, retryMaxCount, onThrottled },
      ...delays,
    });
  }

  #failureOf(thrown: unknown, action: string, client: S3Client): Failure {
    const failure = classifyS3Failure(thrown, action);
    if (failure.error.code !== 'ufs_credentials' || failure.again !== 'never') return failure;
    return this.#renewAfter(client) ? { ...failure, again: 'corrected' } : failure;
  }

  /** Reads refused credentials anew, since they may have been rotated: true when that may help. */
  #renewAfter(client: S3Client): boolean {
    if (client !== this.#client) return true;
    const nowMs = this.#dependencies.clock.nowMs();
    if (this.#renewedAtMs !== undefined && nowMs - this.#renewedAtMs < RENEWAL_INTERVAL_MS) {
      return false;
    }
    this.#renewedAtMs = nowMs;
    // The old client is not destroyed: that would cut the sockets, which both share.
    this.#client = this.#createClient();
    return true;
  }

  #createClient(): S3Client {
    return createS3Client(this.#mount, this.#limits, this.#sockets, this.#dependencies);
  }
}

/** Policies often allow the prefix `root/` alone: then there is no object `root` for us. */
function nothingIfForbidden(thrown: unknown): KeyPage {
  if (thrown instanceof RingloadError && thrown.code === 'ufs_forbidden') {
    return { objects: [], done: true };
  }
  throw thrown;
}

function getCommand(request: RangeRequest, start: number): GetObjectCommand {
  const target = { ...targetOf(request.path), ...conditionOf(request.version) };
  const end = request.offset + request.length;
  // Without Range where all is wanted: only then do stores send the checksum of the object.
  if (start === 0 && end === request.sizeBytes) return new GetObjectCommand(target);
  return new GetObjectCommand({ ...target, Range: `bytes=${start}-${end - 1}` });
}

function bodyOf(output: GetObjectCommandOutput): Readable {
  return output.Body as Readable;
}

function badBody({ request }: RangeProgress, finding: string): RingloadError {
  return new RingloadError('ufs_bad_response', `the body of ${request.path} ${finding}`);
}

function corruptBody({ request }: RangeProgress, algorithm: string): RingloadError {
  return new RingloadError('ufs_corrupt', `${request.path} does not match its ${algorithm}`);
}

function cutBody({ request, receivedBytes }: RangeProgress): RingloadError {
  return new RingloadError(
    'ufs_unavailable',
    `the body of ${request.path} ended after ${receivedBytes} of ${request.length} bytes`,
  );
}
