/** JSON Schemas of certificates and of what a verification answers. */
import { DIFFERENCE_KINDS } from '../../verify/report.ts';

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string' };
const flag: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const id: Schema = { type: 'string', format: 'uuid' };
const digest: Schema = {
  ...text,
  pattern: '^[0-9a-f]{16}$',
  description: 'sum modulo 2^64 of identities',
};

function object(properties: Readonly<Record<string, Schema>>, ...optional: string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

const inventory = {
  segmentCount: count,
  bytes: count,
  digest,
  recordCount: count,
  recordDigest: digest,
};

export const certificate: Schema = {
  ...object({
    ...inventory,
    epoch: count,
    peers: { type: 'array', items: object({ ...inventory, peerId: id, address: text }) },
  }),
  description: 'what all peers held at the verdict, every copy counted, and each of them',
};

const progress = object({
  fileCount: count,
  copyCount: count,
  bytes: count,
  differenceCount: count,
});

const difference = object(
  {
    path: text,
    segment: { ...count, description: "absent: the file's record in the catalogue" },
    peerId: id,
    kind: { type: 'string', enum: DIFFERENCE_KINDS },
    message: text,
    repaired: { type: 'string', enum: ['from-peer', 'from-ufs', 'no'] },
  },
  'segment',
  'peerId',
  'message',
  'repaired',
);

const report = object({
  jobId: id,
  path: text,
  equal: { ...flag, description: 'every certified copy is there and sound, repaired or not' },
  epoch: count,
  ringChanged: flag,
  certified: object(inventory),
  found: object(inventory),
  checked: progress,
  counts: object(Object.fromEntries(DIFFERENCE_KINDS.map((kind) => [kind, count]))),
  repaired: object({ fromPeer: count, fromUfs: count, failed: count }),
  differences: { type: 'array', items: difference, description: 'the first 1,000' },
  notes: { type: 'array', items: text },
});

export const verifyEvent: Schema = {
  ...object(
    { progress, report, error: { $ref: '#/components/schemas/Problem' } },
    'progress',
    'report',
    'error',
  ),
  description: 'one of the three; an answer without a report or an error is not whole',
};
