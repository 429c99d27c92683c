/** A folder of a test's own, gone with it: `await using folder = await tempFolder()`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempFolder extends AsyncDisposable {
  readonly path: string;
}

export async function tempFolder(name = 'test'): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), `ringload-${name}-`));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}
