/** `GET /health` as Alluxio's workers answer it: 200 with an empty body. */
import type { HttpRouter } from '../context.ts';
import type { PortRole } from '../load-routes.ts';

/** On the worker port any first path component that starts with `health` will do, as in Alluxio. */
export function mountWorkerHealth(router: HttpRouter, port: PortRole): void {
  router.get(port === 'worker' ? /^\/health[^/]*(?:\/.*)?$/ : '/health', (ctx) => {
    ctx.status = 200;
    ctx.set('Content-Length', '0');
    ctx.body = '';
  });
}
