/** Mounted volumes and failing system calls: what root and two Debian packages make possible. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../../support/child.ts';
import { waitFor } from '../../support/wait-for.ts';

const run = promisify(execFile);
/** In memory where that is to be had: a copy of a disk is made in no time. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

function has(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** What keeps volumes from being mounted here; undefined when nothing does. */
export function mountMissing(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  if (process.getuid?.() !== 0) return 'root';
  if (!has('mkfs.ext4', '-V')) return 'mkfs.ext4, see tests/extended/install-disk-tools.sh';
  return has('losetup', '--find') ? undefined : 'a free loop device';
}

/** What keeps system calls from being failed here; undefined when nothing does. */
export function straceMissing(): string | undefined {
  if (!has('strace', '-V')) return 'strace, see tests/extended/install-disk-tools.sh';
  const isAllowed = has('strace', '-e', 'trace=none', '-o', '/dev/null', 'true');
  return isAllowed ? undefined : 'the right to trace processes';
}

/** A file system of its own, below a folder that goes with it. */
export class Volume implements AsyncDisposable {
  readonly folder: string;
  readonly path: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.path = join(folder, 'mounted');
  }

  static async #create(): Promise<Volume> {
    const volume = new Volume(await mkdtemp(join(FOLDER, 'ringload-volume-')));
    await mkdir(volume.path);
    return volume;
  }

  /** In memory, with room for so much, and for so many files and folders (default: no bound). */
  static async inMemory(size: string, inodeMaxCount = 0): Promise<Volume> {
    const volume = await Volume.#create();
    const options = `size=${size},nr_inodes=${inodeMaxCount},mode=700`;
    await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', volume.path]);
    return volume;
  }

  /** An ext4 in a file, which can be copied as it lies on the disk. */
  static async inFile(sizeMib: number): Promise<Volume> {
    const volume = await Volume.#create();
    await run('truncate', ['-s', `${sizeMib}M`, volume.imagePath]);
    await run('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0', volume.imagePath]);
    await volume.mount();
    return volume;
  }

  /** On an image that exists already, and goes with it. */
  static async of(imagePath: string): Promise<Volume> {
    const volume = await Volume.#create();
    await rename(imagePath, volume.imagePath);
    await volume.mount();
    return volume;
  }

  get imagePath(): string {
    return join(this.folder, 'disk.img');
  }

  async mount(): Promise<void> {
    await run('mount', ['-o', 'loop,commit=60', this.imagePath, this.path]);
  }

  /** As after an error that ext4 cannot go on from: nothing is written any more. */
  async breakDown(): Promise<void> {
    await run('mount', ['-o', 'remount,abort', this.path]);
  }

  async unmount(): Promise<void> {
    await waitFor(
      () =>
        run('umount', [this.path]).then(
          () => true,
          () => undefined,
        ),
      { what: `${this.path} to be unmounted`, deadlineMs: 10_000 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface Injection extends AsyncDisposable {
  /** Calls that were failed or delayed so far. */
  count(): number;
}

/**
 * From now on these system calls of the process fail, or whatever `how` says, where they are about
 * one of the files: `error=EIO`, `delay_enter=200000`.
 */
export async function inject(options: {
  readonly pid: number;
  readonly calls: string;
  readonly how: string;
  readonly files: readonly string[];
}): Promise<Injection> {
  const child = await Child.start({
    command: 'strace',
    args: [
      ...['-f', '-q', '-p', String(options.pid)],
      ...options.files.flatMap((file) => ['-P', file]),
      ...['-e', `trace=${options.calls}`, '-e', `inject=${options.calls}:${options.how}`],
    ],
  });
  const count = (): number =>
    child
      .logs()
      .split('\n')
      .filter((line) => /INJECTED|DELAYED/.test(line)).length;
  // It says nothing when it has attached: the kernel does. By then the process may be over.
  await waitFor(
    async () => {
      if (count() > 0) return true;
      if (child.exit) throw new Error(`strace ended: ${child.logs()}`);
      const folder = `/proc/${options.pid}/task`;
      for (const task of await readdir(folder)) {
        const status = await readFile(join(folder, task, 'status'), 'utf8');
        if (/^TracerPid:\s+0$/m.test(status)) return undefined;
      }
      return true;
    },
    { what: 'strace to attach', deadlineMs: 10_000 },
  );
  return {
    count,
    [Symbol.asyncDispose]: async () => {
      await child.stop();
    },
  };
}

/** All files below a folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
}
