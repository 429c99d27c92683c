/**
 * Commands as values: what a command is called, what it takes, and what it does. Help, usage
 * errors and shell completion are all derived from these values; `program.ts` turns them into a
 * parser. A `run` imports what it needs when it is called, so that `--help` stays fast.
 */
import type { CliContext } from './context.ts';
import type { CommandInput } from './input.ts';
import type { OptionSpec } from './options.ts';

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
