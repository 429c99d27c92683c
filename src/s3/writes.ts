/**
 * Writes of clients: they go to the under store of a mount that takes them, under the mount's own
 * credentials, and what peers know of the path is forgotten before the client hears that it is done.
 *
 * A body passes through piece by piece and is never whole in memory unless it is small. The store
 * cannot complete one that is not what the client declared: see `payload.ts`.
 */
import { createHash } from 'node:crypto';
import { isAtOrBelow } from '../ufs/path.ts';
import type { StoreWriter, UploadWriter, WriteAnswer } from '../ufs/store-writer.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { pathOf, type Bucket } from './buckets.ts';
import type { Call } from './call.ts';
import type { S3Answer } from './message.ts';
import { refuseSubResources } from './parameters.ts';
import { Payload, type PayloadParts } from './payload.ts';
import { S3Error, type Field } from './s3-error.ts';
import { queryValue } from './target.ts';
import { conditionFields, digestFields, objectFields } from './write-fields.ts';
import { isRefusal, toWriteError } from './write-errors.ts';
import {
  completeXml,
  deletedXml,
  type DeleteOutcome,
  partNumberFrom,
  partsXml,
  readComplete,
  readDelete,
  uploadXml,
} from './write-xml.ts';
import { xmlAnswer } from './xml-answer.ts';

/** Told of writes, so that no reader of any peer is served what they have replaced. */
export interface WriteNotices {
  /** Resolves when nobody relies on what was known of the paths. */
  begin(paths: readonly string[]): Promise<WriteNotice>;
}

export interface WriteNotice {
  /** Resolves when the paths are looked up anew by everybody who reads. */
  end(mayHaveChanged: boolean): Promise<void>;
}

export interface ObjectWritesOptions {
  readonly stores: UnderStores;
  readonly notices: WriteNotices;
  readonly newSum: PayloadParts['newSum'];
}

/** Most that S3 takes in one piece. */
const OBJECT_MAX_BYTES = 5 * 1024 ** 3;
/** Collected before it goes on: its checksum goes with it even where that comes behind the body. */
const SMALL_BODY_BYTES = 1024 * 1024;
const DOCUMENT_MAX_BYTES = 4 * 1024 * 1024;
const DELETES_IN_FLIGHT = 16;
const PARTS_MAX_COUNT = 1000;

/** What a write is about. */
interface Subject {
  readonly path: string;
  readonly name: { readonly bucket: string; readonly key: string };
  readonly writer: StoreWriter;
}

export class ObjectWrites {
  readonly #options: ObjectWritesOptions;
  /** A client that leaves ends its body; what was sent whole is carried out. */
  readonly #signal = new AbortController().signal;

  constructor(options: ObjectWritesOptions) {
    this.#options = options;
  }

  /** @throws S3Error */
  async answer(call: Call, bucket: Bucket): Promise<S3Answer> {
    try {
      if (call.target.key === '') return await this.#bucket(call, bucket);
      return await this.#object(call, this.#subject(call, bucket, call.target.key));
    } catch (thrown) {
      throw toWriteError(thrown);
    }
  }

  /** The parts of an upload so far. @throws S3Error */
  async parts(call: Call, bucket: Bucket): Promise<S3Answer> {
    try {
      const { path, name, writer } = this.#subject(call, bucket, call.target.key);
      const uploadId = queryValue(call.target, 'uploadId') ?? '';
      const after = countOf(queryValue(call.target, 'part-number-marker'), 0);
      const limit = Math.min(
        PARTS_MAX_COUNT,
        countOf(queryValue(call.target, 'max-parts'), PARTS_MAX_COUNT),
      );
      const asked = { uploadId, after, limit };
      const page = await uploadsOf(writer).parts({ path, ...asked }, this.#signal);
      return xmlAnswer(200, partsXml(name, asked, page));
    } catch (thrown) {
      throw toWriteError(thrown);
    }
  }

  async #object(call: Call, subject: Subject): Promise<S3Answer> {
    const { method, target } = call;
    const uploadId = queryValue(target, 'uploadId');
    if (method === 'PUT' && uploadId !== undefined) return this.#putPart(call, subject, uploadId);
    if (method === 'POST' && uploadId !== undefined) return this.#complete(call, subject, uploadId);
    if (method === 'DELETE' && uploadId !== undefined) {
      await uploadsOf(subject.writer).abort({ path: subject.path, uploadId }, this.#signal);
      return { status: 204, headers: [] };
    }
    if (method === 'POST' && queryValue(target, 'uploads') !== undefined) {
      const fields = objectFields(call.headers);
      const uploads = uploadsOf(subject.writer);
      const id = await uploads.create(subject.path, fields, this.#signal);
      return xmlAnswer(200, uploadXml(subject.name, id));
    }
    refuseSubResources(target);
    if (method === 'PUT') return this.#put(call, subject);
    if (method === 'DELETE') return this.#delete(call, subject);
    throw new S3Error('MethodNotAllowed');
  }

  async #put(call: Call, { path, writer }: Subject): Promise<S3Answer> {
    const { headers } = call;
    const fields = [
      ...objectFields(headers),
      ...conditionFields(headers),
      ...digestFields(headers),
    ];
    const payload = this.#payload(call);
    const { body, checksum } = await bodyOf(payload);
    const { sizeBytes } = payload;
    const request = { path, sizeBytes, body, fields: [...fields, ...checksum] };
    const answer = await this.#noticed([path], payload, () => writer.put(request, this.#signal));
    return written(answer, payload);
  }

  /** Checksums of parts are looked at here: an upload has none in the store, so that all fit. */
  async #putPart(call: Call, { path, writer }: Subject, uploadId: string): Promise<S3Answer> {
    const { headers, target } = call;
    const partNumber = partNumberFrom(queryValue(target, 'partNumber'));
    if (headers.find('x-amz-copy-source') !== undefined) {
      throw new S3Error('NotImplemented', 'Parts are not copied from other objects.');
    }
    const uploads = uploadsOf(writer);
    const fields = digestFields(headers);
    const payload = this.#payload(call);
    const { body } = await bodyOf(payload);
    const { sizeBytes } = payload;
    const part = { path, uploadId, partNumber, sizeBytes, body, fields };
    return written(await uploads.putPart(part, this.#signal), payload);
  }

  async #complete(call: Call, subject: Subject, uploadId: string): Promise<S3Answer> {
    const { path, name, writer } = subject;
    const fields = conditionFields(call.headers);
    const uploads = uploadsOf(writer);
    const parts = readComplete(await this.#payload(call).collect(DOCUMENT_MAX_BYTES));
    const complete = () => uploads.complete({ path, uploadId, parts, fields }, this.#signal);
    const answer = await this.#noticed([path], undefined, complete);
    const told = answer.fields.filter(([field]) => field !== 'etag');
    const { status, headers, body } = xmlAnswer(200, completeXml(name, etagOf(answer)));
    return { status, headers: [...told, ...headers], ...(body && { body }) };
  }

  async #delete({ headers }: Call, { path, writer }: Subject): Promise<S3Answer> {
    if (headers.find('if-match') !== undefined) {
      throw new S3Error('NotImplemented', 'Deletes on a condition are not implemented.');
    }
    const remove = () => writer.delete(path, this.#signal);
    const { fields } = await this.#noticed([path], undefined, remove);
    return { status: 204, headers: fields };
  }

  async #bucket(call: Call, bucket: Bucket): Promise<S3Answer> {
    const { stores } = this.#options;
    const { method, target } = call;
    const roots = bucket.mounts.map(({ path }) => path);
    const inBucket = stores.mounts.filter((mount) =>
      roots.some((root) => isAtOrBelow(root, mount)),
    );
    if (!inBucket.some((mount) => stores.storeOf(mount).writer)) throw refused(roots[0] ?? '');
    requireWriter(call);
    if (method === 'POST' && queryValue(target, 'delete') !== undefined) {
      return this.#deleteAll(call, bucket);
    }
    refuseSubResources(target);
    if (method === 'PUT') throw new S3Error('BucketAlreadyOwnedByYou');
    throw new S3Error('MethodNotAllowed', 'Buckets are mounts: they are made by configuration.');
  }

  async #deleteAll(call: Call, bucket: Bucket): Promise<S3Answer> {
    const document = await this.#payload(call).collect(DOCUMENT_MAX_BYTES);
    const [md5] = digestFields(call.headers);
    if (md5 && createHash('md5').update(document).digest('base64') !== md5[1]) {
      throw new S3Error('BadDigest');
    }
    const { keys, isQuiet } = readDelete(document);
    const outcomes = new Map<string, DeleteOutcome>();
    const subjects: Subject[] = [];
    for (const key of new Set(keys)) {
      try {
        subjects.push(this.#subject(call, bucket, key));
      } catch (thrown) {
        outcomes.set(key, { key, error: toWriteError(thrown) });
      }
    }
    const paths = subjects.map(({ path }) => path);
    await this.#noticed(paths, undefined, () => this.#deleteEach(subjects, outcomes));
    const told = keys.flatMap((key) => outcomes.get(key) ?? []);
    return xmlAnswer(200, deletedXml(told, isQuiet));
  }

  /** Never rejects. */
  async #deleteEach(
    subjects: readonly Subject[],
    outcomes: Map<string, DeleteOutcome>,
  ): Promise<void> {
    const queue = [...subjects].reverse();
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next; next = queue.pop()) {
        const { path, name, writer } = next;
        const { key } = name;
        try {
          await writer.delete(path, this.#signal);
          outcomes.set(key, { key });
        } catch (thrown) {
          outcomes.set(key, { key, error: toWriteError(thrown) });
        }
      }
    };
    await Promise.all(Array.from({ length: DELETES_IN_FLIGHT }, work));
  }

  /** @throws what the write throws, once nobody serves what it may have replaced */
  async #noticed<T>(
    paths: readonly string[],
    payload: Payload | undefined,
    write: () => Promise<T>,
  ): Promise<T> {
    if (paths.length === 0) return write();
    const notice = await this.#options.notices.begin(paths);
    try {
      const result = await write();
      await notice.end(true);
      return result;
    } catch (thrown) {
      // The store was never given the last piece of a body that failed.
      const isUntouched = payload?.isComplete === false || isRefusal(thrown);
      await notice.end(!isUntouched);
      throw thrown;
    }
  }

  #payload({ headers, caller, body }: Call): Payload {
    const { newSum } = this.#options;
    const payload = new Payload({ headers, caller, body, newSum });
    if (payload.sizeBytes > OBJECT_MAX_BYTES) throw new S3Error('EntityTooLarge');
    return payload;
  }

  /** @throws S3Error when the key lies outside of the mounts, or may not be written */
  #subject(call: Call, bucket: Bucket, key: string): Subject {
    const within = bucket.mounts.find(
      ({ keyPrefix }) => key.startsWith(keyPrefix) && key !== keyPrefix,
    );
    if (!within) {
      throw new S3Error('AccessDenied', `The key lies outside of the mounts of ${bucket.name}.`);
    }
    // A store that took such a key for the name of a file would leave the prefix.
    if (within.keyPrefix !== '' && key.split('/').includes('..')) {
      throw new S3Error('InvalidArgument', 'Below a prefix no component of a key may be "..".');
    }
    const path = pathOf(bucket, key);
    const { writer } = this.#options.stores.storeOf(path);
    if (!writer) throw refused(this.#mountOf(path));
    requireWriter(call);
    return { path, name: { bucket: bucket.name, key }, writer };
  }

  #mountOf(path: string): string {
    const holders = this.#options.stores.mounts.filter((mount) => isAtOrBelow(mount, path));
    return holders.sort((a, b) => b.length - a.length)[0] ?? path;
  }
}

/** What goes to the store: whole where it is small, and then with the sum that came behind it. */
async function bodyOf(payload: Payload): Promise<{
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  readonly checksum: readonly Field[];
}> {
  const isSmall = payload.sizeBytes <= SMALL_BODY_BYTES;
  const body = isSmall ? await payload.collect(SMALL_BODY_BYTES) : payload.pieces();
  const checksum = payload.checksum();
  return { body, checksum: checksum ? [checksum] : [] };
}

function written(answer: WriteAnswer, payload: Payload): S3Answer {
  const checksum = payload.checksum();
  const isTold = answer.fields.some(([name]) => name === checksum?.[0]);
  return {
    status: 200,
    headers: [
      ...answer.fields,
      ...(checksum && !isTold ? [checksum] : []),
      ['content-length', '0'],
    ],
  };
}

/** @throws S3Error */
function requireWriter({ caller }: Call): void {
  if (caller.kind === 'anonymous' && !caller.mayWrite) {
    throw new S3Error('AccessDenied', 'Writes have to be signed with a key pair of the cluster.');
  }
}

function uploadsOf({ uploads }: StoreWriter): UploadWriter {
  if (uploads) return uploads;
  throw new S3Error('NotImplemented', 'This mount takes objects in one piece only.');
}

function refused(mount: string): S3Error {
  return new S3Error(
    'MethodNotAllowed',
    `The mount ${mount} takes no writes. Its option writes=through lets them through to the under store: --mount ${mount},writes=through.`,
    { headers: [['allow', 'GET, HEAD']] },
  );
}

function etagOf({ fields }: WriteAnswer): string {
  return fields.find(([name]) => name === 'etag')?.[1] ?? '';
}

function countOf(text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new S3Error('InvalidArgument', 'max-parts and part-number-marker are numbers');
}
