/**
 * `npm run bench -- NAME [options]`: runs `bench/NAME.ts`. Each benchmark answers one question,
 * prints a table and ends with one line, `NAME ratio=… cpu_ratio=… limit=…`.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Benchmark {
  /** The question, in a line. */
  readonly question: string;
  run(args: readonly string[]): Promise<void>;
}

const folder = import.meta.dirname;
const files = await readdir(folder);
const names = files
  .filter((name) => name.endsWith('.js') && name !== 'run.js')
  .map((name) => name.slice(0, -'.js'.length));

const load = async (name: string): Promise<Benchmark> =>
  (await import(pathToFileURL(join(folder, `${name}.js`)).href)) as Benchmark;

const [name, ...args] = process.argv.slice(2);
if (name !== undefined && names.includes(name)) {
  await (await load(name)).run(args);
} else {
  console.error('usage: npm run bench -- NAME [--pairs N] …\n');
  for (const known of names) console.error(`  ${known.padEnd(16)} ${(await load(known)).question}`);
  process.exitCode = 2;
}
