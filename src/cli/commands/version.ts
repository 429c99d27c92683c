/** `version`: what is installed here. */
import { readFile } from 'node:fs/promises';
import type { CliContext } from '../context.ts';

const UNKNOWN_VERSION = 'unknown';
/** From `dist/cli/commands` and from a test build, one folder deeper, up to the package. */
const MANIFESTS = ['../../../package.json', '../../../../package.json'] as const;

/** The version in our own package.json; `unknown` when that was not shipped along. */
export async function packageVersion(): Promise<string> {
  for (const manifest of MANIFESTS) {
    try {
      const text = await readFile(new URL(manifest, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as { name?: unknown; version?: unknown };
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
