/** Help texts, made from the command values alone: what it does, examples, then every detail. */
import type { ArgumentSpec, CommandSpec } from './command.ts';
import { type OptionSpec, OUTPUT_OPTIONS, PEER_OPTIONS } from './options.ts';

const WIDTH_MIN = 40;
const WIDTH_MAX = 100;
const TERM_MAX_WIDTH = 28;
const HELP_OPTION: OptionSpec = { flags: '-h, --help', description: 'show this text' };

export interface HelpRequest {
  /** Names from the program's on: `['ringload', 'job', 'load']`. */
  readonly names: readonly string[];
  readonly command: CommandSpec;
  readonly options: readonly OptionSpec[];
  readonly columns: number;
}

export function helpText({ names, command, options, columns }: HelpRequest): string {
  const width = Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, columns));
  const line = names.join(' ');
  const isGroup = command.subcommands !== undefined;
  const usage = [
    line,
    ...(isGroup ? ['<command>'] : []),
    '[options]',
    ...(command.arguments ?? []).map((argument) => argument.name),
  ].join(' ');
  const sections = [
    `${command.summary}\n`,
    section(
      'Examples:',
      command.examples.map(({ line: example, does }) => [`ringload ${example}`, does]),
      { width, termMaxWidth: 64 },
    ),
    `Usage: ${usage}\n`,
    section('Commands:', commandTerms(command), { width }),
    section('Arguments:', argumentTerms(command.arguments ?? []), { width }),
    section('Options:', optionTerms([...options, ...(isGroup ? [HELP_OPTION] : [])]), { width }),
    section('Common options:', isGroup ? [] : optionTerms(commonOptions(command)), { width }),
  ];
  return sections.filter((text) => text !== '').join('\n');
}

/** Options that a command has besides its own. */
export function commonOptions(command: CommandSpec): readonly OptionSpec[] {
  return [
    ...(command.local ? [] : PEER_OPTIONS),
    ...OUTPUT_OPTIONS.filter(({ flags }) => flags !== '--json' || command.bytesOnly !== true),
    HELP_OPTION,
  ];
}

type Term = readonly [term: string, description: string];

function commandTerms(command: CommandSpec): Term[] {
  return (command.subcommands ?? [])
    .filter((child) => child.hidden !== true)
    .map((child) => [child.name, child.summary]);
}

function argumentTerms(specs: readonly ArgumentSpec[]): Term[] {
  return specs.map(({ name, description }) => [name, description]);
}

function optionTerms(specs: readonly OptionSpec[]): Term[] {
  return specs
    .filter(({ hidden }) => hidden !== true)
    .map((spec) => [spec.flags, spec.description]);
}

function section(
  title: string,
  terms: readonly Term[],
  { width, termMaxWidth = TERM_MAX_WIDTH }: { width: number; termMaxWidth?: number },
): string {
  if (terms.length === 0) return '';
  const longest = Math.max(...terms.map(([term]) => term.length));
  const termWidth = Math.min(termMaxWidth, longest, width - 22);
  const indent = ' '.repeat(termWidth + 4);
  const lines = terms.flatMap(([term, description]) => {
    const text = wrap(description, width - indent.length);
    const first = text[0] ?? '';
    const rest = text.slice(1).map((part) => `${indent}${part}`);
    return term.length <= termWidth
      ? [`  ${term.padEnd(termWidth)}  ${first}`.trimEnd(), ...rest]
      : [`  ${term}`, `${indent}${first}`.trimEnd(), ...rest];
  });
  return `${title}\n${lines.join('\n')}\n`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
