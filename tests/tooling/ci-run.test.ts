import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { platform } from 'node:process';
import type { ExecutionContext } from 'ava';
import { requires } from '../support/requires.ts';
import { tempFolder } from '../support/temp-folder.ts';

const onUnix = requires(platform === 'win32' ? 'a Unix system' : undefined);

interface Parts {
  /** Shell lines that stand for `npm cit`. */
  readonly cit: string;
  /** Likewise for the extended suites; absent: there are none. */
  readonly extended?: string;
  /** Likewise for the part that runs beside others. */
  readonly soak?: string;
  /** Likewise for an installer. */
  readonly installer?: string;
}

/** Runs `.ci/run` in a project of its own, with an `npm` that does what it is told. */
async function ciRun(t: ExecutionContext, { cit, extended, soak, installer }: Parts) {
  const folder = await tempFolder('ci');
  t.teardown(() => folder[Symbol.asyncDispose]());
  const script = async (path: string, lines: string): Promise<void> => {
    await writeFile(join(folder.path, path), `#!/usr/bin/env bash\n${lines}\n`);
    await chmod(join(folder.path, path), 0o755);
  };
  for (const name of ['.ci', 'bin', 'tests/extended']) {
    await mkdir(join(folder.path, name), { recursive: true });
  }
  await cp(join(process.cwd(), '.ci/run'), join(folder.path, '.ci/run'));
  const npm = `case "$*" in
cit) ${cit} ;;
*test:extended*) ${extended ?? 'exit 9'} ;;
*soak*) ${soak ?? 'echo "0 passed, 0 failed"'} ;;
*) echo '0 passed, 0 failed' ;;
esac`;
  await script('bin/npm', npm);
  if (extended !== undefined) await script('tests/extended/x.test.ts', '');
  if (installer !== undefined) await script('tests/extended/install-x.sh', installer);
  return new Promise<{ code: number; stdout: string; lastLine: string }>((resolve) => {
    const env = { ...process.env, PATH: `${folder.path}/bin:${process.env['PATH'] ?? ''}` };
    execFile('bash', [join(folder.path, '.ci/run')], { env }, (error, stdout) => {
      const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
      resolve({ code: error ? Number(error.code) : 0, stdout, lastLine });
    });
  });
}

onUnix('ci: adds up the closing lines of its parts', async (t) => {
  const run = await ciRun(t, {
    cit: 'echo "100 passed, 0 failed, 2 skipped"; echo noise',
    extended: 'echo "9 passed, 0 failed, 1 skipped"',
    installer: 'echo "SKIPPED x: no network"',
  });
  t.is(run.lastLine, '109 passed, 0 failed, 3 skipped');
  t.is(run.code, 0);
  t.regex(run.stdout, /SKIPPED x: no network/);
});

onUnix('ci: names no skipped tests where there are none', async (t) => {
  const run = await ciRun(t, { cit: 'echo "1 passed, 0 failed"' });
  t.is(run.lastLine, '1 passed, 0 failed');
  t.is(run.code, 0);
});

onUnix('ci: what runs beside other parts is waited for, told and counted', async (t) => {
  const run = await ciRun(t, {
    cit: 'echo "5 passed, 0 failed"',
    soak: 'sleep 0.5; echo "a wrong byte"; echo "7 passed, 1 failed"; exit 1',
  });
  t.is(run.lastLine, '12 passed, 1 failed');
  t.is(run.code, 1);
  t.regex(run.stdout, /=== soak of 10 minutes\na wrong byte\n/);
  t.regex(run.stdout, /Parts with failures:\n {2}soak of 10 minutes\n/);
});

onUnix('ci: goes on after a failing part and tells which it was', async (t) => {
  const run = await ciRun(t, {
    cit: 'echo "5 passed, 2 failed"; exit 1',
    extended: 'echo "9 passed, 0 failed"',
  });
  t.is(run.lastLine, '14 passed, 2 failed');
  t.is(run.code, 1);
  t.regex(run.stdout, /Parts with failures:\n {2}npm cit\n/);
});

onUnix(
  'ci: a part without a closing line, or that ends badly all the same, is a failure',
  async (t) => {
    const run = await ciRun(t, {
      cit: 'echo "crashed before any test"; exit 134',
      extended: 'echo "9 passed, 0 failed"; exit 3',
      installer: 'exit 1',
    });
    t.is(run.lastLine, '9 passed, 3 failed');
    t.is(run.code, 1);
  },
);
