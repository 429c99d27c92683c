/** Ringload's own API for what the caches keep: `/v1/cache/free`, `/check`, `/rules`. */
import { RingloadError } from '../../base/errors.ts';
import {
  formatFreshness,
  parseFreshness,
  parsePriority,
  parseQuotaBytes,
  parseTtlMs,
  type PathRule,
  type RuleChanges,
} from '../../base/path-rule.ts';
import { canonicalLoadPath, quoted } from '../../job/canonical-path.ts';
import { readJsonObject } from '../body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { replyJson } from '../reply.ts';
import { streamLines } from '../stream-lines.ts';
import type { JsonObject } from '../strict-json.ts';

export function mountCache(router: HttpRouter, deps: HttpDeps): void {
  const { cache } = deps.services;

  router.post('/v1/cache/free', async (ctx) => {
    ctx.state.query.allowOnly();
    const body = await readJsonObject(ctx, deps);
    allowOnly(body, 'path', 'evenPinned');
    const evenPinned = body['evenPinned'] ?? false;
    if (typeof evenPinned !== 'boolean') throw refused('evenPinned', 'true or false');
    const signal = goneSignal(ctx);
    const events = cache.free({ path: pathOf(body), evenPinned }, signal);
    await streamLines(ctx, events, signal, deps);
  });

  router.get('/v1/cache/check', async (ctx) => {
    const query = ctx.state.query.allowOnly('path', 'store');
    const path = canonicalLoadPath(query.require('path'));
    const signal = goneSignal(ctx);
    const events = cache.check({ path, asksStore: query.boolean('store', true) }, signal);
    await streamLines(ctx, events, signal, deps);
  });

  router.get('/v1/cache/rules', (ctx) => {
    const path = ctx.state.query.allowOnly('path').get('path');
    if (path === undefined) replyJson(ctx, { rules: cache.rules().map(ruleView) });
    else replyJson(ctx, { rules: cache.rulesFor(canonicalLoadPath(path)).map(ruleView) });
  });

  router.post('/v1/cache/rules', async (ctx) => {
    ctx.state.query.allowOnly();
    const body = await readJsonObject(ctx, deps);
    allowOnly(body, 'path', 'pinned', 'priority', 'ttl', 'quota', 'freshness');
    const rule = await cache.setRule(pathOf(body), changesOf(body));
    replyJson(ctx, { rule: rule ? ruleView(rule) : null });
  });
}

/** Text where people write text; the other fields as they are kept. */
function ruleView({ freshness, ...rule }: PathRule): JsonObject {
  return { ...rule, ...(freshness !== undefined && { freshness: formatFreshness(freshness) }) };
}

function changesOf(body: JsonObject): RuleChanges {
  const { pinned, priority, ttl, quota, freshness } = body as Readonly<Record<string, unknown>> & {
    pinned?: unknown;
    priority?: unknown;
    ttl?: unknown;
    quota?: unknown;
    freshness?: unknown;
  };
  if (pinned !== undefined && pinned !== null && typeof pinned !== 'boolean')
    throw refused('pinned', 'true, false or null');
  return {
    ...(pinned !== undefined && { pinned: pinned === true ? true : null }),
    ...field('priority', priority, parsePriority),
    ...field('ttlMs', ttl, parseTtlMs, 'ttl'),
    ...field('quotaBytes', quota, parseQuotaBytes, 'quota'),
    ...field('freshness', freshness, parseFreshness),
  };
}

/** A number stands for itself: milliseconds, or bytes. */
function field<Name extends string, Value>(
  name: Name,
  given: unknown,
  parse: (text: string) => Value,
  shown: string = name,
): { readonly [Key in Name]?: Value | null } {
  if (given === undefined) return {};
  if (given === null) return { [name]: null } as { [Key in Name]: null };
  if (typeof given !== 'string' && typeof given !== 'number') throw refused(shown, 'text or null');
  return { [name]: parse(String(given)) } as { [Key in Name]: Value };
}

function pathOf(body: JsonObject): string {
  const { path } = body as { readonly path?: unknown };
  if (typeof path !== 'string') throw refused('path', 'a path such as s3://bucket/data');
  return canonicalLoadPath(path);
}

function allowOnly(body: JsonObject, ...names: readonly string[]): void {
  const stray = Object.keys(body).find((name) => !names.includes(name));
  if (stray === undefined) return;
  const message = `field ${quoted(stray)} is unknown: use ${names.join(', ')}`;
  throw new RingloadError('invalid_argument', message);
}

function goneSignal(ctx: HttpContext): AbortSignal {
  const gone = new AbortController();
  ctx.res.once('close', () => {
    gone.abort(new RingloadError('cancelled', 'the client went away'));
  });
  return gone.signal;
}

function refused(name: string, wanted: string): RingloadError {
  return new RingloadError('invalid_argument', `field ${name} must be ${wanted}`);
}
