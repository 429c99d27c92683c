import test from 'ava';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { tempFolder } from '../support/temp-folder.ts';
import { MAIN, runCli } from './support/run-cli.ts';
import { sampleWorld } from './support/sample-world.ts';
import { TestPeer } from './support/test-peer.ts';

/** What bash offers for the last word of a line. */
async function completionsOf(words: readonly string[], peer?: string): Promise<string[]> {
  const { stdout: script } = await runCli(['completion', 'bash']);
  await using folder = await tempFolder('completion');
  const wrapper = join(folder.path, 'ringload');
  await writeFile(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
    mode: 0o755,
  });
  const list = ['ringload', ...words].map((word) => `'${word}'`).join(' ');
  const program = `${script}
COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _ringload; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = await runShell(program, folder.path, peer);
  if (status !== 0 || stderr !== '') throw new Error(`bash ended with ${status}: ${stderr}`);
  return stdout.split('\n').filter((line) => line !== '');
}

/** Not spawnSync: the test peer has to answer meanwhile. */
async function runShell(program: string, folder: string, peer: string | undefined) {
  const child = spawn('bash', ['--norc', '-c', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}`, RINGLOAD_PEER: peer ?? '' },
  });
  const closed = once(child, 'close') as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [status] = await closed;
  return { status, stdout, stderr };
}

test.serial('completion: bash offers commands, subcommands, options and choices', async (t) => {
  t.deepEqual(await completionsOf(['comp']), ['completion']);
  t.true((await completionsOf([''])).includes('cluster'));
  t.deepEqual(await completionsOf(['job', 'st']), ['status', 'stop']);
  t.deepEqual(await completionsOf(['job', 'load', '--file']), ['--file-filter-regx']);
  t.deepEqual(await completionsOf(['job', 'load', '--format', '']), ['TEXT', 'JSON']);
  t.deepEqual(await completionsOf(['completion', 'z']), ['zsh']);
  t.true((await completionsOf(['serve', '--data-d'])).includes('--data-dir'));
});

test.serial(
  'completion: bash offers the ids of jobs, and nothing when no peer answers',
  async (t) => {
    await using peer = await TestPeer.start(sampleWorld());
    const ids = await completionsOf(['job', 'stop', '0000'], peer.address);
    t.is(ids.length, 3);
    t.true(ids.includes('00000000-0000-4000-8000-000000000002'));
    t.deepEqual(await completionsOf(['job', 'stop', '0000'], '127.0.0.1:1'), []);
  },
);

for (const shell of ['bash', 'zsh', 'fish'] as const) {
  test.serial(`completion: the ${shell} script is complete and well-formed`, async (t) => {
    const { stdout, stderr, exitCode } = await runCli(['completion', shell]);
    t.is(exitCode, 0, stderr);
    for (const word of ['load', 'transfer', 'file-filter-regx', 'data-dir']) {
      t.true(stdout.includes(word), word);
    }
    t.false(stdout.includes('file-filter-regex'), 'hidden options stay hidden');
    const parsed = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
    if (parsed.error) t.log(`${shell} is not installed: its syntax was not checked`);
    else t.is(parsed.status, 0, parsed.stderr);
  });
}
