/** The only file of the configuration that touches the disk: reads the file and the secrets. */
import { open, readFile } from 'node:fs/promises';
import { configInvalid } from './layer.ts';

/** Where a file is looked for when none is named, strongest first. */
export function standardPaths(configHome: string | undefined, home: string | undefined): string[] {
  const userDir = configHome ?? (home === undefined ? undefined : `${home}/.config`);
  const system = '/etc/ringload/ringload.yaml';
  return userDir === undefined ? [system] : [`${userDir}/ringload/ringload.yaml`, system];
}

/** @throws config_invalid when it cannot be read or is not UTF-8. */
export async function readConfigFile(path: string): Promise<string> {
  const text = await readIfExists(path);
  if (text === undefined)
    throw configInvalid(`read ${path}: there is no such file`, { file: path });
  return text;
}

/** The first of `paths` that exists. @throws config_invalid when that one cannot be read. */
export async function findConfigFile(
  paths: readonly string[],
): Promise<{ path: string; text: string } | undefined> {
  for (const path of paths) {
    const text = await readIfExists(path);
    if (text !== undefined) return { path, text };
  }
  return undefined;
}

async function readIfExists(path: string): Promise<string | undefined> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw configInvalid(`read ${path}: ${codeOf(error)}`, { file: path }, error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch (error) {
    throw configInvalid(`read ${path}: it is not UTF-8 text`, { file: path }, error);
  }
}

/**
 * A secret's file, without surrounding blanks. As other servers do, refuses one that others may
 * read: mode 0600, or 0640 when root owns it, as container platforms mount it.
 * @throws config_invalid
 */
export async function readSecretFile(path: string, key: string): Promise<string> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw configInvalid(`${key}: open ${path}: ${codeOf(error)}`, { key, file: path }, error);
  }
  try {
    const { mode, uid } = await file.stat();
    const forbidden = uid === 0 ? 0o027 : 0o077;
    if ((mode & forbidden) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      throw configInvalid(`${key}: ${path} has mode ${shown}, others may use it: set 0600`, {
        key,
      });
    }
    return (await file.readFile('utf8')).trim();
  } catch (error) {
    if (codeOf(error) === '') throw error;
    throw configInvalid(`${key}: read ${path}: ${codeOf(error)}`, { key, file: path }, error);
  } finally {
    await file.close();
  }
}

/** The system's name of the fault, empty when it is none of the system. */
function codeOf(error: unknown): string {
  const code: unknown =
    error instanceof Error && 'errno' in error && 'code' in error ? error.code : '';
  return typeof code === 'string' ? code : '';
}
