/**
 * `npm run build` (src → dist) and `npm run build:test` (src, tests, bench → build).
 *
 * Compiled files whose source is gone are removed first: a deleted test must not go on running.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const target = process.argv[2] === 'test' ? 'test' : 'build';
const { outDir, sourceDir, project } = {
  build: { outDir: 'dist', sourceDir: 'src', project: 'tsconfig.build.json' },
  test: { outDir: 'build', sourceDir: '.', project: 'tsconfig.test.json' },
}[target];

prune(outDir, sourceDir);
const tsc = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', project], {
  stdio: 'inherit',
});
process.exitCode = tsc.status ?? 1;
// The program reads its version from beside its root, which is `build/` for the tests.
if (target === 'test') cpSync('package.json', join(outDir, 'package.json'));
// The dashboard's files are served from beside the compiled modules.
if (existsSync('web')) cpSync('web', join(outDir, 'web'), { recursive: true });
const main = join(outDir, target === 'test' ? 'src' : '.', 'cli/main.js');
if (existsSync(main)) chmodSync(main, 0o755);
// Younger than every source: what local-cluster.sh goes by.
if (tsc.status === 0) writeFileSync(join(outDir, '.built'), '');

function prune(directory, source) {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const output = join(entry.parentPath, entry.name);
    const stem = /^(.*)\.(?:js|js\.map|d\.ts)$/.exec(output.slice(directory.length + 1))?.[1];
    if (!entry.isFile() || stem === undefined || stem.startsWith('web/')) continue;
    if (!existsSync(join(source, `${stem}.ts`))) rmSync(output);
  }
}
