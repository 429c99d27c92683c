import test from 'ava';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { ROOT } from '../../src/cli/tree.ts';
import type { CommandSpec } from '../../src/cli/command.ts';
import { MAIN, runCli } from './support/run-cli.ts';
import { runInside } from './support/run-inside.ts';

/** Every file that Node loads for a command line, by its own account. */
function loadedFiles(words: readonly string[]): string {
  const env = { ...process.env, NODE_DEBUG: 'esm,module' };
  const result = spawnSync(process.execPath, [MAIN, ...words], { env, encoding: 'utf8' });
  return `${result.stderr}${result.stdout}`;
}

test.serial('start-up: --help loads neither undici nor koa nor zod', (t) => {
  const loaded = loadedFiles(['--help']);
  t.true(loaded.includes('commander'), 'the check sees what is loaded');
  for (const name of ['undici', 'koa', 'zod', 'yaml', 'pino', 'client.js']) {
    t.false(
      loaded.includes(`/node_modules/${name}/`) || loaded.includes(`/cli/client/${name}`),
      name,
    );
  }
});

test.serial('help: every command has a summary, examples and help with exit 0', async (t) => {
  const check = async (spec: CommandSpec, names: readonly string[]): Promise<void> => {
    t.true(spec.summary.length > 0 && spec.examples.length > 0, names.join(' '));
    const { stdout, stderr, exitCode } = await runInside([...names, '--help']);
    t.is(exitCode, 0, names.join(' '));
    t.is(stderr, '');
    t.true(stdout.startsWith(`${spec.summary}\n\nExamples:\n`), names.join(' '));
    t.notRegex(stdout, /undefined|NaN|\[object/);
    for (const child of spec.subcommands ?? []) await check(child, [...names, child.name]);
  };
  await check(ROOT, []);
});

test.serial('cli: nothing calls process.exit', (t) => {
  const folder = new URL('../../src/cli/', import.meta.resolve('./start-up.test.js'));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.js'));
  t.true(sources.length > 20);
  for (const file of sources) {
    t.notRegex(readFileSync(new URL(file, folder), 'utf8'), /process\.exit\(/, file);
  }
});

test.serial('--version: prints the version of the package, as version does', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  t.is((await runCli(['--version'])).stdout, `${version}\n`);
  t.is((await runCli(['version'])).stdout, `ringload ${version}\n`);
});

test.serial('serve: a wrong setting ends with exit 78 and one line that names it', async (t) => {
  const { stderr, exitCode } = await runCli(['serve', '--rest-port', 'many']);
  t.is(exitCode, 78, stderr);
  t.regex(stderr, /^ringload: .*'many'.*--rest-port.*\n$/);
});

test.serial('config: flags, environment and origins come through', async (t) => {
  const env = { RINGLOAD_CACHE_READ_AHEAD: '' };
  const checked = await runCli(['config', 'check', '--json'], { env });
  t.deepEqual(JSON.parse(checked.stdout), { valid: true, file: null, preset: 'lan' });
  const shown = await runCli(['config', 'show', '--origin', '--rest-port', '1234', '--json']);
  const { settings } = JSON.parse(shown.stdout) as {
    settings: { key: string; value: string; origin: string }[];
  };
  t.deepEqual(
    settings.find(({ key }) => key === 'peer.restPort'),
    {
      key: 'peer.restPort',
      value: '1234',
      origin: 'flag --rest-port',
    },
  );
  const broken = await runCli(['config', 'check', '--preset', 'moon']);
  t.is(broken.exitCode, 78);
});
