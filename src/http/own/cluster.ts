/** Ringload's own API for the cluster: `/v1/cluster`, `/v1/self`. */
import { RingloadError } from '../../base/errors.ts';
import { isUuid, peerId, type PeerId } from '../../base/ids.ts';
import { quoted } from '../../job/canonical-path.ts';
import { readJsonObject } from '../body.ts';
import type { HttpDeps, HttpRouter } from '../context.ts';
import { replyJson } from '../reply.ts';

export function mountCluster(router: HttpRouter, deps: HttpDeps): void {
  const { cluster } = deps.services;

  router.get('/v1/cluster', async (ctx) => {
    ctx.state.query.allowOnly();
    replyJson(ctx, await cluster.view());
  });

  router.get('/v1/self', (ctx) => {
    ctx.state.query.allowOnly();
    replyJson(ctx, cluster.self());
  });

  router.post('/v1/cluster/transfer', async (ctx) => {
    ctx.state.query.allowOnly();
    const body = await readJsonObject(ctx, deps);
    const stray = Object.keys(body).find((name) => name !== 'to');
    if (stray !== undefined) {
      throw new RingloadError('invalid_argument', `field ${quoted(stray)} is unknown: use to`);
    }
    const to = memberIdOf(body['to']);
    await cluster.transferLeadership(to);
    replyJson(ctx, { to });
  });

  router.delete('/v1/cluster/members/:id', async (ctx) => {
    const force = ctx.state.query.allowOnly('force').boolean('force', false);
    const id = ctx.params['id']?.toLowerCase() ?? '';
    if (!isUuid(id)) {
      throw new RingloadError('not_found', `no member has the id ${quoted(id)}`);
    }
    await cluster.remove(peerId(id), { force });
    replyJson(ctx, { removed: id });
  });
}

function memberIdOf(value: unknown): PeerId {
  const text = typeof value === 'string' ? value.toLowerCase() : '';
  if (!isUuid(text)) {
    throw new RingloadError('invalid_argument', "field to must be a member's id");
  }
  return peerId(text);
}
