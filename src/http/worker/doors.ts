/**
 * What the Python clients of Alluxio call on a worker's port beside `/v1/load`: status, listings,
 * whole files, pages, heads and tails, eviction. Every peer answers for every path. Writes are
 * refused in words that the clients show.
 */
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import { checkFilePath, jobPathOf, quoted } from '../../job/canonical-path.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { withoutClientPrefix } from '../load-request.ts';
import { serveRange, serveWhole } from '../own/content.ts';
import { RefusedRequest } from '../problem.ts';
import { replyJson } from '../reply.ts';
import { Directory } from './directory.ts';
import { pathFromQuery } from './file-id.ts';
import { KnownIds } from './known-ids.ts';
import type { UfsInfo, WorkerServices } from './services.ts';

/** The clients know no other. */
const PAGE_BYTES = 1024 * 1024;
const WRITES = ['mkdir', 'touch', 'mv', 'copy', 'chunk'] as const;

export function mountWorkerDoors(router: HttpRouter, deps: HttpDeps, worker: WorkerServices): void {
  const { files } = deps.services;
  const directory = new Directory(files, worker);
  const ids = new KnownIds(files, worker.mounts, () => deps.clock.nowMs());
  const doors = new Doors(worker, ids);

  router.get('/v1/node', (ctx) => {
    const host = ctx.get('Host').replace(/:\d+$/, '');
    replyJson(ctx, { Host: host, HttpServerPort: worker.port() });
  });

  router.get('/v1/info', async (ctx) => {
    const path = doors.named(ctx);
    try {
      const status = await directory.status(path);
      ids.remember(path);
      replyJson(ctx, [status]);
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code !== 'ufs_not_found') throw error;
      throw new RefusedRequest(worker.missingStatus, 'ufs_not_found', error.message);
    }
  });

  router.get('/v1/files', async (ctx) => {
    replyJson(ctx, await directory.list(doors.named(ctx)));
  });

  router.get('/v1/ufsInfo', async (ctx) => {
    replyUfsInfo(ctx, await worker.ufsInfo());
  });

  router.get('/v1/chunk/:id', async (ctx) => {
    await serveWhole(ctx, deps, await doors.file(ctx));
  });

  router.get('/v1/range/:id', async (ctx) => {
    const offset = doors.count(ctx, 'offset', 0);
    const length = doors.count(ctx, 'length', Infinity);
    await serveRange(ctx, deps, await doors.file(ctx), { offset, length });
  });

  router.get('/v1/file/:id/page/:index', async (ctx) => {
    const index = doors.pageIndex(ctx);
    const within = doors.count(ctx, 'offset', 0);
    const length = Math.min(doors.count(ctx, 'length', PAGE_BYTES), PAGE_BYTES - within);
    if (length < 1) throw new RingloadError('not_found', `a page has ${PAGE_BYTES} bytes`);
    const page = { offset: index * PAGE_BYTES + within, length };
    const path = await doors.file(ctx);
    await serveRange(ctx, deps, path, page).catch((thrown: unknown) => {
      // Why: clients read pages until one is missing.
      if (toRingloadError(thrown).code !== 'range_not_satisfiable') throw thrown;
      ctx.remove('Content-Range');
      throw new RingloadError('not_found', `${path} has no page ${index}`);
    });
  });

  router.get('/v1/head/:id', async (ctx) => {
    const length = doors.count(ctx, 'numOfBytes', 1024);
    await serveEdge(ctx, deps, await doors.file(ctx), { from: 'start', length });
  });

  router.get('/v1/tail/:id', async (ctx) => {
    const length = doors.count(ctx, 'numOfBytes', 1024);
    await serveEdge(ctx, deps, await doors.file(ctx), { from: 'end', length });
  });

  router.post('/v1/rm/:id', async (ctx) => {
    const path = await doors.file(ctx);
    if (ctx.state.query.get('remove_alluxio_only')?.toLowerCase() !== 'true') {
      throw noWrites('rm with remove_alluxio_only=False would delete in the under store');
    }
    const gone = new AbortController();
    for await (const _event of deps.services.cache.free({ path, evenPinned: false }, gone.signal)) {
      // Its end is what matters.
    }
    replyJson(ctx, { success: true, path, message: `${path} is evicted` });
  });

  for (const name of WRITES) {
    router.post(`/v1/${name}/:id`, () => {
      throw noWrites(`${name} would write to the under store`);
    });
  }
  router.post('/v1/file/:id/page/:index', () => {
    throw noWrites('a page of its own would differ from the under store');
  });
}

/** What a request is about. */
class Doors {
  readonly #worker: WorkerServices;
  readonly #ids: KnownIds;

  constructor(worker: WorkerServices, ids: KnownIds) {
    this.#worker = worker;
    this.#ids = ids;
  }

  /** The path in an encoded query, without a slash at its end. @throws invalid_argument */
  named(ctx: HttpContext): string {
    return this.#resolved(jobPathOf(withoutClientPrefix(ctx.state.query.require('path'))));
  }

  /** The path that goes with the id of the URL. @throws invalid_argument, not_found */
  async file(ctx: HttpContext): Promise<string> {
    const id = param(ctx, 'id').toLowerCase();
    const rawQuery = ctx.originalUrl.split('?').slice(1).join('?');
    const path = pathFromQuery(rawQuery, 'ufsFullPath', id);
    if (path !== undefined && path !== '') return this.#resolved(jobPathOf(path));
    if (!/^[0-9a-f]{64}$/.test(id)) {
      throw new RingloadError('invalid_argument', `file id ${quoted(id)} must be 64 hex digits`);
    }
    const known = await this.#ids.pathOf(id);
    if (known !== undefined) return known;
    throw new RingloadError('not_found', `no cached file has the id ${id}: send ufsFullPath`);
  }

  pageIndex(ctx: HttpContext): number {
    const text = param(ctx, 'index');
    if (/^\d{1,9}$/.test(text)) return Number(text);
    throw new RingloadError('invalid_argument', `page ${quoted(text)} must be a whole number`);
  }

  /** A whole number of bytes. @throws invalid_argument */
  count(ctx: HttpContext, name: string, fallback: number): number {
    const text = ctx.state.query.get(name);
    if (text === undefined) return fallback;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new RingloadError('invalid_argument', `${name} ${quoted(text)} must be a whole number`);
  }

  #resolved(path: string): string {
    if (!path.startsWith('/')) return checkFilePath(path);
    const known = this.#worker.pathOf(path);
    if (known !== undefined) return known;
    throw new RingloadError('path_not_mounted', `path ${quoted(path)} lies in no mount`);
  }
}

function param(ctx: HttpContext, name: string): string {
  return (ctx as HttpContext & { readonly params: Record<string, string> }).params[name] ?? '';
}

async function serveEdge(
  ctx: HttpContext,
  deps: HttpDeps,
  path: string,
  edge: { readonly from: 'start' | 'end'; readonly length: number },
): Promise<void> {
  const { sizeBytes } = await deps.services.files.stat(path);
  const length = Math.min(edge.length, sizeBytes);
  const offset = edge.from === 'start' ? 0 : sizeBytes - length;
  if (length > 0) {
    await serveRange(ctx, deps, path, { offset, length });
    return;
  }
  ctx.status = 200;
  ctx.set('Content-Length', '0');
  ctx.body = '';
}

function replyUfsInfo(ctx: HttpContext, info: ReadonlyMap<string, UfsInfo>): void {
  const flat = ctx.state.query.get('ufs');
  if (flat === undefined) {
    const all = [...info].map(([prefix, each]) => [
      prefix,
      { alluxio_path: each.alluxioPath, ...accessTo(each) },
    ]);
    replyJson(ctx, Object.fromEntries(all) as object);
    return;
  }
  const scheme = flat.toLowerCase().replace(/:\/\/.*$/, '');
  const first = [...info].find(([prefix]) => prefix.startsWith(`${scheme}://`))?.[1];
  if (!first) throw new RingloadError('not_found', `no mount is of the kind ${quoted(flat)}`);
  replyJson(ctx, accessTo(first));
}

function accessTo({ accessKey, secretKey, endpoint }: UfsInfo): object {
  return { access_key: accessKey, secret_key: secretKey, endpoint };
}

function noWrites(what: string): RefusedRequest {
  return new RefusedRequest(
    403,
    'forbidden',
    `${what}, and this cluster does not write there: write to the under store itself`,
  );
}
