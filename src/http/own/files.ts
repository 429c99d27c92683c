/** Ringload's own API for files: metadata, listing, placement, bytes. */
import { RingloadError } from '../../base/errors.ts';
import { checkFilePath, jobPathOf, quoted } from '../../job/canonical-path.ts';
import type { HttpDeps, HttpRouter } from '../context.ts';
import { parseRange } from '../range.ts';
import { replyJson } from '../reply.ts';
import { serveContent } from './content.ts';

const LIST_LIMIT_MAX = 1_000;

export function mountFiles(router: HttpRouter, deps: HttpDeps): void {
  const { files } = deps.services;

  router.get('/v1/files', async (ctx) => {
    const path = checkFilePath(ctx.state.query.allowOnly('path').require('path'));
    if (ctx.method === 'GET' && parseRange(ctx.get('Range')) !== undefined) {
      await serveContent(ctx, deps, path);
      return;
    }
    replyJson(ctx, await files.stat(path));
  });

  router.get('/v1/files/content', async (ctx) => {
    await serveContent(ctx, deps, checkFilePath(ctx.state.query.allowOnly('path').require('path')));
  });

  router.get('/v1/files/list', async (ctx) => {
    const query = ctx.state.query.allowOnly('root', 'after', 'limit');
    const root = checkFilePath(jobPathOf(query.require('root')));
    const after = query.get('after');
    const limit = limitOf(query.get('limit'));
    const page = await files.list(
      after === undefined || after === ''
        ? { root, limit }
        : { root, limit, after: checkFilePath(after) },
    );
    replyJson(ctx, page);
  });

  router.get('/v1/files/placement', async (ctx) => {
    const path = checkFilePath(ctx.state.query.allowOnly('path').require('path'));
    replyJson(ctx, await files.placement(path));
  });
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return LIST_LIMIT_MAX;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > LIST_LIMIT_MAX) {
    throw new RingloadError(
      'invalid_argument',
      `parameter limit ${quoted(text)} must be between 1 and ${LIST_LIMIT_MAX}`,
    );
  }
  return limit;
}
