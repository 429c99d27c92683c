/**
 * `npm run planted [-- --only TEXT] [--planted-only]`: plants each defect of the table into a copy
 * of the compiled tree and runs the tests that should find it. A defect that no test finds fails the
 * run, and so does a test that fails without one. With `--planted-only` the latter are not looked
 * for: for whoever has just run the suites.
 */
import { spawn } from 'node:child_process';
import { link, mkdir, readFile, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { PLANTED_DEFECTS, type PlantedDefect } from './planted-defects.ts';

const BUILD = 'build';
const COPIES = 'build-planted';
const AVA = join(process.cwd(), 'node_modules/ava/entrypoints/cli.mjs');
const PARALLEL_COUNT = 2;
const DEADLINE_MS = 240_000;

interface TestRun {
  readonly passedCount: number;
  /** Titles of failed tests. */
  readonly failed: readonly string[];
  readonly output: string;
}

const { values } = parseArgs({
  options: { only: { type: 'string' }, 'planted-only': { type: 'boolean', default: false } },
});
const defects = PLANTED_DEFECTS.filter(({ name }) => name.includes(values.only ?? ''));
await rm(COPIES, { recursive: true, force: true });
const baseline = values['planted-only'] ? undefined : await runBaseline(defects);
const failures = [...(baseline ?? []), ...(await runAll(defects))];
const runCount = defects.length + (baseline ? 1 : 0);
await rm(COPIES, { recursive: true, force: true });
for (const failure of failures) console.log(`✘ ${failure}`);
console.log(`\n${runCount - failures.length} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** Without a defect everything has to pass: else a red test proves nothing. */
async function runBaseline(all: readonly PlantedDefect[]): Promise<string[]> {
  const root = await copyBuild('baseline');
  const tests = [...new Set(all.flatMap((defect) => defect.tests))];
  const run = await runTests(root, tests);
  console.log(`without a defect: ${run.passedCount} tests passed, ${run.failed.length} failed`);
  if (run.passedCount > 0 && run.failed.length === 0) return [];
  console.log(run.output.split('\n').slice(-60).join('\n'));
  return [`without a defect: ${run.failed.join('; ') || 'no test passed'}`];
}

async function runAll(all: readonly PlantedDefect[]): Promise<string[]> {
  const failed: string[] = [];
  const entries = all.entries();
  const lane = async (): Promise<void> => {
    for (const [number, defect] of entries) {
      const startMs = performance.now();
      const run = await runDefect(number, defect);
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      const finder = run.failed[0];
      if (finder === undefined) failed.push(`not found: ${defect.name}`);
      const seed = /\bseed[ =:]+(\d+)/i.exec(run.output)?.[1];
      const how = finder === undefined ? 'NOT FOUND' : `${finder}${seed ? `, seed ${seed}` : ''}`;
      console.log(`${defect.breaks} | ${defect.name} | ${how} | ${seconds} s`);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_COUNT }, lane));
  return failed;
}

async function runDefect(number: number, defect: PlantedDefect): Promise<TestRun> {
  const root = await copyBuild(String(number));
  await plant(root, defect);
  const run = await runTests(root, defect.tests, defect.match);
  await rm(root, { recursive: true, force: true });
  return run;
}

/** Links, not copies: only the file with the defect is written anew. */
async function copyBuild(name: string): Promise<string> {
  const root = join(COPIES, name);
  for (const entry of await readdir(BUILD, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const source = join(entry.parentPath, entry.name);
    const target = join(root, source.slice(BUILD.length + 1));
    await mkdir(dirname(target), { recursive: true });
    await link(source, target);
  }
  const config = "export default { files: ['tests/**/*.test.js'], timeout: '120s' };\n";
  await writeFile(join(root, 'ava.config.js'), config);
  return root;
}

/** @throws when the place is not there exactly once: the table is out of date. */
async function plant(root: string, { name, file, find, replace }: PlantedDefect): Promise<void> {
  const source = await readFile(join('src', file), 'utf8');
  const parts = source.split(find);
  if (parts.length !== 2) {
    throw new Error(`${name}: its place is ${parts.length - 1} times in src/${file}, not once`);
  }
  const { outputText } = ts.transpileModule(parts.join(replace), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  const target = join(root, 'src', file.replace(/\.ts$/, '.js'));
  await unlink(target);
  await writeFile(target, outputText);
}

async function runTests(root: string, tests: readonly string[], match = '*'): Promise<TestRun> {
  const files = tests.map((file) => `tests/${file}`);
  const child = spawn(process.execPath, [AVA, '--tap', '--fail-fast', '--match', match, ...files], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '0' },
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  const failed = [...output.matchAll(/^not ok \d+ - (.*)$/gm)].map(([, title]) => title ?? '');
  const passedCount = [...output.matchAll(/^ok \d+ - /gm)].length;
  return { passedCount, failed, output };
}
