/** What orchestrators and monitoring ask: health, readiness, metrics, version. */
import { RingloadError } from '../../base/errors.ts';
import { quoted } from '../../job/canonical-path.ts';
import type { HttpDeps, HttpRouter } from '../context.ts';
import { RETRY_AFTER_S } from '../problem.ts';
import { replyJson, replyText } from '../reply.ts';

export function mountHealth(router: HttpRouter, deps: HttpDeps): void {
  const { health, metrics } = deps.services;

  // Why no look at any dependency: a restart would not mend one.
  for (const path of ['/healthz', '/livez']) {
    router.get(path, (ctx) => {
      replyJson(ctx, { status: 'ok' });
    });
  }

  router.get('/readyz', (ctx) => {
    const purpose = purposeOf(ctx.state.query.get('check'));
    const reasons = health.notReadyReasons(purpose);
    if (reasons.length === 0) {
      replyJson(ctx, { status: 'ready', check: purpose, reasons });
      return;
    }
    ctx.set('Retry-After', String(RETRY_AFTER_S));
    replyJson(ctx, { status: 'not ready', check: purpose, reasons }, 503);
  });

  router.get('/metrics', async (ctx) => {
    replyText(ctx, metrics.contentType, await metrics.render());
  });

  router.get('/version', (ctx) => {
    replyJson(ctx, { name: 'ringload', version: deps.version });
  });
}

function purposeOf(check: string | undefined): 'loads' | 'reads' {
  if (check === undefined || check === 'load' || check === 'loads') return 'loads';
  if (check === 'read' || check === 'reads') return 'reads';
  throw new RingloadError('invalid_argument', `parameter check ${quoted(check)}: use read or load`);
}
