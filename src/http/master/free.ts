/** `submit_job`, `progress_job` and `stop_job` of `free`, as Alluxio Enterprise 3.3 to 3.5 has them. */
import { canonicalLoadPath } from '../../job/canonical-path.ts';
import { RingloadError } from '../../base/errors.ts';
import { readOptionalJsonObject } from '../body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { rawPathOf } from '../load-request.ts';
import { replyJson } from '../reply.ts';

export function mountMasterFree(router: HttpRouter, deps: HttpDeps, base: string): void {
  const { cache } = deps.services;

  router.post(`${base}/submit_job/free`, async (ctx) => {
    const path = await pathOf(ctx, deps);
    const { startedAtMs } = cache.submitFree({ path, evenPinned: false });
    const message = `Free '${path}' is successfully submitted.`;
    replyJson(ctx, { success: true, path, target_path: path, startedAtMs, message });
  });

  router.get(`${base}/progress_job/free`, async (ctx) => {
    const path = await pathOf(ctx, deps);
    const status = await cache.freeStatus(path);
    if (!status) {
      throw new RingloadError('not_found', `Free for path '${path}' cannot be found.`);
    }
    replyJson(ctx, { ...status, jobState: status.state });
  });

  router.post(`${base}/stop_job/free`, async (ctx) => {
    const path = await pathOf(ctx, deps);
    const success = cache.stopFree(path);
    const message = success
      ? `Free '${path}' is successfully stopped.`
      : `Cannot find free job for path ${path}, it might have already been stopped or finished`;
    replyJson(ctx, { success, path, message });
  });
}

async function pathOf(ctx: HttpContext, deps: HttpDeps): Promise<string> {
  return canonicalLoadPath(rawPathOf(ctx.state.query, await readOptionalJsonObject(ctx, deps)));
}
