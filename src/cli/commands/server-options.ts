/** Flags of `serve` and `config`, generated from the configuration's own table. */
import type { Flags, FlagValue } from '../../config/flag-source.ts';
import { CONFIG_OPTIONS, type ConfigOption } from '../../config/options.ts';
import { PRESET_NAMES } from '../../config/presets.ts';
import type { CommandInput } from '../input.ts';
import type { OptionSpec } from '../options.ts';

const GENERAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '--config <file>', description: 'YAML file with the settings (also: RINGLOAD_CONFIG)' },
  {
    flags: '--preset <name>',
    description: `set of defaults: ${PRESET_NAMES.join(', ')} (also: RINGLOAD_PRESET)`,
    choices: PRESET_NAMES,
  },
];

export function serverOptions(): readonly OptionSpec[] {
  return [...GENERAL_OPTIONS, ...CONFIG_OPTIONS.flatMap(optionSpec)];
}

/** The flags that were given, by their names with dashes, as the configuration takes them. */
export function serverFlags(input: CommandInput): Flags {
  const given = new Map(input.entries());
  const flags: Record<string, FlagValue> = {};
  const names = ['--config', '--preset', ...CONFIG_OPTIONS.map((option) => option.flagName)];
  for (const name of names) {
    const value = name === undefined ? undefined : given.get(attributeOf(name));
    if (name !== undefined && isFlagValue(value)) flags[name] = value;
  }
  return flags;
}

function optionSpec(option: ConfigOption): OptionSpec[] {
  const { flagName, kind, placeholder, description, range, shownDefault, repeatable } = option;
  if (flagName === undefined) return [];
  const value = kind === 'boolean' ? ' [true|false]' : ` <${placeholder || 'value'}>`;
  const facts = [
    ...(range === '' || kind === 'choice' || kind === 'boolean' ? [] : [range]),
    ...(shownDefault === '' ? [] : [`default ${shownDefault}`]),
  ].join('; ');
  return [
    {
      flags: `${flagName}${value}`,
      description: facts === '' ? description : `${description} (${facts})`,
      ...(repeatable ? { repeatable } : {}),
      ...(kind === 'choice' ? { choices: placeholder.split('|') } : {}),
    },
  ];
}

/** `--data-dir` → `dataDir`, as the parser names it. */
function attributeOf(flagName: string): string {
  return flagName
    .replace(/^--/, '')
    .split('-')
    .map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
    .join('');
}

function isFlagValue(value: unknown): value is NonNullable<FlagValue> {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string');
  return typeof value === 'string' || typeof value === 'boolean';
}
