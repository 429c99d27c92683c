/**
 * The two output streams. Results go to stdout, messages to stderr, and a reader that closes its
 * end early (`| head`) ends the output quietly: nothing is written after that, nothing is thrown.
 */
import { once } from 'node:events';

export interface OutputStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalOptions {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: NodeJS.ProcessEnv;
}

export class Terminal {
  quiet = false;
  colorAllowed: boolean;
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;
  readonly #dumb: boolean;
  readonly #closed = new AbortController();
  #stderrGone = false;

  constructor({ stdout, stderr, env }: TerminalOptions) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#dumb = env['TERM'] === 'dumb';
    this.colorAllowed = !env['NO_COLOR'] && !this.#dumb;
    stdout.on('error', () => {
      this.#closed.abort();
    });
    stderr.on('error', () => {
      this.#stderrGone = true;
    });
  }

  /** Aborted once nobody reads stdout any more. */
  get stdoutClosed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Whether stderr is a screen that can rewrite its last line. */
  get isInteractive(): boolean {
    return this.#stderr.isTTY === true && !this.#dumb && !this.quiet;
  }

  get stderrColumns(): number {
    return this.#stderr.columns ?? 80;
  }

  /** A result. Resolves when the stream can take more. */
  async write(data: string | Uint8Array): Promise<void> {
    if (this.#closed.signal.aborted || data.length === 0) return;
    if (this.#stdout.write(data)) return;
    try {
      await once(this.#stdout, 'drain', { signal: this.#closed.signal });
    } catch {
      // Why: the error listener has recorded that the reader is gone; that is no failure of ours.
    }
  }

  async writeLine(line: string): Promise<void> {
    await this.write(`${line}\n`);
  }

  /** One JSON document. */
  async writeJson(value: unknown): Promise<void> {
    await this.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** Something worth knowing that is not the result; dropped with `--quiet`. */
  message(text: string): void {
    if (!this.quiet) this.#toStderr(`${text}\n`);
  }

  /** Why the command failed; shown with `--quiet` too. */
  error(text: string): void {
    this.#toStderr(`${text}\n`);
  }

  /** Raw text for the line that is being rewritten. */
  draw(text: string): void {
    this.#toStderr(text);
  }

  #toStderr(text: string): void {
    if (!this.#stderrGone) this.#stderr.write(text);
  }
}
