/** `version`: what is installed here. */
import { readFile } from 'node:fs/promises';
import type { CliContext } from '../context.ts';

const UNKNOWN_VERSION = 'unknown';
/** Folders above this file that may be the package's: the program is bundled, test builds are not. */
const ABOVE_MAX_COUNT = 4;

/** The version in our own package.json; `unknown` when that was not shipped along. */
export async function packageVersion(): Promise<string> {
  for (let above = 1; above <= ABOVE_MAX_COUNT; above++) {
    try {
      const manifest = new URL(`${'../'.repeat(above)}package.json`, import.meta.url);
      const { name, version } = JSON.parse(await readFile(manifest, 'utf8')) as {
        name?: unknown;
        version?: unknown;
      };
      if (name === 'ringload' && typeof version === 'string') return version;
    } catch {
      // Why: not here; the next place may have it.
    }
  }
  return UNKNOWN_VERSION;
}

export async function runVersion(context: CliContext): Promise<number> {
  const version = await packageVersion();
  if (context.json) {
    const { platform, arch } = process;
    await context.terminal.writeJson({ version, node: process.version, platform, arch });
  } else {
    await context.terminal.writeLine(`ringload ${version}`);
  }
  return 0;
}
