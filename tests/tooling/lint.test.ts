import { execFile } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { projectCopy } from './project-copy.ts';

interface FileResult {
  readonly filePath: string;
  readonly messages: readonly { readonly ruleId: string | null; readonly line: number }[];
}

/** Each line of a core file, and the rule that has to object to it. */
const IN_THE_CORE: readonly (readonly [line: string, rule: string | undefined])[] = [
  ["import { createHash, randomUUID } from 'node:crypto';", 'no-restricted-imports'],
  ['export const hash = createHash;', undefined],
  ['export const id = randomUUID;', undefined],
  ['export const now = Date.now();', 'no-restricted-globals'],
  ['export const day = new Date(0);', 'no-restricted-globals'],
  ['export const timer = (): unknown => setTimeout(() => 1, 1);', 'no-restricted-globals'],
  [
    'export const hidden = (): unknown => globalThis.setTimeout(() => 1, 1);',
    'no-restricted-globals',
  ],
  ['export const env = (): unknown => process.env;', 'no-restricted-globals'],
  ['export const get = (): unknown => fetch;', 'no-restricted-globals'],
  ['export const monotonic = (): number => performance.now();', 'no-restricted-globals'],
  ['export const uuid = (): string => crypto.randomUUID();', 'no-restricted-globals'],
  ['export const dice = (): number => Math.random();', 'no-restricted-properties'],
  ['export const floor = Math.floor(1.5);', undefined],
];

const ANYWHERE: readonly (readonly [line: string, rule: string | undefined])[] = [
  ['const work = async (): Promise<number> => 1;', undefined],
  ['work();', '@typescript-eslint/no-floating-promises'],
  ['[1].forEach(async () => { await work(); });', '@typescript-eslint/no-misused-promises'],
  ['export const loose: any = 1;', '@typescript-eslint/no-explicit-any'],
  ['export const now = Date.now();', undefined],
  ["console.log('x');", 'no-console'],
];

test('lint: the core may not reach clock, randomness, process or network, and io files may', async (t) => {
  t.timeout(60_000);
  const core = IN_THE_CORE.map(([line]) => line).join('\n');
  const files = {
    'src/cache/planted.ts': core,
    'src/cache/io/planted.ts': core,
    'src/node/planted.ts': ANYWHERE.map(([line]) => line).join('\n'),
  };
  await using folder = await projectCopy(files);
  const eslint = join(process.cwd(), 'node_modules/eslint/bin/eslint.js');
  const stdout = await new Promise<string>((resolve) => {
    execFile(
      process.execPath,
      [eslint, '--format', 'json', '--no-cache', ...Object.keys(files)],
      { cwd: folder.path, maxBuffer: 64 * 1024 * 1024 },
      // Errors found mean exit code 1.
      (_error, output) => resolve(output),
    );
  });
  const results = JSON.parse(stdout) as readonly FileResult[];
  const rulesOf = (path: string, line: number): (string | null)[] =>
    (results.find(({ filePath }) => filePath.endsWith(path))?.messages ?? [])
      .filter((message) => message.line === line)
      .map(({ ruleId }) => ruleId);

  const expectations = [
    { path: '/src/cache/planted.ts', lines: IN_THE_CORE },
    { path: '/src/cache/io/planted.ts', lines: IN_THE_CORE.map(([line]) => [line, undefined]) },
    { path: '/src/node/planted.ts', lines: ANYWHERE },
  ] as const;
  for (const { path, lines } of expectations) {
    for (const [index, [line, rule]] of lines.entries()) {
      t.deepEqual(rulesOf(path, index + 1), rule === undefined ? [] : [rule], `${path}: ${line}`);
    }
  }
});
