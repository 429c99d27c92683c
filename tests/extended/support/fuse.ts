/** Buckets mounted as folders by programs of others, through FUSE. */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Child } from '../../support/child.ts';
import { waitFor } from '../../support/wait-for.ts';

const run = promisify(execFile);

/** Where the shell would find a program. */
export function programPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What keeps a program from mounting here; undefined when nothing does. */
export function fuseMissing(program: string | undefined): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  if (program === undefined || !isExecutable(program) || programPath('fusermount3') === undefined)
    return 'fuse3 and what mounts: install-fuse.sh, install-s3-clients.sh';
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return undefined;
  } catch {
    return 'the right to open /dev/fuse';
  }
}

export class FuseMount implements AsyncDisposable {
  readonly path: string;
  readonly #child: Child;

  private constructor(path: string, child: Child) {
    this.path = path;
    this.#child = child;
  }

  /** @param program that stays in the foreground and ends when it is unmounted. */
  static async start(
    path: string,
    program: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
  ): Promise<FuseMount> {
    await mkdir(path);
    const mount = new FuseMount(path, await Child.start({ command: program, args, env }));
    try {
      await waitFor(() => mount.#isMounted(), {
        what: `${program} to mount`,
        deadlineMs: 30_000,
        context: () => mount.#child.logs(),
      });
      return mount;
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The last lines that the program printed. */
  logs(): string {
    return this.#child.logs();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: whoever removes the folder afterwards must not find the bucket in it.
    await run('umount', ['-l', this.path]).catch(() => undefined);
    await this.#child.stop();
  }

  async #isMounted(): Promise<boolean> {
    if (this.#child.exit) throw new Error(`ended: ${this.#child.logs()}`);
    const [inside, outside] = await Promise.all([stat(this.path), stat(dirname(this.path))]);
    return inside.dev !== outside.dev;
  }
}
