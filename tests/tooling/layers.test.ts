import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { projectCopy } from './project-copy.ts';

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
}

/**
 * One planted file each: what it says, and the rule that has to object. Files named `target` are
 * there to be imported.
 */
const PLANTED: Readonly<Record<string, { text: string; rule?: string }>> = {
  'src/node/planted-target.ts': { text: 'export const inNode = 1;' },
  'src/sample/planted-target.ts': { text: 'export const inSample = 1;' },
  'src/raft/planted-target.ts': { text: 'export const inRaft = 1; export type RaftType = 1;' },
  'src/cluster/planted-target.ts': {
    text: 'export const inCluster = 1; export type ClusterType = 1;',
  },
  'src/job/planted-target.ts': { text: 'export const inJob = 1;' },
  'src/cache/io/planted-target.ts': { text: 'export const inCacheIo = 1;' },
  'src/ufs/io/planted-target.ts': { text: 'export const inUfsIo = 1;' },
  'tests/planted-target.ts': { text: 'export const inTests = 1;' },

  // Groups.
  'src/base/planted-outward.ts': {
    text: "import { inRaft } from '../raft/planted-target.ts'; export const x = inRaft;",
    rule: 'layer-base',
  },
  'src/ring/planted-sideways.ts': {
    text: "import { inRaft } from '../raft/planted-target.ts'; export const x = inRaft;",
    rule: 'layer-ring',
  },
  'src/ring/planted-sideways-type.ts': {
    text: "import type { RaftType } from '../raft/planted-target.ts'; export type X = RaftType;",
    rule: 'layer-ring',
  },
  'src/cache/planted-outward.ts': {
    text: "import { inJob } from '../job/planted-target.ts'; export const x = inJob;",
    rule: 'layer-cache',
  },
  'src/cluster/planted-reverse.ts': {
    text: "import { inJob } from '../job/planted-target.ts'; export const x = inJob;",
    rule: 'layer-cluster',
  },
  'src/cluster/planted-value.ts': {
    text: "import { inRaft } from '../raft/planted-target.ts'; export const x = inRaft;",
    rule: 'layer-cluster-types-only',
  },
  'src/cluster/planted-allowed-type.ts': {
    text: "import type { RaftType } from '../raft/planted-target.ts'; export type X = RaftType;",
  },
  'src/peer/planted-inner.ts': {
    text: "import { inJob } from '../job/planted-target.ts'; export const x = inJob;",
    rule: 'layer-peer',
  },
  'src/peer/planted-interface.ts': {
    text: "import { JOB_DEFAULTS } from '../job/spec.ts'; export const x = JOB_DEFAULTS;",
  },
  'src/http/planted-inner.ts': {
    text: "import { inCluster } from '../cluster/planted-target.ts'; export const x = inCluster;",
    rule: 'layer-http-types-only',
  },
  'src/data/planted-inner.ts': {
    text: "import { inJob } from '../job/planted-target.ts'; export const x = inJob;",
    rule: 'layer-data',
  },
  'src/data/io/planted-inner.ts': {
    text: "import { inRaft } from '../../raft/planted-target.ts'; export const x = inRaft;",
    rule: 'layer-data',
  },
  'src/planted-group-less.ts': {
    text: "import { inRaft } from './raft/planted-target.ts'; export const x = inRaft;",
    rule: 'known-group',
  },

  // io.
  'src/cache/planted-io.ts': {
    text: "import { inCacheIo } from './io/planted-target.ts'; export const x = inCacheIo;",
    rule: 'core-never-io',
  },
  'src/http/planted-io.ts': {
    text: "import { inCacheIo } from '../cache/io/planted-target.ts'; export const x = inCacheIo;",
    rule: 'io-only-from-node',
  },
  'src/job/io/planted-foreign-io.ts': {
    text: "import { inCacheIo } from '../../cache/io/planted-target.ts'; export const x = inCacheIo;",
    rule: 'io-own-group',
  },
  'src/cache/io/planted-allowed.ts': {
    text: "import fs from 'node:fs'; import { inCacheIo } from './planted-target.ts'; export const x = [fs, inCacheIo];",
  },
  'src/node/planted-allowed.ts': {
    text: "import { inUfsIo } from '../ufs/io/planted-target.ts'; export const x = inUfsIo;",
  },

  // Purity.
  'src/job/planted-fs.ts': {
    text: "import fs from 'node:fs'; export const x = fs;",
    rule: 'pure-job',
  },
  'src/raft/planted-timers.ts': {
    text: "import { setTimeout } from 'node:timers/promises'; export const x = setTimeout;",
    rule: 'pure-raft',
  },
  'src/ufs/planted-package.ts': {
    text: "import { request } from 'undici'; export const x = request;",
    rule: 'pure-ufs',
  },
  'src/cache/planted-type-of-package.ts': {
    text: "import type { Dispatcher } from 'undici'; export type X = Dispatcher;",
    rule: 'pure-cache',
  },
  'src/cluster/planted-undeclared.ts': {
    text: "import { x } from 'no-such-package'; export { x };",
    rule: 'no-unresolvable',
  },
  'src/base/planted-allowed.ts': {
    text: "import assert from 'node:assert'; import { createHash } from 'node:crypto'; export const x = [assert, createHash];",
  },

  // Packages.
  'src/cache/planted-hashring.ts': {
    text: "import HashRing from 'hashring'; export const x = HashRing;",
    rule: 'one-importer-hashring',
  },
  'src/node/planted-raft-library.ts': {
    text: "import * as library from '@coaty/consensus.raft'; export const x = library;",
    rule: 'one-importer-coaty-consensus-raft',
  },
  'src/job/planted-re2.ts': {
    text: "import { RE2JS } from 're2js'; export const x = RE2JS;",
    rule: 'one-importer-re2js',
  },
  'src/peer/planted-koa.ts': {
    text: "import Koa from 'koa'; export const x = Koa;",
    rule: 'packages-peer',
  },
  'src/node/planted-dev-package.ts': {
    text: "import fc from 'fast-check'; export const x = fc;",
    rule: 'no-dev-package-in-src',
  },

  // The command line.
  'src/cli/planted-static.ts': {
    text: "import { inNode } from '../node/planted-target.ts'; export const x = inNode;",
    rule: 'dynamic-cli-node',
  },
  'src/cli/planted-static-sample.ts': {
    text: "import { inSample } from '../sample/planted-target.ts'; export const x = inSample;",
    rule: 'dynamic-cli-sample',
  },
  'src/node/planted-sample.ts': {
    text: "import { inSample } from '../sample/planted-target.ts'; export const x = inSample;",
    rule: 'layer-node',
  },
  'src/cli/planted-dynamic.ts': {
    text: "export const load = () => import('../node/planted-target.ts');",
  },

  // Shape.
  'src/ring/planted-circle-a.ts': {
    text: "import { b } from './planted-circle-b.ts'; export const a = (): unknown => b;",
    rule: 'no-cycles',
  },
  // A circle is reported once, at its first file.
  'src/ring/planted-circle-b.ts': {
    text: "import { a } from './planted-circle-a.ts'; export const b = (): unknown => a;",
  },
  'src/node/planted-tests.ts': {
    text: "import { inTests } from '../../tests/planted-target.ts'; export const x = inTests;",
    rule: 'src-stays-in-src',
  },
};

test('layers: a planted violation of every kind is reported, and nothing else', async (t) => {
  t.timeout(60_000);
  const texts = Object.entries(PLANTED).map(([path, { text }]) => [path, text]);
  await using folder = await projectCopy(Object.fromEntries(texts));
  const cruiser = join(process.cwd(), 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [cruiser, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'src'],
    { cwd: folder.path, maxBuffer: 64 * 1024 * 1024 },
  );
  const { violations } = JSON.parse(stdout).summary as { violations: readonly Violation[] };
  const reported = new Map<string, string[]>();
  for (const { from, rule } of violations) {
    reported.set(from, [...(reported.get(from) ?? []), rule.name]);
  }
  for (const [path, { rule }] of Object.entries(PLANTED)) {
    const rules = reported.get(path) ?? [];
    if (rule === undefined) t.deepEqual(rules, [], `${path} is allowed`);
    else t.true(rules.includes(rule), `${path}: ${rule} expected, reported: ${rules.join(', ')}`);
  }
});
