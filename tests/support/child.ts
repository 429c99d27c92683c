/**
 * Child processes of tests and benchmarks: started with piped output of which the last lines are
 * kept, ended by their own pid, and never left behind when the test process ends.
 *
 * Invariant: a pid is in the registry from its start until its exit was seen; whatever is in the
 * registry when this process exits is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const KEPT_LOG_LINES = 200;

const alive = new Set<ChildProcess>();
let guarded = false;

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Told of every line that is printed. */
  readonly onLine?: (line: string) => void;
}

export class Child {
  readonly command: string;
  /** Resolves when the process is gone; never rejects. */
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  #exit: ChildExit | undefined;

  private constructor(options: ChildOptions, process: ChildProcess) {
    this.command = [options.command, ...options.args].join(' ');
    this.#process = process;
    this.exited = new Promise((resolve) => {
      process.once('exit', (code, signal) => {
        alive.delete(process);
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
    for (const stream of [process.stdout, process.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        options.onLine?.(line);
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LOG_LINES) this.#lines.shift();
      });
    }
  }

  /** Resolves when the process runs. @throws when the program cannot be started. */
  static async start(options: ChildOptions): Promise<Child> {
    guardExit();
    const process = spawn(options.command, options.args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.env && { env: options.env }),
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    });
    alive.add(process);
    const child = new Child(options, process);
    try {
      await once(process, 'spawn');
    } catch (error) {
      alive.delete(process);
      throw error;
    }
    return child;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Undefined while the process runs. */
  get exit(): ChildExit | undefined {
    return this.#exit;
  }

  /** The last lines of stdout and stderr, oldest first. */
  logs(): string {
    return this.#lines.join('\n');
  }

  /** False when the process is gone. Signals this process alone, never by name or group. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#exit === undefined && this.#process.kill(signal);
  }

  /** Asks with SIGTERM, and after `graceMs` with SIGKILL; resolves when the process is gone. */
  async stop(graceMs = 5_000): Promise<ChildExit> {
    this.kill('SIGTERM');
    // A stopped process takes SIGTERM only after it goes on.
    this.kill('SIGCONT');
    const aborter = new AbortController();
    const grace = delay(graceMs, undefined, { signal: aborter.signal }).catch(() => undefined);
    await Promise.race([this.exited, grace]);
    aborter.abort();
    this.kill('SIGKILL');
    return this.exited;
  }
}

/** Where no `finally` runs any more (a crash, a time-out of the runner), the registry is emptied. */
function guardExit(): void {
  if (guarded) return;
  guarded = true;
  process.once('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      process.kill(process.pid, signal);
    });
  }
}

function killAll(): void {
  for (const child of alive) child.kill('SIGKILL');
}

const FOREIGN_SETTINGS = /^(?:AWS_|RINGLOAD_|(?:https?|no|all)_proxy$|NODE_V8_COVERAGE$)/i;

/**
 * This process's environment without what changes how clients and peers behave (AWS settings such
 * as AWS_CA_BUNDLE and AWS_PROFILE, proxies, Ringload's own), plus `settings`.
 */
export function cleanEnvironment(settings: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !FOREIGN_SETTINGS.test(name));
  // The SDK's credential chain must not look for files and hosts that a developer may have.
  const chain = {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
  return { ...Object.fromEntries(kept), ...chain, ...settings };
}
