/** JSON Schemas of what is kept in the caches: rules, frees, checks. */
import { PRIORITIES } from '../../base/path-rule.ts';

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string' };
const flag: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const id: Schema = { type: 'string', format: 'uuid' };
const path: Schema = { type: 'string', examples: ['s3://bucket/data'] };

function object(properties: Readonly<Record<string, Schema>>, ...optional: string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

function orNull(schema: Schema): Schema {
  return { oneOf: [schema, { type: 'null' }] };
}

const amount = object({ segments: count, bytes: count });
const amounts = { freed: amount, leased: amount, pinned: amount };
const bytesByPeer: Schema = { type: 'object', additionalProperties: count };
const bytesByCopies: Schema = {
  type: 'array',
  items: count,
  description: 'bytes that at least 1, 2, … peers hold',
};
const freshness: Schema = { ...text, examples: ['immutable', 'always', 'skip', '30s'] };

const rule = object(
  {
    path,
    pinned: flag,
    priority: { type: 'string', enum: PRIORITIES },
    ttlMs: count,
    quotaBytes: count,
    freshness,
  },
  ...['pinned', 'priority', 'ttlMs', 'quotaBytes', 'freshness'],
);

const freeReport = object({
  path,
  files: count,
  ...amounts,
  peers: {
    type: 'array',
    items: object({ id, records: count, ...amounts, error: text }, 'error'),
  },
  complete: { ...flag, description: 'everything is gone everywhere' },
});

const states = ['loaded', 'outdated', 'not-loaded', 'gone', 'unchecked'];
const shares = { replicaBytes: bytesByCopies, peerBytes: bytesByPeer };

export const CACHE_SCHEMAS: Readonly<Record<string, Schema>> = {
  FreeRequest: object({ path, evenPinned: flag }, 'evenPinned'),
  FreeEvent: object(
    {
      progress: object({ files: count, peersDone: count, peersAsked: count }),
      report: freeReport,
      error: object({ code: text, detail: text }),
    },
    ...['progress', 'report', 'error'],
  ),
  CheckEvent: object(
    {
      file: object({ path, sizeBytes: count, state: { type: 'string', enum: states }, ...shares }),
      report: object(
        {
          ...{ path, files: count, sizeBytes: count, residentFiles: count, residentBytes: count },
          states: object(Object.fromEntries(states.map((state) => [state, count]))),
          ...shares,
          unanswered: { type: 'array', items: id },
          storeError: text,
        },
        'storeError',
      ),
      error: object({ code: text, detail: text }),
    },
    ...['file', 'report', 'error'],
  ),
  RuleChange: object(
    {
      path,
      pinned: orNull(flag),
      priority: orNull({ type: 'string', enum: PRIORITIES }),
      ttl: orNull({ ...text, examples: ['7d'] }),
      quota: orNull({ ...text, examples: ['500GiB'] }),
      freshness: orNull(freshness),
    },
    ...['pinned', 'priority', 'ttl', 'quota', 'freshness'],
  ),
  RuleAnswer: object({ rule: orNull(rule) }),
  RuleList: object({ rules: { type: 'array', items: rule } }),
};
