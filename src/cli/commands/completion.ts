/**
 * `completion bash|zsh|fish`: scripts that complete commands, options and their choices, and the
 * ids of jobs by asking the cluster. Generated from the command tree, so they cannot fall behind.
 */
import { type CommandInput, usageError } from '../input.ts';
import type { CommandSpec } from '../command.ts';
import type { OptionSpec } from '../options.ts';
import type { CliContext } from '../context.ts';
import { commonOptions } from '../help.ts';
import { nearest } from '../../config/nearest.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** One command that can be completed, with everything that may follow it. */
interface Entry {
  /** `job load`; empty for the program itself. */
  readonly path: string;
  readonly words: readonly string[];
  readonly choices: readonly (readonly [option: string, values: readonly string[]])[];
  readonly completesJobs: boolean;
  readonly completesFiles: boolean;
}

export async function runCompletion(
  context: CliContext,
  input: CommandInput,
  root: CommandSpec,
): Promise<number> {
  const wanted = input.argument(0);
  const shell = SHELLS.find((candidate) => candidate === wanted);
  if (!shell) {
    const close = nearest(wanted, SHELLS);
    const hint = close === undefined ? '' : ` (did you mean ${close}?)`;
    throw usageError(`the shell must be bash, zsh or fish, not '${wanted}'${hint}`);
  }
  await context.terminal.write(SCRIPTS[shell](await entriesOf(root, [])));
  return 0;
}

async function entriesOf(spec: CommandSpec, path: readonly string[]): Promise<Entry[]> {
  const options = await allOptions(spec);
  const children = (spec.subcommands ?? []).filter((child) => child.hidden !== true);
  const completes = (spec.arguments ?? []).map((argument) => argument.completes);
  const entry: Entry = {
    path: path.join(' '),
    words: [
      ...children.map((child) => child.name),
      ...completes.flatMap((kind) => (typeof kind === 'object' ? kind : [])),
      ...options.flatMap(longNames),
    ],
    choices: options.flatMap((option) =>
      option.choices ? longNames(option).map((name) => [name, option.choices ?? []] as const) : [],
    ),
    completesJobs: completes.includes('job'),
    completesFiles: completes.includes('file'),
  };
  const below = await Promise.all(children.map((child) => entriesOf(child, [...path, child.name])));
  return [entry, ...below.flat()];
}

async function allOptions(spec: CommandSpec): Promise<OptionSpec[]> {
  const own = typeof spec.options === 'function' ? await spec.options() : (spec.options ?? []);
  return [...own, ...(spec.run ? commonOptions(spec) : [])].filter(({ hidden }) => hidden !== true);
}

function longNames({ flags }: OptionSpec): string[] {
  return flags.match(/--[a-z][a-z0-9-]*/g) ?? [];
}

const JOB_IDS = 'ringload job list --ids --quiet --timeout 2s 2>/dev/null';

function bashScript(entries: readonly Entry[]): string {
  const cases = entries.map((entry) => {
    const lines = entry.choices.map(
      ([option, values]) =>
        `      [[ $previous == ${option} ]] && words='${values.join(' ')}' && choices=1`,
    );
    return [
      `    '${entry.path}')`,
      `      words='${entry.words.join(' ')}'`,
      ...lines,
      ...(entry.completesJobs
        ? [`      [[ $current != -* && -z $choices ]] && words+=" $(${JOB_IDS})"`]
        : []),
      ...(entry.completesFiles ? ['      files=1'] : []),
      '      ;;',
    ].join('\n');
  });
  return `# bash completion for ringload
_ringload() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local command='' word words='' choices='' files=''
  local commands='${commandPaths(entries)}'
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $commands == *"|\${command:+$command }$word|"* ]] && command="\${command:+$command }$word"
  done
  case $command in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ -n $files && $current != -* ]] && COMPREPLY+=($(compgen -f -- "$current"))
  return 0
}
complete -F _ringload ringload
`;
}

/** zsh runs bash's functions: one script to keep right instead of two. */
function zshScript(entries: readonly Entry[]): string {
  return `#compdef ringload
autoload -U +X bashcompinit && bashcompinit
${bashScript(entries)}`;
}

function fishScript(entries: readonly Entry[]): string {
  const lines = entries.flatMap((entry) => {
    const condition = `-n '__ringload_at "${entry.path}"'`;
    return [
      ...entry.words.map((word) =>
        word.startsWith('--')
          ? `complete -c ringload ${condition} -l ${word.slice(2)}${choicesOf(entry, word)}`
          : `complete -c ringload ${condition} -a ${word}`,
      ),
      ...(entry.completesJobs ? [`complete -c ringload ${condition} -a '(${JOB_IDS})'`] : []),
      ...(entry.completesFiles ? [`complete -c ringload ${condition} -F`] : []),
    ];
  });
  return `# fish completion for ringload
function __ringload_at
  set -l commands '${commandPaths(entries)}'
  set -l command ''
  for word in (commandline -opc)[2..-1]
    set -l longer (string trim -- "$command $word")
    if string match -q -- "*|$longer|*" $commands
      set command $longer
    end
  end
  test "$command" = "$argv[1]"
end
complete -c ringload -f
${lines.join('\n')}
`;
}

function choicesOf(entry: Entry, option: string): string {
  const values = entry.choices.find(([name]) => name === option)?.[1];
  return values ? ` -x -a '${values.join(' ')}'` : '';
}

/** `|job|job load|…|` */
function commandPaths(entries: readonly Entry[]): string {
  return `|${entries.flatMap(({ path }) => (path === '' ? [] : [path])).join('|')}|`;
}

const SCRIPTS: Readonly<Record<Shell, (entries: readonly Entry[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};
