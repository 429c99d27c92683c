/**
 * Ranges of S3 objects for a data plane that receives them itself: where to connect, what to send,
 * and what an answer means.
 *
 * The SDK keeps the say over credentials, region and clock; what an answer must look like and what
 * an error means is decided where it is for the SDK's own reads. Whatever is unusual (FIPS and
 * dual-stack endpoints, other partitions, checksums that lanes do not compute) is left to it.
 */
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { CombinableSum } from '../../base/crc-combine.ts';
import { RingloadError } from '../../base/errors.ts';
import type { MountConfig, UfsLimits } from '../mounts.ts';
import { parsePath } from '../path.ts';
import type { Failure, RetryLoop } from '../retry.ts';
import type {
  AnswerHead,
  AnswerWatch,
  DirectEndpoint,
  DirectRequest,
  MoveOutcome,
  ObjectChecksum,
  RangeMover,
  RangeRequest,
} from '../under-store.ts';
import type { UnderStoreDependencies } from './dependencies.ts';
import { AddressBook } from './address-book.ts';
import { attributesOfBody } from './s3-attributes.ts';
import { checkHead } from './s3-body.ts';
import { objectChecksumOf } from './s3-checksum.ts';
import { BucketEndpoints } from './s3-endpoint.ts';
import { conditionHeader } from './s3-version.ts';
import { encodeKey, Sigv4Signer } from './sigv4.ts';

/** Stores take signatures that are a quarter of an hour off; well before that the clock is put right. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** What the store that it belongs to decides. */
export interface S3DirectParts {
  readonly mount: MountConfig;
  readonly limits: UfsLimits;
  readonly dependencies: UnderStoreDependencies;
  readonly client: () => S3Client;
  readonly retries: (lengthBytes: number) => RetryLoop;
  readonly failureOf: (thrown: unknown, action: string, client: S3Client) => Failure;
  readonly succeeded: () => void;
}

export class S3Direct {
  readonly #parts: S3DirectParts;
  readonly #signer = new Sigv4Signer();
  readonly #addresses: AddressBook;
  readonly #endpoints = new BucketEndpoints();

  constructor(parts: S3DirectParts) {
    this.#parts = parts;
    this.#addresses = new AddressBook(parts.dependencies.clock);
  }

  /** False: this range is to be read through the SDK. @throws as `readRange` does. */
  async move(request: RangeRequest, mover: RangeMover, signal: AbortSignal): Promise<boolean> {
    const retries = this.#parts.retries(request.length);
    const action = `read ${request.path}`;
    let start = 0;
    for (;;) {
      const client = this.#parts.client();
      try {
        const prepared = await this.#prepare(client, request, start);
        if (!prepared) return false;
        const outcome = await mover.move(prepared, start, this.#watch(), signal);
        if (outcome.kind === 'unfit') return false;
        if (outcome.kind === 'broken') start = outcome.keptBytes;
        else this.#correctClock(client, outcome.head);
        if (!this.#judge(outcome, request, start, mover)) return false;
        this.#parts.succeeded();
        return true;
      } catch (thrown) {
        if (signal.aborted || isOurs(thrown)) throw thrown;
        const failure = this.#parts.failureOf(thrown, action, client);
        await retries.waitOrThrow(failure, signal);
      }
    }
  }

  /** False: only the SDK can tell whether the body is right. @throws what the answer means. */
  #judge(
    outcome: Exclude<MoveOutcome, { kind: 'unfit' }>,
    request: RangeRequest,
    start: number,
    mover: RangeMover,
  ): boolean {
    if (outcome.kind === 'broken') {
      throw Object.assign(new Error(outcome.systemCode), { code: outcome.systemCode });
    }
    const { head } = outcome;
    if (outcome.kind === 'answered' && head.status >= 300) throw serviceError(head, outcome.body);
    checkHead(asOutput(head), request, request.offset + start);
    if (outcome.kind === 'answered') {
      throw new RingloadError('ufs_bad_response', `the body of ${request.path} has another length`);
    }
    if (!this.#checkBody(outcome, request, start, mover)) return false;
    const isWhole = start === 0 && request.length === request.sizeBytes;
    const attributes =
      request.onAttributes && attributesOfBody(Object.entries(head.headers), isWhole);
    if (attributes) request.onAttributes(attributes);
    return true;
  }

  #checkBody(
    { head, sum }: Extract<MoveOutcome, { kind: 'moved' }>,
    request: RangeRequest,
    start: number,
    mover: RangeMover,
  ): boolean {
    const isWhole = start === 0 && request.length === request.sizeBytes;
    const { headers } = head;
    if (!isWhole || this.#parts.mount.responseChecksums === 'ignore') return true;
    const given = objectChecksumOf({
      ChecksumCRC32C: headers['x-amz-checksum-crc32c'],
      ChecksumCRC32: headers['x-amz-checksum-crc32'],
      ChecksumCRC64NVME: headers['x-amz-checksum-crc64nvme'],
      ChecksumType: headers['x-amz-checksum-type'],
    });
    if (!given) {
      if (headers['x-amz-checksum-type'] === 'COMPOSITE') return true;
      return !('x-amz-checksum-sha256' in headers || 'x-amz-checksum-sha1' in headers);
    }
    const { algorithm, value } = given;
    const own = algorithm === 'crc32c' ? hexOf(mover.crc32c()) : sumOf(sum, algorithm);
    if (own === undefined) return true;
    if (own !== value) {
      throw new RingloadError('ufs_corrupt', `${request.path} does not match its ${algorithm}`);
    }
    request.onChecked?.();
    return true;
  }

  /** As the SDK does it after each answer of its own: it signs by this offset, and so do lanes. */
  #correctClock(client: S3Client, { headers }: AnswerHead): void {
    const storeMs = Date.parse(headers['date'] ?? '');
    // An answer out of a cache tells the time at which it was made.
    if (Number.isNaN(storeMs) || 'age' in headers) return;
    const offsetMs = storeMs - this.#parts.dependencies.clock.wallMs();
    const changeMs = Math.abs(offsetMs - client.config.systemClockOffset);
    if (changeMs > CLOCK_TOLERANCE_MS) client.config.systemClockOffset = offsetMs;
  }

  async #prepare(
    client: S3Client,
    request: RangeRequest,
    start: number,
  ): Promise<DirectRequest | undefined> {
    const { authority: bucket, key } = parsePath(request.path);
    const region = await client.config.region();
    const place = await this.#endpoints.of(client, bucket, region);
    if (!place) return undefined;
    const { url, prefix } = place;
    const path = `${prefix}/${encodeKey(key)}`;
    const from = request.offset + start;
    const end = request.offset + request.length;
    const isWhole = from === 0 && end === request.sizeBytes;
    const { responseChecksums } = this.#parts.mount;
    if (isWhole && responseChecksums === 'thorough' && isMd5(request.version)) return undefined;
    const wantsChecksum = isWhole && responseChecksums !== 'ignore';
    const amzHeaders = wantsChecksum ? { 'x-amz-checksum-mode': 'ENABLED' } : {};
    const headers: Record<string, string> = {
      ...(await this.#identify(client, { host: url.host, path, region, amzHeaders })),
      ...conditionHeader(request.version),
      // Without a range where all is wanted: only then do stores send the object's checksum.
      ...(!isWhole && { range: `bytes=${from}-${end - 1}` }),
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return {
      endpoint: await this.#connectTo(url),
      head: `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`,
    };
  }

  async #identify(
    client: S3Client,
    request: { host: string; path: string; region: string; amzHeaders: Record<string, string> },
  ): Promise<Record<string, string>> {
    if (this.#parts.mount.credentials?.kind === 'anonymous') {
      return { host: request.host, ...request.amzHeaders };
    }
    const credentials = await client.config.credentials();
    const atMs = this.#parts.dependencies.clock.wallMs() + client.config.systemClockOffset;
    return this.#signer.sign({ ...request, atMs }, credentials);
  }

  async #connectTo(url: URL): Promise<DirectEndpoint> {
    const isTls = url.protocol === 'https:';
    const name = url.hostname.replace(/^\[|\]$/g, '');
    const address = await this.#addresses.lookup(name);
    const port = Number(url.port || (isTls ? 443 : 80));
    return isTls ? { address, port, tls: { serverName: name } } : { address, port };
  }

  #watch(): AnswerWatch {
    const { limits } = this.#parts;
    return {
      connectTimeoutMs: limits.connectTimeoutMs,
      headTimeoutMs: limits.requestTimeoutMs,
      windowMs: limits.throughputWindowMs,
      minBytesPerWindow: limits.throughputMinBytes,
      bodyTimeoutMs: limits.readTimeoutMs,
    };
  }
}

/** As the SDK would have parsed it, as far as {@link checkHead} looks. */
function asOutput({ status, headers }: AnswerHead): GetObjectCommandOutput {
  const modified = headers['last-modified'];
  return {
    $metadata: { httpStatusCode: status },
    ETag: headers['etag'],
    ContentRange: headers['content-range'],
    ContentLength: Number(headers['content-length']),
    ...(modified !== undefined && { LastModified: new Date(modified) }),
  };
}

/** As the SDK would have thrown it. */
function serviceError({ status, headers }: AnswerHead, body: string): Error {
  const code = /<Code>([A-Za-z0-9.]{1,128})<\/Code>/.exec(body)?.[1];
  return Object.assign(new Error(`HTTP ${status}`), {
    name: code ?? 'Unknown',
    $fault: 'client',
    $metadata: { httpStatusCode: status, requestId: headers['x-amz-request-id'] },
  });
}

/** Not about the store: no other attempt would help. */
function isOurs(thrown: unknown): boolean {
  return thrown instanceof RingloadError && !thrown.code.startsWith('ufs_');
}

function hexOf(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

function sumOf(sum: ObjectChecksum | undefined, algorithm: CombinableSum): string | undefined {
  return sum?.algorithm === algorithm ? sum.value : undefined;
}

/** An ETag that is the MD5 of the object, as those of single parts are. */
function isMd5(version: string): boolean {
  return /^[0-9a-f]{32}$/.test(version);
}
