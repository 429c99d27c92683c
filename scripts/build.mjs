/**
 * `npm run build` (src → dist) and `npm run build:test` (src, tests, bench → build). What is younger
 * than all its sources is left as it is: nothing changes under what runs from there.
 *
 * Compiled files whose source is gone are removed first: a deleted test must not go on running.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const CONFIGURATION = ['package.json', 'package-lock.json', 'tsconfig.json'];

const target = process.argv[2] === 'test' ? 'test' : 'build';
const { outDir, sourceDir, sources, project } = {
  build: { outDir: 'dist', sourceDir: 'src', sources: ['src'], project: 'tsconfig.build.json' },
  test: {
    outDir: 'build',
    sourceDir: '.',
    sources: ['src', 'tests', 'bench'],
    project: 'tsconfig.test.json',
  },
}[target];
const stamp = join(outDir, '.built');

if (!isFresh()) build();

function isFresh() {
  if (!existsSync(stamp)) return false;
  const builtMs = statSync(stamp).mtimeMs;
  const folders = sources.filter((folder) => existsSync(folder));
  const inside = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true }).map((name) => join(folder, name)),
  );
  return [...CONFIGURATION, project, ...folders, ...inside].every(
    (path) => statSync(path).mtimeMs < builtMs,
  );
}

function build() {
  const began = new Date();
  rmSync(stamp, { force: true });
  prune(outDir, sourceDir);
  const tsc = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', project], {
    stdio: 'inherit',
  });
  process.exitCode = tsc.status ?? 1;
  // The program reads its version from beside its root, which is `build/` for the tests.
  if (target === 'test') cpSync('package.json', join(outDir, 'package.json'));
  const main = join(outDir, target === 'test' ? 'src' : '.', 'cli/main.js');
  if (existsSync(main)) chmodSync(main, 0o755);
  if (tsc.status !== 0) return;
  writeFileSync(stamp, '');
  // What was edited while it was compiled is younger than this.
  utimesSync(stamp, began, began);
}

function prune(directory, source) {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const output = join(entry.parentPath, entry.name);
    const stem = /^(.*)\.(?:js|js\.map|d\.ts)$/.exec(output.slice(directory.length + 1))?.[1];
    if (!entry.isFile() || stem === undefined) continue;
    if (!existsSync(join(source, `${stem}.ts`))) rmSync(output);
  }
}
