/**
 * The layering of `src/`, as one table: what each group may import of ours and from outside.
 *
 * `.dependency-cruiser.cjs` turns it into rules, `eslint.config.js` takes from it which groups are
 * the core, and `tests/tooling/layers.test.ts` plants a violation of every kind.
 *
 * Entries of `imports`: a group (`ring`), one file (`raft/consensus.ts`), or `types:GROUP` for
 * type-only imports of a group.
 */
'use strict';

/** The seams: interface, type and message files that outer groups may see. */
const INTERFACES = [
  'cache/file-catalog.ts',
  'cache/segment-store.ts',
  'data/data-plane.ts',
  'http/services.ts',
  'job/job-status.ts',
  'job/spec.ts',
  'peer/peer-network.ts',
  'raft/consensus.ts',
  'residence/report.ts',
  'ufs/under-store.ts',
  'verify/report.ts',
];

/** How jobs are asked for and reported, for whoever talks to people. */
const JOB_FORMS = [
  'job/canonical-path.ts',
  'job/glob.ts',
  'job/index-line.ts',
  'job/parse-spec.ts',
  'job/report.ts',
  'job/report-json.ts',
  'job/spec-paths.ts',
  'job/spec-spellings.ts',
];

/**
 * `core` groups are pure outside `io/`: no Node module except assert and crypto, no package except
 * those named. The other groups may use any Node module and the packages named. An `io/` file may
 * use any of both.
 */
const GROUPS = {
  base: { core: true, imports: [] },
  ring: { core: true, imports: ['base'], packages: ['hashring'] },
  raft: { core: true, imports: ['base'], packages: ['@coaty/consensus.raft'] },
  cache: { core: true, imports: ['base'] },
  ufs: { core: true, imports: ['base'] },
  data: {
    core: true,
    imports: [
      'base',
      'cache/segment-store.ts',
      'cache/file-catalog.ts',
      'cache/single-flight.ts',
      'cache/read-room.ts',
      'ufs/under-store.ts',
      'ufs/wrap-stores.ts',
    ],
  },
  cluster: {
    core: true,
    imports: ['base', 'ring', 'types:raft', 'types:cache', 'types:ufs', 'ufs/path.ts'],
  },
  job: {
    core: true,
    imports: ['base', 'ring', 'cache', 'ufs', 'cluster', 'data'],
    packages: ['re2js'],
  },
  read: { core: true, imports: ['base', 'ring', 'cache', 'ufs', 'data'] },
  repair: { core: true, imports: ['base', 'cache/file-catalog.ts', 'cache/segment-store.ts'] },
  verify: {
    core: true,
    imports: ['base', 'cache', 'ufs/under-store.ts', 'repair/record-order.ts'],
  },
  residence: {
    core: true,
    imports: [
      'base',
      'cluster',
      'cache/file-catalog.ts',
      'cache/segment-store.ts',
      'cache/utf8-order.ts',
      'ufs/path.ts',
      'ufs/under-store.ts',
      'verify/merged-catalogue.ts',
    ],
  },
  config: { imports: ['base'], packages: ['zod', 'yaml'] },
  obs: { imports: ['base'], packages: ['pino', 'prom-client'] },
  // Keys are ordered and encoded there as they are in the stores that it stands for.
  sample: { imports: ['base', 'ufs/path.ts', 's3/xml.ts'], packages: [] },
  peer: {
    imports: ['base', 'cluster', 'obs', ...INTERFACES],
    packages: ['ws'],
  },
  http: {
    imports: [
      'base',
      'obs',
      'types:cluster',
      'cluster/job-identity.ts',
      ...JOB_FORMS,
      ...INTERFACES,
    ],
    packages: ['koa', '@koa/router', 'zod'],
  },
  // Any Node module: it signs and checks, but listens only in io/.
  s3: {
    imports: [
      'base',
      'cache/file-catalog.ts',
      'cache/segment-store.ts',
      'data/pieces.ts',
      'types:data',
      'http/range.ts',
      'types:read',
      'ufs/browse.ts',
      'ufs/path.ts',
      'ufs/store-writer.ts',
      'ufs/under-store.ts',
    ],
    packages: [],
  },
  node: {
    imports: [
      'base',
      'ring',
      'raft',
      'cache',
      'ufs',
      'data',
      'cluster',
      'job',
      'read',
      'repair',
      'verify',
      'residence',
      'config',
      'obs',
      'peer',
      'http',
      's3',
    ],
    packages: ['undici'],
  },
  cli: {
    imports: ['base', 'config', 'obs', ...JOB_FORMS, ...INTERFACES],
    packages: ['commander', 'undici'],
  },
};

/** Groups that may be reached by dynamic import only, and from where. */
const DYNAMIC_ONLY = [
  { from: 'cli', to: 'node' },
  { from: 'cli', to: 'sample' },
];

/** Packages that exactly one place may import. */
const SINGLE_IMPORTER = [
  { package: 'hashring', from: '^src/ring/' },
  { package: '@coaty/consensus.raft', from: '^src/raft/' },
  { package: 're2js', from: '^src/job/file-filter\\.ts$' },
];

const CORE_GROUPS = Object.keys(GROUPS).filter((name) => GROUPS[name].core);

module.exports = { GROUPS, INTERFACES, DYNAMIC_ONLY, SINGLE_IMPORTER, CORE_GROUPS };
