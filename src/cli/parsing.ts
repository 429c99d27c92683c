/** Between our command values and commander: options in, values and messages out. */
import { type Command, Option } from 'commander';
import type { CommandSpec } from './command.ts';
import type { OptionSpec } from './options.ts';

/** A flag with a value, as Go's flag parser (and so Alluxio's launcher) takes it. */
const FLAG_WITH_VALUE = /^(--[a-z][a-z-]*)=(true|false|t|f|1|0)$/i;
const TRUE_WORDS: ReadonlySet<string> = new Set(['true', 't', '1']);

export function addOptions(command: Command, specs: readonly OptionSpec[]): void {
  for (const { flags, description, hidden, repeatable } of specs) {
    if (flags.includes('--help')) continue;
    const option = new Option(flags, description).hideHelp(hidden === true);
    if (repeatable) {
      option.argParser((value: string, earlier: readonly string[] | undefined) => [
        ...(earlier ?? []),
        value,
      ]);
    }
    command.addOption(option);
  }
}

/** Options that come from a module are loaded only for the command that is being run. */
export async function optionsOf(
  spec: CommandSpec,
  names: readonly string[],
  words: readonly string[],
): Promise<readonly OptionSpec[]> {
  const { options = [] } = spec;
  if (typeof options !== 'function') return options;
  const isNamed = names.slice(1).every((name) => words.includes(name));
  return isNamed ? options() : [];
}

/** What was given to a command, or before its name to the program. */
export function givenValues(command: Command): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (let current: Command | null = command; current; current = current.parent) {
    for (const [name, value] of Object.entries(current.opts())) {
      const isDefault = current.getOptionValueSource(name) === 'default';
      if (!Object.hasOwn(values, name) || !isDefault) values[name] = value;
    }
  }
  return values;
}

/** `--verify=true` → `--verify`; `--verify=false` → nothing. Only for flags without a value. */
export function plainFlags(root: CommandSpec, words: readonly string[]): readonly string[] {
  const flags = booleanFlags(root);
  const end = words.indexOf('--');
  return words.flatMap((word, index) => {
    const match = end >= 0 && index > end ? null : FLAG_WITH_VALUE.exec(word);
    if (!match?.[1] || !match[2] || !flags.has(match[1])) return [word];
    return TRUE_WORDS.has(match[2].toLowerCase()) ? [match[1]] : [];
  });
}

/** `error: unknown option '--x'\n(Did you mean --y?)` as one line. */
export function oneLine(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace('(Did you mean', '(did you mean');
}

function booleanFlags(spec: CommandSpec): Set<string> {
  const flags = new Set<string>();
  const options = typeof spec.options === 'function' ? [] : (spec.options ?? []);
  for (const { flags: notation } of options) {
    const match = /(--[a-z-]+)$/.exec(notation);
    if (match?.[1] && !match[1].startsWith('--no-')) flags.add(match[1]);
  }
  for (const child of spec.subcommands ?? []) {
    for (const flag of booleanFlags(child)) flags.add(flag);
  }
  return flags;
}
