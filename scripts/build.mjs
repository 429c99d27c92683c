/**
 * `npm run build` (src → dist) and `npm run build:test` (src, tests, bench → build). What is younger
 * than all its sources is left as it is: nothing changes under what runs from there.
 *
 * The program is bundled, with what it depends on: a peer starts in half the processor time, since
 * reading hundreds of modules is most of it. Tests import single modules, so that their build is
 * compiled file by file, with the program beside it in `build/program`. With `types` the
 * declarations of the package are written, too.
 *
 * Compiled files whose source is gone are removed first: a deleted test must not go on running.
 */
import { build as bundle } from 'esbuild';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

const CONFIGURATION = ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts/build.mjs'];

/** Loaded as they are: they bring compiled code. */
const NATIVE_PACKAGES = ['classic-level', '@node-rs/crc32'];
/** What imports `require` of Node gets it: bundled packages that are CommonJS expect it. */
const BANNER =
  "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);";

const target = process.argv[2] === 'test' ? 'test' : 'build';
const withTypes = process.argv.includes('types');
const { outDir, sources, project, program } = {
  build: { outDir: 'dist', sources: ['src'], project: 'tsconfig.build.json', program: 'dist' },
  test: {
    outDir: 'build',
    sources: ['src', 'tests', 'bench'],
    project: 'tsconfig.test.json',
    program: 'build/program',
  },
}[target];
const stamp = join(outDir, '.built');

if (!isFresh() || withTypes) await build();

function isFresh() {
  if (!existsSync(stamp)) return false;
  const builtMs = statSync(stamp).mtimeMs;
  const folders = sources.filter((folder) => existsSync(folder));
  const inside = folders.flatMap((folder) => filesBelow(folder));
  return [...CONFIGURATION, project, ...folders, ...inside].every(
    (path) => statSync(path).mtimeMs < builtMs,
  );
}

async function build() {
  const began = new Date();
  rmSync(stamp, { force: true });
  rmSync(target === 'test' ? program : outDir, { recursive: true, force: true });
  if (target === 'test') prune(outDir);
  if (target === 'test' || withTypes) compile();
  await bundleProgram();
  if (process.exitCode) return;
  writeFileSync(stamp, '');
  // What was edited while it was compiled is younger than this.
  utimesSync(stamp, began, began);
}

function compile() {
  const tsc = spawnSync('node', ['node_modules/typescript/bin/tsc', '-p', project], {
    stdio: 'inherit',
  });
  process.exitCode = tsc.status ?? 1;
  // The program looks for its version above itself, which is in `build/` for the tests.
  if (target === 'test') cpSync('package.json', join(outDir, 'package.json'));
}

/** Threads are entries of their own, where the modules that start them look: beside themselves. */
async function bundleProgram() {
  await bundle({
    entryPoints: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts', ...workers() },
    outdir: program,
    chunkNames: 'cli/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    minifyWhitespace: true,
    minifySyntax: true,
    external: NATIVE_PACKAGES,
    banner: { js: BANNER },
    logLevel: 'warning',
  });
  chmodSync(join(program, 'cli/main.js'), 0o755);
}

/** By the places at which their starters look for them. */
function workers() {
  const entries = {};
  for (const path of filesBelow('src')) {
    const places = readFileSync(path, 'utf8').matchAll(/new URL\(`\.\/([^`]+)\.\$\{extension\}`/g);
    for (const [, place] of places) entries[`cli/${place}`] = join(dirname(path), `${place}.ts`);
  }
  return entries;
}

function prune(directory) {
  if (!existsSync(directory)) return;
  for (const output of filesBelow(directory)) {
    const stem = /^(.*)\.(?:js|js\.map)$/.exec(output.slice(directory.length + 1))?.[1];
    if (stem !== undefined && !existsSync(`${stem}.ts`)) rmSync(output);
  }
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
