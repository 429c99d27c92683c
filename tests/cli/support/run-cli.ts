/** The compiled program as a child process. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment } from '../../support/child.ts';

export const MAIN = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const DEADLINE_MS = 40_000;

export interface CliResult {
  readonly stdout: string;
  readonly bytes: Buffer;
  readonly stderr: string;
  readonly exitCode: number | null;
}

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export class RunningCli {
  readonly process: ChildProcessByStdio<null, Readable, Readable>;
  readonly result: Promise<CliResult>;
  #stderr = '';

  constructor(args: readonly string[], options: CliOptions = {}) {
    this.process = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.process.stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.result = this.#finish();
  }

  /** What it has said on stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  async #finish(): Promise<CliResult> {
    const killer = setTimeout(() => this.process.kill('SIGKILL'), DEADLINE_MS);
    const closed = once(this.process, 'close') as Promise<[number | null]>;
    const bytes = await buffer(this.process.stdout);
    const [exitCode] = await closed;
    clearTimeout(killer);
    return { stdout: bytes.toString(), bytes, stderr: this.#stderr, exitCode };
  }
}

/** Runs to the end. */
export async function runCli(args: readonly string[], options?: CliOptions): Promise<CliResult> {
  return new RunningCli(args, options).result;
}
