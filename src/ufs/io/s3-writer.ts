/**
 * Writes into S3 through the SDK: objects in one piece and in parts, and their end.
 *
 * Bodies pass through piece by piece, so they cannot be sent again: only what lies whole in memory
 * is retried, and only where nothing is asked about what the store had before. The store has its
 * deadline for each piece and for its answer; how long the pieces take to come is not its fault.
 */
import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import { Scope, throwIfCancelled } from '../cancel.ts';
import type { UfsLimits } from '../mounts.ts';
import type { Failure, RetryLoop } from '../retry.ts';
import type {
  CompleteRequest,
  PartPage,
  PartRequest,
  PutRequest,
  StoreWriter,
  UploadTarget,
  UploadWriter,
  WriteAnswer,
  WriteField,
} from '../store-writer.ts';
import { targetOf } from './s3-target.ts';
import { carry, toldBy } from './s3-write-fields.ts';

export interface S3WriterParts {
  readonly limits: UfsLimits;
  readonly clock: Clock;
  readonly closing: AbortSignal;
  readonly client: () => S3Client;
  /** A short call, with deadline and retries. */
  readonly document: <T>(
    action: string,
    signal: AbortSignal,
    call: (client: S3Client, signal: AbortSignal) => Promise<T>,
  ) => Promise<T>;
  readonly retries: (maxCount: number) => RetryLoop;
  readonly failureOf: (thrown: unknown, action: string, client: S3Client) => Failure;
}

/** Stores put together what came in parts before they answer: minutes, if there is much of it. */
const COMPLETE_TIMEOUT_MS = 600_000;

type BodyCommand = PutObjectCommand | UploadPartCommand;

/** How a body is sent: the command is made anew for each attempt. */
interface Sending {
  readonly action: string;
  readonly body: PutRequest['body'];
  readonly fields: readonly WriteField[];
  readonly command: (body: Uint8Array | Readable) => BodyCommand;
}

export class S3Writer implements StoreWriter, UploadWriter {
  readonly #parts: S3WriterParts;

  constructor(parts: S3WriterParts) {
    this.#parts = parts;
  }

  get uploads(): UploadWriter {
    return this;
  }

  put({ path, sizeBytes, body, fields }: PutRequest, signal: AbortSignal): Promise<WriteAnswer> {
    const target = { ...targetOf(path), ContentLength: sizeBytes };
    const command = (Body: Uint8Array | Readable) => new PutObjectCommand({ ...target, Body });
    return this.#send({ action: `write ${path}`, body, fields, command }, signal);
  }

  async delete(path: string, signal: AbortSignal): Promise<WriteAnswer> {
    const target = targetOf(path);
    return this.#parts.document(`delete ${path}`, signal, async (client, abortSignal) => {
      const command = new DeleteObjectCommand(target);
      const told = toldBy(command);
      await client.send(command, { abortSignal });
      return { fields: told() };
    });
  }

  async create(path: string, fields: readonly WriteField[], signal: AbortSignal): Promise<string> {
    const target = targetOf(path);
    const action = `begin an upload of ${path}`;
    const output = await this.#parts.document(action, signal, (client, abortSignal) => {
      const command = new CreateMultipartUploadCommand(target);
      carry(command, fields);
      return client.send(command, { abortSignal });
    });
    const { UploadId: uploadId } = output;
    if (uploadId !== undefined && uploadId !== '') return uploadId;
    throw new RingloadError('ufs_bad_response', `cannot ${action}: the store gave it no id`);
  }

  putPart(request: PartRequest, signal: AbortSignal): Promise<WriteAnswer> {
    const { path, uploadId, partNumber, sizeBytes, body, fields } = request;
    const target = {
      ...{ ...targetOf(path), UploadId: uploadId, PartNumber: partNumber },
      ContentLength: sizeBytes,
    };
    const command = (Body: Uint8Array | Readable) => new UploadPartCommand({ ...target, Body });
    const action = `write part ${partNumber} of ${path}`;
    return this.#send({ action, body, fields, command }, signal);
  }

  async complete(
    { path, uploadId, parts, fields }: CompleteRequest,
    signal: AbortSignal,
  ): Promise<WriteAnswer> {
    const command = new CompleteMultipartUploadCommand({
      ...{ ...targetOf(path), UploadId: uploadId },
      MultipartUpload: {
        Parts: parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: etag })),
      },
    });
    carry(command, fields);
    const told = toldBy(command);
    const action = `complete the upload of ${path}`;
    const client = this.#parts.client();
    const scope = this.#scope(action, signal);
    try {
      scope.limit(this.#parts.clock, COMPLETE_TIMEOUT_MS);
      const sent = client.send(command, { abortSignal: scope.signal });
      const { ETag: etag } = await scope.race(sent);
      // Its answer begins before its end is known, so the tag is in the document.
      return { fields: [...told(), ...(etag === undefined ? [] : [['etag', etag] as const])] };
    } catch (thrown) {
      throwIfCancelled(scope.signal);
      throw this.#parts.failureOf(thrown, action, client).error;
    } finally {
      scope.release();
    }
  }

  async abort({ path, uploadId }: UploadTarget, signal: AbortSignal): Promise<void> {
    const target = { ...targetOf(path), UploadId: uploadId };
    await this.#parts.document(`abort the upload of ${path}`, signal, (client, abortSignal) =>
      client.send(new AbortMultipartUploadCommand(target), { abortSignal }),
    );
  }

  async parts(
    request: UploadTarget & { readonly after: number; readonly limit: number },
    signal: AbortSignal,
  ): Promise<PartPage> {
    const { path, uploadId, after, limit } = request;
    const target = {
      ...{ ...targetOf(path), UploadId: uploadId },
      ...{ PartNumberMarker: String(after), MaxParts: limit },
    };
    const output = await this.#parts.document(`list parts of ${path}`, signal, (client, bounded) =>
      client.send(new ListPartsCommand(target), { abortSignal: bounded }),
    );
    const parts = (output.Parts ?? []).map((part) => ({
      partNumber: part.PartNumber ?? 0,
      etag: part.ETag ?? '',
      sizeBytes: part.Size ?? 0,
      mtimeMs: part.LastModified?.getTime() ?? 0,
    }));
    const last = parts.at(-1);
    return { parts, ...(output.IsTruncated && last && { next: last.partNumber }) };
  }

  async #send(sending: Sending, signal: AbortSignal): Promise<WriteAnswer> {
    const { action, body, fields } = sending;
    const isAsked = fields.some(([name]) => name === 'if-match' || name === 'if-none-match');
    const canRepeat = body instanceof Uint8Array && !isAsked;
    const retries = this.#parts.retries(canRepeat ? Infinity : 0);
    for (;;) {
      const client = this.#parts.client();
      const scope = this.#scope(action, signal);
      try {
        return await this.#attempt(client, sending, scope);
      } catch (thrown) {
        throwIfCancelled(scope.signal);
        await retries.waitOrThrow(this.#parts.failureOf(thrown, action, client), signal);
      } finally {
        scope.release();
      }
    }
  }

  async #attempt(client: S3Client, sending: Sending, scope: Scope): Promise<WriteAnswer> {
    const { body, fields } = sending;
    const { clock, limits } = this.#parts;
    const stop = new AbortController();
    const abortSignal = AbortSignal.any([scope.signal, stop.signal]);
    const begun = scope.limit(clock, limits.listTimeoutMs);
    const stream = body instanceof Uint8Array ? undefined : this.#stream(body, scope, begun);
    const failed = new Promise<never>((_resolve, reject) => {
      // Why: what the stream is piped into waits for ever when its source fails.
      stream?.once('error', (error) => {
        reject(error);
        stop.abort();
      });
    });
    try {
      const command = sending.command(stream ?? (body as Uint8Array));
      carry(command, fields);
      const told = toldBy(command);
      // The casts: both commands are sent alike.
      const sent = client.send(command as PutObjectCommand, { abortSignal });
      await scope.race(Promise.race([sent, failed]));
      return { fields: told() };
    } finally {
      stream?.on('error', () => undefined).destroy();
      stop.abort();
    }
  }

  /** The pieces, each waited for as long as it takes, and taken within the store's deadline. */
  #stream(body: AsyncIterable<Uint8Array>, scope: Scope, begun: () => void): Readable {
    const { clock, limits } = this.#parts;
    async function* watched(): AsyncGenerator<Uint8Array> {
      begun();
      for await (const piece of body) {
        const lift = scope.limit(clock, limits.requestTimeoutMs);
        yield piece;
        lift();
      }
      scope.limit(clock, limits.listTimeoutMs);
    }
    return Readable.from(watched(), { objectMode: true, highWaterMark: 1 });
  }

  #scope(action: string, signal: AbortSignal): Scope {
    const { closing } = this.#parts;
    throwIfCancelled(closing);
    throwIfCancelled(signal);
    setMaxListeners(0, signal);
    return new Scope(action, [signal, closing]);
  }
}
