import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { tempFolder } from '../support/temp-folder.ts';

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly lastLine: string;
}

/** Runs the runner in a project of its own with those test files. */
async function runFiles(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  { env = {}, timeout = '30s' }: { env?: NodeJS.ProcessEnv; timeout?: string } = {},
): Promise<Run> {
  const folder = await tempFolder('runner');
  t.teardown(() => folder[Symbol.asyncDispose]());
  const root = process.cwd();
  await mkdir(join(folder.path, 't/deep'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'));
  await writeFile(join(folder.path, 'package.json'), '{"type":"module"}');
  await writeFile(
    join(folder.path, 'ava.config.js'),
    `export default { files: ['t/**/*.test.js'], timeout: '${timeout}', concurrency: 1 };`,
  );
  for (const [name, body] of Object.entries(files)) {
    await writeFile(join(folder.path, 't', name), `import test from 'ava';\n${body}`);
  }
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(root, 'scripts/run-tests.mjs'), 'ava.config.js'],
      { cwd: folder.path, env: { ...process.env, ...env } },
      (error, stdout) => {
        const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
        resolve({ code: error ? Number(error.code) : 0, stdout, lastLine });
      },
    );
  });
}

const PASSING = "test('good', (t) => t.pass());";

test('runner: counts what passed and ends with the plain closing line', async (t) => {
  const run = await runFiles(t, {
    'a.test.js': PASSING,
    'deep/b.test.js': `${PASSING}\ntest('title # with hash', (t) => t.pass());`,
  });
  t.is(run.lastLine, '3 passed, 0 failed');
  t.is(run.code, 0);
  t.regex(run.stdout, /✔ deep\/b: 2 passed/);
});

test('runner: shows a failure in full and exits with 1', async (t) => {
  const run = await runFiles(t, {
    'a.test.js': `${PASSING}\ntest('bad', (t) => { t.log('seed 42'); t.is(1, 2, 'because'); });`,
    'b.test.js': PASSING,
  });
  t.is(run.lastLine, '2 passed, 1 failed');
  t.is(run.code, 1);
  t.regex(run.stdout, /✘ a › bad\n[^]*seed 42[^]*because[^]*a\.test\.js:\d+/);
  t.regex(run.stdout, /Failed:\n {2}✘ a › bad\n/);
});

test('runner: names what was skipped, and why', async (t) => {
  const run = await runFiles(t, {
    'a.test.js': `${PASSING}\ntest.skip('cut off [needs root]', (t) => t.fail());`,
  });
  t.is(run.lastLine, '1 passed, 0 failed, 1 skipped');
  t.is(run.code, 0);
  t.regex(run.stdout, /Skipped:\n {2}- .*cut off \[needs root\]/);
});

for (const [what, body, expected] of [
  [
    'an uncaught exception',
    "test('x', async () => { setTimeout(() => { throw new Error('late'); }); await new Promise((r) => setTimeout(r, 500)); });",
    /late/,
  ],
  ['a file that calls process.exit', "test('x', () => { process.exit(0); });", /process\.exit/],
  [
    'a test that never ends',
    "test('x', async () => { setInterval(() => {}, 1000); await new Promise(() => {}); });",
    /no new tests completed/,
  ],
  ['a file without tests', 'export {};', /No tests found/],
  [
    'a rejection that nobody handles',
    "test('x', (t) => { Promise.reject(new Error('lost')); t.pass(); });",
    /lost/,
  ],
] as const) {
  test(`runner: ${what} fails the run`, async (t) => {
    // Long enough for a busy machine to have come to the test by then.
    const timeout = what === 'a test that never ends' ? '15s' : '30s';
    const files = { 'a.test.js': PASSING, 'b.test.js': body };
    const run = await runFiles(t, files, { timeout });
    t.regex(run.lastLine, /^\d+ passed, [1-9]\d* failed$/);
    t.is(run.code, 1);
    t.regex(run.stdout, expected);
  });
}

test('runner: no test at all fails the run', async (t) => {
  const run = await runFiles(t, {});
  t.is(run.lastLine, '0 passed, 1 failed');
  t.is(run.code, 1);
});

test('runner: a suite over its deadline is ended and fails the run', async (t) => {
  const run = await runFiles(
    t,
    {
      'a.test.js':
        "test('x', async (t) => { t.timeout(60_000); await new Promise((r) => setTimeout(r, 60_000)); t.pass(); });",
    },
    { env: { TEST_SUITE_DEADLINE_MS: '2500' } },
  );
  t.is(run.lastLine, '0 passed, 1 failed');
  t.regex(run.stdout, /no end within 2500 ms/);
});
