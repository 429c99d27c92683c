/** Loads a configuration from text, in a folder of its own, untouched by the host's files. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { type ConfigSources, type LoadedConfig, loadConfig } from '../../src/config/load.ts';

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ringload-config-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Given extends ConfigSources {
  /** Content of the file `ringload.yaml`. */
  readonly yaml?: string | Uint8Array;
}

export async function load(t: ExecutionContext, given: Given = {}): Promise<LoadedConfig> {
  const { yaml, ...sources } = given;
  if (yaml === undefined) return loadConfig({ searchPaths: [], ...sources });
  const configPath = join(await temporaryFolder(t), 'ringload.yaml');
  await writeFile(configPath, yaml);
  return loadConfig({ configPath, ...sources });
}

/** Asserts that the configuration is refused, with exit code 78, and returns the message. */
export async function refused(t: ExecutionContext, given: Given): Promise<string> {
  const error = await t.throwsAsync(load(t, given), { instanceOf: RingloadError });
  t.is(error.code, 'config_invalid');
  t.is(error.exitCode, 78);
  return error.message;
}
