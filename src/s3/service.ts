/**
 * The S3 endpoint as a function from a request to an answer: who asks is checked first, then what
 * is asked for. Nothing here knows of sockets; `io/` carries requests in and answers out.
 *
 * Every error is S3's XML with a request id; a client is never sent elsewhere, since common ones
 * follow redirects wrongly.
 */
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Authenticator } from './authenticator.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { bucketsOf, pathOf, type Bucket } from './buckets.ts';
import type { Call } from './call.ts';
import { commonHeaders } from './common-headers.ts';
import { HeaderMap, type S3Answer, type S3Request } from './message.ts';
import { answerObject, type ObjectSource } from './objects.ts';
import { listObjects } from './listing.ts';
import { overridesOf } from './overrides.ts';
import { S3Error, toS3Error, type Field } from './s3-error.ts';
import { bucketLimitOf, partNumberOf, refuseSubResources } from './parameters.ts';
import { parseTarget, queryValue } from './target.ts';
import type { ObjectWrites } from './writes.ts';
import { xmlAnswer } from './xml-answer.ts';
import { bucketsXml, errorXml, locationXml } from './xml.ts';

export interface S3ServiceOptions {
  readonly objects: ObjectSource;
  readonly stores: UnderStores;
  readonly writes: ObjectWrites;
  readonly authenticator: Authenticator;
  /** What clients are told that all of this lies in. */
  readonly region: string;
  readonly newRequestId: () => string;
  readonly logger: Logger;
}

const OWNER = { id: 'ringload', displayName: 'ringload' };

export class S3Service {
  readonly #options: S3ServiceOptions;
  readonly #buckets: ReadonlyMap<string, Bucket>;

  constructor(options: S3ServiceOptions) {
    this.#options = options;
    this.#buckets = bucketsOf(options.stores.mounts);
  }

  /** Never rejects: whatever goes wrong is an answer. */
  async answer(request: S3Request): Promise<S3Answer> {
    const requestId = this.#options.newRequestId();
    try {
      const target = parseTarget(request.target);
      const headers = new HeaderMap(request.headers);
      const { method, body, via } = request;
      const caller = this.#options.authenticator.authenticate({ method, target, headers });
      const answer = await this.#route({ method, target, headers, caller, body, via });
      return { ...answer, headers: [...commonHeaders(requestId), ...answer.headers] };
    } catch (thrown) {
      return this.#refuse(thrown, request, requestId);
    }
  }

  /** What is said when an answer that was given cannot be carried out, and no byte of it is out. */
  errorAnswer(thrown: unknown, request: Pick<S3Request, 'method' | 'target'>): S3Answer {
    return this.#refuse(thrown, request, this.#options.newRequestId());
  }

  async #route(call: Call): Promise<S3Answer> {
    const { method, target } = call;
    const isWrite = method === 'PUT' || method === 'POST' || method === 'DELETE';
    if (method !== 'GET' && method !== 'HEAD' && !isWrite) throw notAllowed();
    if (target.bucket === '') return this.#listBuckets(call);
    const bucket = this.#buckets.get(target.bucket);
    if (!bucket) {
      const fields: Field[] = [['BucketName', target.bucket]];
      throw new S3Error('NoSuchBucket', undefined, { fields });
    }
    if (isWrite) return this.#options.writes.answer(call, bucket);
    if (target.key !== '') return this.#object(call, bucket);
    return this.#bucket(call, bucket);
  }

  #listBuckets({ method, target }: Call): S3Answer {
    if (method !== 'GET') throw notAllowed();
    refuseSubResources(target);
    const prefix = queryValue(target, 'prefix');
    const token = queryValue(target, 'continuation-token') ?? '';
    const maxCount = bucketLimitOf(target);
    const names = [...this.#buckets.keys()].filter(
      (name) => name > token && name.startsWith(prefix ?? ''),
    );
    const buckets = names.slice(0, maxCount).map((name) => ({ name, createdMs: 0 }));
    const next = names.length > buckets.length ? buckets.at(-1)?.name : undefined;
    return xmlAnswer(200, bucketsXml({ owner: OWNER, buckets, prefix, next }));
  }

  async #bucket({ method, target }: Call, bucket: Bucket): Promise<S3Answer> {
    const { region, stores } = this.#options;
    if (method === 'HEAD') {
      await this.#requireBucket(bucket);
      return { status: 200, headers: [['x-amz-bucket-region', region]] };
    }
    if (queryValue(target, 'location') !== undefined) return xmlAnswer(200, locationXml(region));
    refuseSubResources(target);
    // A listing has deadlines of its own in the under store.
    const { signal } = new AbortController();
    return xmlAnswer(200, await listObjects(stores, bucket, target, signal));
  }

  /** The bucket is gone only if its store says so: what is cached is read without the store. */
  async #requireBucket(bucket: Bucket): Promise<void> {
    const query: Field[] = [['max-keys', '1']];
    const target = { rawPath: '/', bucket: bucket.name, key: '', query };
    const { signal } = new AbortController();
    await listObjects(this.#options.stores, bucket, target, signal).catch((thrown: unknown) => {
      if (toS3Error(thrown).code === 'NoSuchBucket') throw thrown;
    });
  }

  async #object(call: Call, bucket: Bucket): Promise<S3Answer> {
    const { method, target, headers, caller, via } = call;
    const isUpload = method === 'GET' && queryValue(target, 'uploadId') !== undefined;
    if (isUpload) return this.#options.writes.parts(call, bucket);
    refuseSubResources(target);
    return answerObject(this.#options.objects, {
      method: method === 'HEAD' ? 'HEAD' : 'GET',
      path: pathOf(bucket, target.key),
      headers,
      overrides: overridesOf(target, caller),
      partNumber: partNumberOf(target),
      via,
    });
  }

  #refuse(
    thrown: unknown,
    request: Pick<S3Request, 'method' | 'target'>,
    requestId: string,
  ): S3Answer {
    const error = toS3Error(thrown);
    this.#log(error, thrown, requestId);
    return errorAnswer(error, request, requestId);
  }

  #log(error: S3Error, thrown: unknown, requestId: string): void {
    const { logger } = this.#options;
    if (error.code === 'InternalError') {
      const { message, stack } = toRingloadError(thrown);
      logger.error('failed on a fault of our own', { requestId, error: message, stack });
    } else if (error.status >= 500) {
      logger.warn('could not answer', { requestId, code: error.code, error: error.message });
    }
  }
}

function notAllowed(): S3Error {
  return new S3Error('MethodNotAllowed', undefined, { headers: [['allow', 'GET, HEAD']] });
}

/** A document with everything that helps to find the cause; HEAD gets its headers only. */
export function errorAnswer(
  error: S3Error,
  request: Pick<S3Request, 'method' | 'target'>,
  requestId: string,
): S3Answer {
  const resource = request.target.split('?', 1)[0] ?? '/';
  const fields: Field[] = [...error.fields, ['Resource', resource], ['RequestId', requestId]];
  const answer = xmlAnswer(error.status, errorXml(error.code, error.message, fields));
  const headers = [...commonHeaders(requestId), ...error.headers, ...answer.headers];
  if (error.status === 503) headers.push(['retry-after', '1']);
  return request.method === 'HEAD' ? { status: error.status, headers } : { ...answer, headers };
}
