/**
 * Commands as values: what a command is called, what it takes, and what it does. Help, usage
 * errors and shell completion are all derived from these values; `program.ts` turns them into a
 * parser. A `run` imports what it needs when it is called, so that `--help` stays fast.
 */
import { RingloadError } from '../base/errors.ts';
import type { CliContext } from './context.ts';

export interface OptionSpec {
  /** Commander's notation: `-l, --long`, `--bandwidth <size>`, `--no-segmented`. */
  readonly flags: string;
  readonly description: string;
  /** Accepted, but left out of help and completion: other spellings of an option. */
  readonly hidden?: boolean;
  /** May be given more than once: its value is a list. */
  readonly repeatable?: boolean;
  /** Offered by shell completion. */
  readonly choices?: readonly string[];
}

export interface ArgumentSpec {
  /** `<path>` is required, `[file]` may be left out. */
  readonly name: string;
  readonly description: string;
  /** What shell completion offers for it. */
  readonly completes?: 'job' | 'file' | readonly string[];
}

export interface Example {
  readonly line: string;
  readonly does: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly examples: readonly Example[];
  readonly arguments?: readonly ArgumentSpec[];
  /** A function when the options come from a module that is not worth loading for others. */
  readonly options?: readonly OptionSpec[] | (() => Promise<readonly OptionSpec[]>);
  readonly subcommands?: readonly CommandSpec[];
  /** True: talks to no peer, so the options that choose one are not shown. */
  readonly local?: boolean;
  /** True: its result is bytes, so there is no JSON form of it. */
  readonly bytesOnly?: boolean;
  /** Exit code of a usage error; 2 unless another program's grammar wants otherwise. */
  readonly usageExitCode?: number;
  readonly hidden?: boolean;
  /** Resolves to the exit code; throws what the command could not do. */
  readonly run?: (context: CliContext, input: CommandInput) => Promise<number>;
}

/** What was typed after a command's name, by the long name of each option in camel case. */
export class CommandInput {
  readonly args: readonly string[];
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(args: readonly string[], values: Readonly<Record<string, unknown>>) {
    this.args = args;
    this.#values = new Map(Object.entries(values));
  }

  /** True when the flag was given, or is on by default (`--no-…`). */
  flag(name: string): boolean {
    return this.#values.get(name) === true;
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** @throws invalid_argument naming the option, the value and the range. */
  integer(name: string, bounds: { min: number; max: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= bounds.min && value <= bounds.max) return value;
    throw usageError(
      `${flagName(name)} takes a whole number from ${bounds.min} to ${bounds.max}, not '${text}'`,
    );
  }

  /** The argument at `index`; the parser has made sure that required ones exist. */
  argument(index: number): string {
    const value = this.args[index];
    if (value === undefined) throw usageError(`argument ${index + 1} is missing`);
    return value;
  }

  /** Every option that was given, for commands whose options come from a table. */
  entries(): readonly (readonly [string, unknown])[] {
    return [...this.#values];
  }
}

export function usageError(message: string): RingloadError {
  return new RingloadError('invalid_argument', message);
}

/** `fileFilterRegx` → `--file-filter-regx` */
export function flagName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
