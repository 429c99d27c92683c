/** Writes into an under store in memory, as tests and simulators want them. */
import { RingloadError } from '../base/errors.ts';
import { throwIfCancelled } from './cancel.ts';
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
} from './store-writer.ts';

export interface MemoryTarget {
  /** Version of what is there. */
  find(path: string): string | undefined;
  /** The new version. */
  put(path: string, bytes: Uint8Array): string;
  delete(path: string): void;
  /** Runs before each write takes effect; a rejection is its result. */
  called(operation: 'write' | 'delete', path: string, signal: AbortSignal): Promise<void>;
}

interface Upload {
  readonly path: string;
  readonly parts: Map<number, { readonly etag: string; readonly bytes: Uint8Array }>;
}

export class MemoryWriter implements StoreWriter, UploadWriter {
  readonly #target: MemoryTarget;
  readonly #uploads = new Map<string, Upload>();
  #count = 0;

  constructor(target: MemoryTarget) {
    this.#target = target;
  }

  get uploads(): UploadWriter {
    return this;
  }

  async put(request: PutRequest, signal: AbortSignal): Promise<WriteAnswer> {
    const { path, fields } = request;
    const bytes = await collect(request, signal);
    await this.#target.called('write', path, signal);
    this.#checkConditions(path, fields);
    return { fields: [['etag', `"${this.#target.put(path, bytes)}"`]] };
  }

  async delete(path: string, signal: AbortSignal): Promise<WriteAnswer> {
    await this.#target.called('delete', path, signal);
    this.#target.delete(path);
    return { fields: [] };
  }

  async create(path: string, _fields: readonly WriteField[], signal: AbortSignal): Promise<string> {
    throwIfCancelled(signal);
    const id = `upload-${++this.#count}`;
    this.#uploads.set(id, { path, parts: new Map() });
    return id;
  }

  async putPart(request: PartRequest, signal: AbortSignal): Promise<WriteAnswer> {
    const upload = this.#find(request);
    const bytes = await collect(request, signal);
    await this.#target.called('write', request.path, signal);
    const etag = `"part-${++this.#count}"`;
    upload.parts.set(request.partNumber, { etag, bytes });
    return { fields: [['etag', etag]] };
  }

  async complete(request: CompleteRequest, signal: AbortSignal): Promise<WriteAnswer> {
    const { path, parts, fields, uploadId } = request;
    const upload = this.#find(request);
    await this.#target.called('write', path, signal);
    const pieces = parts.map(({ partNumber, etag }) => {
      const part = upload.parts.get(partNumber);
      if (part?.etag === etag) return part.bytes;
      throw refused('ufs_forbidden', 'InvalidPart', 400, `there is no part ${partNumber}`);
    });
    this.#checkConditions(path, fields);
    const version = this.#target.put(path, joined(pieces));
    this.#uploads.delete(uploadId);
    return { fields: [['etag', `"${version}"`]] };
  }

  async abort(target: UploadTarget, signal: AbortSignal): Promise<void> {
    throwIfCancelled(signal);
    this.#find(target);
    this.#uploads.delete(target.uploadId);
  }

  async parts(
    request: UploadTarget & { readonly after: number; readonly limit: number },
    signal: AbortSignal,
  ): Promise<PartPage> {
    throwIfCancelled(signal);
    const { after, limit } = request;
    const all = [...this.#find(request).parts]
      .sort(([a], [b]) => a - b)
      .filter(([partNumber]) => partNumber > after);
    const parts = all.slice(0, limit).map(([partNumber, { etag, bytes }]) => ({
      ...{ partNumber, etag, sizeBytes: bytes.length, mtimeMs: 0 },
    }));
    const last = parts.at(-1);
    return { parts, ...(all.length > limit && last && { next: last.partNumber }) };
  }

  #find({ path, uploadId }: UploadTarget): Upload {
    const upload = this.#uploads.get(uploadId);
    if (upload?.path === path) return upload;
    throw refused('ufs_not_found', 'NoSuchUpload', 404, `there is no upload ${uploadId}`);
  }

  #checkConditions(path: string, fields: readonly WriteField[]): void {
    const version = this.#target.find(path);
    for (const [name, value] of fields) {
      const isKept =
        (name !== 'if-none-match' || version === undefined) &&
        (name !== 'if-match' || value === `"${version ?? ''}"`);
      if (!isKept) throw refused('ufs_changed', 'PreconditionFailed', 412, `${name} does not hold`);
    }
  }
}

function refused(
  code: 'ufs_forbidden' | 'ufs_not_found' | 'ufs_changed',
  s3Code: string,
  status: number,
  message: string,
): RingloadError {
  return new RingloadError(code, message, { details: { s3Code, status } });
}

async function collect(
  { body, sizeBytes }: Pick<PutRequest, 'body' | 'sizeBytes'>,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const pieces: Uint8Array[] = [];
  for await (const piece of body) {
    throwIfCancelled(signal);
    pieces.push(piece);
  }
  const bytes = joined(pieces);
  if (bytes.length === sizeBytes) return bytes;
  throw new RingloadError('invalid_argument', 'the body has another length than it says');
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
