/**
 * A file of the cluster as a local file. It appears under its name only when it is complete and
 * on disk: written beside its destination, counted, synced, then renamed.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { RingloadClient } from './client/client.ts';
import { openContent } from './client/content.ts';
import { usageError } from './input.ts';
import { systemWords } from './context.ts';

/** Leaves room for the suffix of the temporary name within what file systems take. */
const TMP_NAME_MAX_BYTES = 200;

export interface DownloadRequest {
  readonly path: string;
  readonly file: string;
  /** Hears of every piece: bytes so far and in all. */
  readonly onBytes?: (bytes: number, totalBytes: number) => void;
}

/** Resolves with the number of bytes written. */
export async function downloadFile(
  client: RingloadClient,
  { path, file, onBytes }: DownloadRequest,
): Promise<number> {
  const content = await openContent(client, path);
  const tmp = temporaryName(file);
  let handle: FileHandle | undefined;
  try {
    handle = await open(tmp, 'wx');
    let bytes = 0;
    for await (const chunk of content.body) {
      await handle.writeFile(chunk);
      bytes += chunk.length;
      onBytes?.(bytes, content.lengthBytes);
    }
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(tmp, file);
    return bytes;
  } catch (error) {
    await handle?.close().catch(() => undefined);
    await rm(tmp, { force: true }).catch(() => undefined);
    throw localError(file, error);
  }
}

/** Makes the directory that `file` lies in. */
export async function makeParent(file: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
  } catch (error) {
    throw localError(file, error);
  }
}

/**
 * Where a file below `root` goes below `directory`. Keys are arbitrary text: one that would leave
 * the directory, or that no directory entry can carry, is refused.
 * @throws invalid_argument
 */
export function localPathOf(directory: string, root: string, path: string): string {
  const relative = path === root ? lastComponent(path) : path.slice(root.length + 1);
  const parts = relative.split('/');
  const isUnsafe = parts.some(
    (part) => part === '' || part === '.' || part === '..' || part.includes('\0'),
  );
  if (isUnsafe || (path !== root && !path.startsWith(`${root}/`))) {
    throw usageError(`'${path}' has no safe place below a directory: get it by itself`);
  }
  return join(directory, ...parts);
}

/** The last component of a path; empty when it ends in a slash. */
export function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function temporaryName(file: string): string {
  const name = Buffer.from(basename(file))
    .subarray(0, TMP_NAME_MAX_BYTES)
    .toString('hex')
    .slice(0, 64);
  return join(dirname(file), `.ringload-${name}-${randomBytes(6).toString('hex')}.tmp`);
}

function localError(file: string, thrown: unknown): RingloadError {
  if (thrown instanceof RingloadError) return thrown;
  const isSystem = thrown instanceof Error && 'syscall' in thrown;
  if (!isSystem) return toRingloadError(thrown);
  return new RingloadError('conflict', `write ${file}: ${systemWords(thrown)}`, { cause: thrown });
}
