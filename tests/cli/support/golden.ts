/**
 * Golden scripts: blocks of `$ ringload …`, what it prints on stdout, what it prints on stderr
 * (lines after `[stderr]`), and `[exit N]`. `REWRITE=1` writes what the program says now; the
 * difference is for a reviewer to judge.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../../../../tests/cli/golden/', import.meta.url);

export interface GoldenRun {
  readonly command: string;
  readonly output: string;
}

export async function readGolden(name: string): Promise<GoldenRun[]> {
  const text = await readFile(fileOf(name), 'utf8');
  return text
    .split(/^(?=\$ ringload)/m)
    .filter((block) => block.startsWith('$ '))
    .map((block) => {
      const end = block.indexOf('\n');
      return { command: block.slice(2, end), output: block.slice(end + 1).replace(/\n\n$/, '\n') };
    });
}

export async function writeGolden(name: string, runs: readonly GoldenRun[]): Promise<void> {
  const text = runs.map(({ command, output }) => `$ ${command}\n${output}`).join('\n');
  await writeFile(fileOf(name), text);
}

export function outputText(result: {
  stdout: string;
  stderr: string;
  exitCode: number | null;
}): string {
  const stderr = result.stderr === '' ? '' : `[stderr]\n${withNewline(result.stderr)}`;
  return `${withNewline(result.stdout)}${stderr}[exit ${result.exitCode}]\n`;
}

export const isRewriting = process.env['REWRITE'] === '1';

/** Words as a shell splits them; quotes keep blanks together. */
export function wordsOf(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n[no newline]\n`;
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(`${name}.txt`, FOLDER));
}
