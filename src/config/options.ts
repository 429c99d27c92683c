/**
 * The options as a list: what `serve` makes its flags from, what the sources look names up in, and
 * what the reference page prints. Derived from the schema; holds nothing of its own.
 */
import type { z } from 'zod';
import { optionFacts, type OptionFacts, showBytes, showDurationMs } from './option.ts';
import { configSchema } from './schema.ts';

export interface ConfigOption extends OptionFacts {
  /** `section.name`, as in the file. */
  readonly key: string;
  readonly section: string;
  readonly name: string;
  /** With the leading dashes; undefined when the option has none (secrets). */
  readonly flagName: string | undefined;
  readonly envName: string;
  /** The default as printed. */
  readonly shownDefault: string;
  /** The flag may be given more than once. */
  readonly repeatable: boolean;
}

/** In the order of the schema. */
export const CONFIG_OPTIONS: readonly ConfigOption[] = Object.entries(configSchema.shape).flatMap(
  ([section, { shape }]) =>
    Object.entries<z.ZodType>(shape).map(([name, schema]) => describe(section, name, schema)),
);

export const OPTION_BY_KEY: ReadonlyMap<string, ConfigOption> = new Map(
  CONFIG_OPTIONS.map((option) => [option.key, option]),
);

/** Prints a value as the file would have it; a secret is never shown. */
export function showValue(option: ConfigOption, value: unknown): string {
  if (value === undefined) return '';
  if (option.secret) return '(hidden)';
  const { formatItem } = option;
  if (Array.isArray(value))
    return value.map((item) => formatItem?.(item) ?? String(item)).join(' ');
  if (typeof value === 'string' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'number') return JSON.stringify(value);
  if (option.kind === 'bytes') return showBytes(value);
  return option.kind === 'duration' ? showDurationMs(value) : String(value);
}

function describe(section: string, name: string, schema: z.ZodType): ConfigOption {
  const facts = optionFacts.get(schema) as OptionFacts | undefined;
  if (!facts) throw new Error(`option ${section}.${name} is not described`);
  const named = { ...facts, key: `${section}.${name}`, section, name };
  const words = [section, ...name.split(/(?=[A-Z])/)].map((word) => word.toLowerCase());
  const option = {
    ...named,
    flagName: facts.sources.includes('flag') ? `--${facts.flag ?? words.join('-')}` : undefined,
    envName: `RINGLOAD_${words.join('_').toUpperCase()}`,
    shownDefault: '',
    repeatable: facts.kind === 'list',
  };
  const standard = schema.safeParse(undefined);
  return {
    ...option,
    shownDefault: facts.defaultText ?? showValue(option, standard.data),
  };
}
