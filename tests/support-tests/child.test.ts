import { join } from 'node:path';
import test from 'ava';
import { Child, cleanEnvironment } from '../support/child.ts';
import { waitFor } from '../support/wait-for.ts';

const node = (script: string): Promise<Child> =>
  Child.start({ command: process.execPath, args: ['-e', script] });

const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

test('child: keeps the last lines of both streams and tells the exit', async (t) => {
  const child = await node(
    'for (let i = 0; i < 300; i++) console.log(i); console.error("bad"); process.exitCode = 7',
  );
  t.deepEqual(await child.exited, { code: 7, signal: null });
  await waitFor(() => /^bad$/m.test(child.logs()), { what: 'the last line' });
  t.is(child.logs().split('\n').length, 200);
  t.false(child.kill('SIGTERM'));
});

test('child: a program that does not exist is an error, not a child', async (t) => {
  await t.throwsAsync(Child.start({ command: '/no/such/program', args: [] }), { code: 'ENOENT' });
});

test('child: stop ends a process that ignores SIGTERM, and one that is stopped', async (t) => {
  const deaf = await node(
    'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)',
  );
  await waitFor(() => deaf.logs() === 'up', { what: 'the process to be up' });
  t.is((await deaf.stop(200)).signal, 'SIGKILL');
  const stopped = await node('setInterval(() => {}, 1000)');
  stopped.kill('SIGSTOP');
  t.is((await stopped.stop(10_000)).signal, 'SIGTERM');
});

for (const ending of ['throw', 'exit', 'SIGTERM', 'SIGINT'] as const) {
  test(`child: does not outlive a parent that ends by ${ending}`, async (t) => {
    const parent = await Child.start({
      command: process.execPath,
      args: [join(import.meta.dirname, 'leaving-parent.js'), ending],
    });
    const pid = await waitFor(() => Number(/^\d+$/m.exec(parent.logs())?.[0]), {
      what: 'the pid of the child',
    });
    if (ending === 'SIGTERM' || ending === 'SIGINT') parent.kill(ending);
    await parent.exited;
    await waitFor(() => isGone(pid), { what: 'the child to be gone' });
    t.true(isGone(pid));
  });
}

test('child: the clean environment drops settings of others and keeps the rest', (t) => {
  const set = { AWS_CA_BUNDLE: '/x', RINGLOAD_PEER: 'h:1', https_proxy: 'http://p', KEPT: '1' };
  Object.assign(process.env, set);
  t.teardown(() => {
    for (const name of Object.keys(set)) Reflect.deleteProperty(process.env, name);
  });
  const env = cleanEnvironment({ AWS_REGION: 'r' });
  t.like(env, { KEPT: '1', AWS_REGION: 'r', PATH: process.env['PATH'] });
  t.deepEqual(
    ['AWS_CA_BUNDLE', 'RINGLOAD_PEER', 'https_proxy'].filter((name) => name in env),
    [],
  );
});
