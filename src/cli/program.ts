/**
 * From words to a run: builds the parser from the command tree, runs the command that was named,
 * and turns whatever happens into an exit code and at most one line on stderr.
 */
import { Command, CommanderError } from 'commander';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { CommandInput } from './input.ts';
import type { CommandSpec } from './command.ts';
import { CliContext } from './context.ts';
import { OUTPUT_OPTIONS, PEER_OPTIONS } from './options.ts';
import { printable } from './format.ts';
import { commonOptions, helpText } from './help.ts';
import { type OutputStream, Terminal } from './terminal.ts';
import { ROOT } from './tree.ts';
import { addOptions, givenValues, oneLine, optionsOf, plainFlags } from './parsing.ts';

const USAGE_EXIT_CODE = 2;

export interface CliProcess {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: NodeJS.ProcessEnv;
}

/** @param words the command line after the program's name. Resolves with the exit code. */
export async function runCli(words: readonly string[], io: CliProcess): Promise<number> {
  const run = new Run(io);
  try {
    const argv = plainFlags(ROOT, words);
    const root = await run.build([ROOT.name], ROOT, argv);
    addOptions(root, [...PEER_OPTIONS, ...OUTPUT_OPTIONS]);
    root.enablePositionalOptions();
    if (argv.some((word) => word === '-V' || word === '--version')) {
      const { packageVersion } = await import('./commands/version.ts');
      root.version(await packageVersion(), '-V, --version');
    }
    await root.parseAsync([...argv], { from: 'user' });
    return run.exitCode;
  } catch (thrown) {
    return await run.fail(thrown, words);
  } finally {
    run.release();
  }
}

class Run {
  exitCode = 0;
  readonly #terminal: Terminal;
  readonly #env: NodeJS.ProcessEnv;
  readonly #columns: number;
  #context: CliContext | undefined;
  #usageExitCode = USAGE_EXIT_CODE;
  /** What the parser wanted to print: a help text or the version. */
  #parserText = '';

  constructor(io: CliProcess) {
    this.#terminal = new Terminal(io);
    this.#env = io.env;
    this.#columns = io.stdout.columns ?? 80;
  }

  /** The parser of a command and of those below it. */
  async build(
    names: readonly string[],
    spec: CommandSpec,
    words: readonly string[],
  ): Promise<Command> {
    const command = new Command(spec.name);
    const options = await optionsOf(spec, names, words);
    const keep = (text: string): void => {
      this.#parserText = text;
    };
    command
      .exitOverride((error) => {
        this.#usageExitCode = spec.usageExitCode ?? USAGE_EXIT_CODE;
        throw error;
      })
      // Why kept: `fail` decides on which stream a text belongs, and prints errors in one line.
      .configureOutput({ writeOut: keep, writeErr: keep, outputError: () => undefined })
      .configureHelp({
        formatHelp: () => helpText({ names, command: spec, options, columns: this.#columns }),
      })
      .helpCommand(false)
      // Why: commander's own message does not name what was too much.
      .allowExcessArguments(true);
    for (const argument of spec.arguments ?? []) command.argument(argument.name);
    addOptions(command, options);
    for (const child of spec.subcommands ?? []) {
      const built = await this.build([...names, child.name], child, words);
      command.addCommand(built, { hidden: child.hidden === true });
    }
    if (spec.run) {
      addOptions(command, commonOptions(spec));
      command.action(async () => this.#run(command, spec));
    }
    return command;
  }

  /** Says why it failed and resolves with the exit code. */
  async fail(thrown: unknown, words: readonly string[]): Promise<number> {
    if (thrown instanceof CommanderError && PARSER_TEXT_CODES.has(thrown.code)) {
      return this.#showParserText(thrown);
    }
    const error =
      thrown instanceof CommanderError
        ? new RingloadError('invalid_argument', oneLine(thrown.message))
        : toRingloadError(thrown);
    const exitCode = this.#exitCodeOf(error);
    const wantsJson = this.#context?.json ?? words.includes('--json');
    this.#terminal.error(wantsJson ? jsonError(error, exitCode) : textError(error));
    return exitCode;
  }

  release(): void {
    this.#context?.release();
  }

  async #run(command: Command, spec: CommandSpec): Promise<void> {
    this.#usageExitCode = spec.usageExitCode ?? USAGE_EXIT_CODE;
    const argumentSpecs = spec.arguments ?? [];
    const isOpen = argumentSpecs.at(-1)?.name.includes('...') === true;
    const excess = isOpen ? undefined : command.args[argumentSpecs.length];
    if (excess !== undefined) {
      const names = argumentSpecs.map((argument) => argument.name).join(' ');
      throw new RingloadError(
        'invalid_argument',
        `unexpected argument '${excess}': ${spec.name} takes ${names || 'no arguments'}`,
      );
    }
    const input = new CommandInput(command.args, givenValues(command));
    this.#context = new CliContext(this.#terminal, this.#env, input);
    this.exitCode = (await spec.run?.(this.#context, input)) ?? 0;
  }

  /** A text that was asked for is a result; help for want of a command is a complaint. */
  async #showParserText(error: CommanderError): Promise<number> {
    if (error.code !== 'commander.help') {
      await this.#terminal.write(this.#parserText);
      return 0;
    }
    this.#terminal.error(this.#parserText.trimEnd());
    return USAGE_EXIT_CODE;
  }

  #exitCodeOf(error: RingloadError): number {
    const interrupt = this.#context?.interruptExitCode;
    if (error.code === 'cancelled' && interrupt !== undefined) return interrupt;
    const isOurs = error.details['httpStatus'] === undefined;
    return error.code === 'invalid_argument' && isOurs ? this.#usageExitCode : error.exitCode;
  }
}

const PARSER_TEXT_CODES: ReadonlySet<string> = new Set([
  'commander.help',
  'commander.helpDisplayed',
  'commander.version',
]);

function jsonError(error: RingloadError, exitCode: number): string {
  const { code, message, details } = error;
  const requestId = details['requestId'];
  return JSON.stringify({
    error: { code, message, exitCode, ...(requestId === undefined ? {} : { requestId }) },
  });
}

/** The request id helps only where somebody has to look into a log. */
function textError(error: RingloadError): string {
  const { requestId } = error.details;
  const request =
    error.code === 'internal' && requestId !== undefined ? ` (request ${String(requestId)})` : '';
  const lines = error.message.split('\n').map(printable);
  return `ringload: ${lines.join('\n')}${request}`;
}
