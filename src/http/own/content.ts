/**
 * The bytes of a file: GET and HEAD with Range and preconditions (RFC 9110), from any peer.
 *
 * Invariant: status, ETag, Content-Range and Content-Length come from the very record the bytes
 * are read under, so they belong to one version.
 */
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { FileRecord } from '../../cache/file-catalog.ts';
import { quoted } from '../../job/canonical-path.ts';
import type { HttpContext, HttpDeps } from '../context.ts';
import { RefusedRequest } from '../problem.ts';
import {
  checkPreconditions,
  entityTagOf,
  ifRangeHolds,
  lastModifiedOf,
  parseRange,
  resolveRange,
  type ByteRange,
  type RangeSpec,
} from '../range.ts';
import type { FileRange } from '../services.ts';
import { streamBody } from '../stream-body.ts';

/** How often a file may change between its stat and its read before the request fails. */
const VERSION_ATTEMPT_MAX_COUNT = 3;

export async function serveContent(ctx: HttpContext, deps: HttpDeps, path: string): Promise<void> {
  if (ctx.method === 'HEAD') {
    await serveHead(ctx, deps, path);
    return;
  }
  const range = parseRange(ctx.get('Range'));
  if (range?.kind !== 'suffix' && !isConditional(ctx)) {
    await send(ctx, deps, await readDirectly(ctx, deps, { path, range }), range !== undefined);
    return;
  }
  for (let attempt = 1; attempt <= VERSION_ATTEMPT_MAX_COUNT; attempt++) {
    if (await serveKnownVersion(ctx, deps, { path, range })) return;
  }
  throw new RingloadError('ufs_changed', `file ${quoted(path)} changes while it is being opened`);
}

/** All of the file, whatever range is asked for. */
export async function serveWhole(ctx: HttpContext, deps: HttpDeps, path: string): Promise<void> {
  await send(ctx, deps, await readDirectly(ctx, deps, { path, range: undefined }), false);
}

/**
 * Bytes that the URL names, cut where the file ends.
 * @throws range_not_satisfiable when the file ends before them.
 */
export async function serveRange(
  ctx: HttpContext,
  deps: HttpDeps,
  path: string,
  { offset, length }: { readonly offset: number; readonly length: number },
): Promise<void> {
  const last = Number.isFinite(length) ? { last: offset + length - 1 } : {};
  const range: RangeSpec = { kind: 'from', first: offset, ...last };
  await send(ctx, deps, await readDirectly(ctx, deps, { path, range }), false);
}

async function serveHead(ctx: HttpContext, deps: HttpDeps, path: string): Promise<void> {
  const record = await deps.services.files.stat(path);
  if (!meetsPreconditions(ctx, record)) return;
  ctx.status = 200;
  setRecordHeaders(ctx, record);
  ctx.set('Content-Length', String(record.sizeBytes));
}

interface Wanted {
  readonly path: string;
  readonly range: RangeSpec | undefined;
}

/** Without a stat of our own: the common case costs one look-up, not two. */
async function readDirectly(ctx: HttpContext, deps: HttpDeps, wanted: Wanted): Promise<FileRange> {
  const { files } = deps.services;
  const { path, range } = wanted;
  if (range?.kind !== 'from') return files.read(path);
  const length = range.last === undefined ? undefined : range.last - range.first + 1;
  try {
    return await files.read(path, {
      offset: range.first,
      ...(length === undefined ? {} : { length }),
    });
  } catch (thrown) {
    // Why: a range may begin inside the file and end beyond it, which HTTP cuts and a reader of
    // exact ranges refuses; and a refusal has to name the size.
    if (toRingloadError(thrown).code !== 'range_not_satisfiable') throw thrown;
    const record = await files.stat(path);
    return files.read(path, rangeWithin(ctx, record, range));
  }
}

/** False when another version was opened than the one that was looked at. */
async function serveKnownVersion(
  ctx: HttpContext,
  deps: HttpDeps,
  wanted: Wanted,
): Promise<boolean> {
  const { files } = deps.services;
  const record = await files.stat(wanted.path);
  if (!meetsPreconditions(ctx, record)) return true;
  const range = ifRangeHolds(record, ctx.get('If-Range')) ? wanted.range : undefined;
  const within = range === undefined ? undefined : rangeWithin(ctx, record, range);
  const opened = await files.read(wanted.path, within).catch((thrown: unknown) => {
    // Why: the range lies within the version we saw, so the file is another one by now.
    if (toRingloadError(thrown).code === 'range_not_satisfiable') return undefined;
    throw thrown;
  });
  if (opened === undefined) return false;
  if (opened.record.version !== record.version || opened.record.sizeBytes !== record.sizeBytes) {
    await opened.body[Symbol.asyncIterator]().return?.();
    return false;
  }
  await send(ctx, deps, opened, range !== undefined);
  return true;
}

async function send(
  ctx: HttpContext,
  deps: HttpDeps,
  opened: FileRange,
  isPartial: boolean,
): Promise<void> {
  const { record, offset, length } = opened;
  setRecordHeaders(ctx, record);
  ctx.set('Content-Length', String(length));
  ctx.status = isPartial ? 206 : 200;
  if (isPartial) {
    ctx.set('Content-Range', `bytes ${offset}-${offset + length - 1}/${record.sizeBytes}`);
  }
  try {
    const recycle = (chunk: Uint8Array): void => deps.services.files.recycle?.(chunk);
    await streamBody(ctx, { lengthBytes: length, chunks: opened.body, recycle }, deps);
  } catch (thrown) {
    for (const name of RECORD_HEADERS) ctx.remove(name);
    throw thrown;
  }
}

const RECORD_HEADERS = [
  'ETag',
  'Last-Modified',
  'Accept-Ranges',
  'Content-Range',
  'Content-Length',
  'Content-Type',
];

function setRecordHeaders(ctx: HttpContext, record: FileRecord): void {
  const lastModified = lastModifiedOf(record);
  ctx.set('ETag', entityTagOf(record));
  if (lastModified !== undefined) ctx.set('Last-Modified', lastModified);
  ctx.set('Accept-Ranges', 'bytes');
  ctx.set('Content-Type', 'application/octet-stream');
}

/** @throws range_not_satisfiable after naming the size in Content-Range. */
function rangeWithin(ctx: HttpContext, record: FileRecord, range: RangeSpec): ByteRange {
  const resolved = resolveRange(range, record.sizeBytes);
  if (resolved !== undefined) return resolved;
  ctx.set('Content-Range', `bytes */${record.sizeBytes}`);
  throw new RingloadError(
    'range_not_satisfiable',
    `range ${quoted(ctx.get('Range'))} lies outside a file of ${record.sizeBytes} bytes`,
  );
}

function isConditional(ctx: HttpContext): boolean {
  return CONDITIONAL_HEADERS.some((name) => ctx.get(name) !== '');
}

const CONDITIONAL_HEADERS = [
  'If-Match',
  'If-None-Match',
  'If-Unmodified-Since',
  'If-Modified-Since',
  'If-Range',
];

/** False when the answer is 304 and complete. @throws conflict (412) */
function meetsPreconditions(ctx: HttpContext, record: FileRecord): boolean {
  const verdict = checkPreconditions(record, {
    ifMatch: ctx.get('If-Match'),
    ifNoneMatch: ctx.get('If-None-Match'),
    ifUnmodifiedSince: ctx.get('If-Unmodified-Since'),
    ifModifiedSince: ctx.get('If-Modified-Since'),
  });
  if (verdict === 'go-on') return true;
  if (verdict === 'failed') {
    throw new RefusedRequest(
      412,
      'conflict',
      `file ${quoted(record.path)} is version ${entityTagOf(record)}, not the one asked for`,
    );
  }
  setRecordHeaders(ctx, record);
  ctx.remove('Content-Type');
  ctx.status = 304;
  return false;
}
