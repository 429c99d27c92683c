/** A control group that bounds the memory of processes, their page cache included. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../../support/wait-for.ts';

const ROOT = '/sys/fs/cgroup/memory';

/** What keeps memory from being bounded here; undefined when nothing does. */
export function memoryGroupMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'root';
  const isThere = existsSync(join(ROOT, 'memory.limit_in_bytes'));
  return isThere ? undefined : 'the memory controller of control groups, version 1';
}

export class MemoryGroup implements AsyncDisposable {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Of nobody yet. */
  static async create(maxBytes: number): Promise<MemoryGroup> {
    const group = new MemoryGroup(join(ROOT, `ringload-test-${randomUUID()}`));
    await mkdir(group.#path);
    await writeFile(join(group.#path, 'memory.limit_in_bytes'), String(maxBytes));
    return group;
  }

  /** The process is bounded from now on; what it has already is not counted. */
  async add(pid: number): Promise<void> {
    await writeFile(join(this.#path, 'cgroup.procs'), String(pid));
  }

  /** Figures of the kernel: `max_usage_in_bytes`, or `failcnt`, how often the limit was met. */
  async figure(name: 'max_usage_in_bytes' | 'failcnt'): Promise<number> {
    return Number(await readFile(join(this.#path, `memory.${name}`), 'utf8'));
  }

  /** How many processes the kernel killed for want of memory. */
  async killedCount(): Promise<number> {
    const text = await readFile(join(this.#path, 'memory.oom_control'), 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  }

  /** Once its processes have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await waitFor(
      () =>
        rmdir(this.#path).then(
          () => true,
          () => undefined,
        ),
      { what: `${this.#path} to be empty`, deadlineMs: 10_000 },
    );
  }
}
