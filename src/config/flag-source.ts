/**
 * Flags as a source. Takes what a command-line parser collected: names with or without dashes, in
 * kebab or camel case; text, true for a bare flag, an array for a repeated one.
 */
import { configInvalid, type Sourced, type SourceResult, unknownName } from './layer.ts';
import { CONFIG_OPTIONS, type ConfigOption } from './options.ts';
import { parseItems, parseText } from './parse-text.ts';

export type FlagValue = string | number | boolean | readonly string[] | undefined;
export type Flags = Readonly<Record<string, FlagValue>>;

export const PRESET_FLAG = '--preset';
export const CONFIG_PATH_FLAG = '--config';

/** @throws config_invalid for an unknown flag, a malformed value or a flag that is given twice. */
export function readFlagLayer(flags: Flags): SourceResult {
  const byName = new Map(
    CONFIG_OPTIONS.flatMap((option) => (option.flagName ? [[option.flagName, option]] : [])),
  );
  const layer = new Map<string, Sourced>();
  let preset: Sourced | undefined;
  for (const [given, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const name = flagName(given);
    const origin = `flag ${name}`;
    const option = byName.get(name);
    if (option) layer.set(option.key, { value: parseFlag(option, value, origin), origin });
    else if (name === PRESET_FLAG) preset = { value, origin };
    else if (name !== CONFIG_PATH_FLAG) throw unknownName('flag', name, [...byName.keys()]);
  }
  return { layer, preset };
}

/** The value of `--config`. */
export function configPathFlag(flags: Flags): string | undefined {
  const value = flags['config'] ?? flags[CONFIG_PATH_FLAG];
  if (value === undefined || typeof value === 'string') return value;
  throw configInvalid(`${CONFIG_PATH_FLAG} needs a path`);
}

/** `dataDir`, `data-dir` and `--data-dir` are one flag. */
function flagName(given: string): string {
  const kebab = given.replace(/^--/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `--${kebab}`;
}

function parseFlag(option: ConfigOption, value: NonNullable<FlagValue>, origin: string): unknown {
  if (typeof value === 'boolean' && option.kind === 'boolean') return value;
  if (typeof value === 'boolean')
    throw configInvalid(`${origin} needs a value`, { key: option.key });
  if (option.kind === 'list') {
    return parseItems(option, typeof value === 'object' ? value : [String(value)], origin);
  }
  if (typeof value !== 'object') return parseText(option, String(value), origin);
  throw configInvalid(`${origin} is given ${value.length} times`, { key: option.key });
}
