/**
 * What an option is: a zod schema plus the facts that flags, environment names, the reference page
 * and `describeOrigins` are made from. Builders here; the options themselves in `schema.ts`.
 */
import { parseBytes, parseDurationMs } from '../base/units.ts';
import { z } from 'zod';

/** How text from a flag or the environment is read, and how a value is printed. */
export type OptionKind =
  'text' | 'integer' | 'number' | 'bytes' | 'duration' | 'boolean' | 'choice' | 'list';

/** Where a value may come from. Secrets come from the environment (or a file named by another). */
export type OptionSource = 'flag' | 'env' | 'file';

export interface OptionFacts {
  /** One or two sentences: what it does and why the default is what it is. */
  readonly description: string;
  readonly kind: OptionKind;
  /** Printed between angle brackets in help, such as `ms`. */
  readonly placeholder: string;
  /** Printed in place of the default's value. */
  readonly defaultText?: string;
  /** Allowed values in words; empty when anything goes. */
  readonly range: string;
  /** Name without `--` in place of the one made from section and key. */
  readonly flag?: string;
  readonly sources: readonly OptionSource[];
  readonly secret: boolean;
  /** Reads one item of a list from text. */
  readonly parseItem?: (text: string) => unknown;
  /** Prints one item of a list, without secrets. */
  readonly formatItem?: (item: unknown) => string;
  /** Commas separate items of a list, also within one flag. Blanks do in the environment. */
  readonly splitCommas?: boolean;
}

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

export const optionFacts = z.registry<OptionFacts>();

const EVERYWHERE: readonly OptionSource[] = ['flag', 'env', 'file'];

interface Described {
  readonly description: string;
  readonly flag?: string;
}

interface Bounded extends Described {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

/** A whole number without unit: a count, a port, a number of ticks. */
export function integer(option: Bounded & { readonly placeholder?: string }) {
  const schema = z.int().min(option.min).max(option.max).default(option.default);
  const range = rangeOf(option, String);
  return schema.register(optionFacts, facts(option, 'integer', option.placeholder ?? 'n', range));
}

export function fraction(option: Bounded) {
  const schema = z.number().min(option.min).max(option.max).default(option.default);
  return schema.register(optionFacts, facts(option, 'number', 'number', rangeOf(option, String)));
}

/** A size; text may carry a unit (`64MiB`). */
export function bytes(option: Bounded) {
  const schema = bytesValue(option.min, option.max).default(option.default);
  const range = rangeOf(option, showBytes);
  return schema.register(optionFacts, facts(option, 'bytes', 'size', range));
}

/** A duration in milliseconds; text may carry a unit (`30s`). */
export function durationMs(option: Bounded) {
  const schema = z
    .preprocess(fromText(parseDurationMs), z.int().min(option.min).max(option.max))
    .default(option.default);
  const range = rangeOf(option, showDurationMs);
  return schema.register(optionFacts, facts(option, 'duration', 'duration', range));
}

export function bytesValue(min: number, max: number) {
  return z.preprocess(fromText(parseBytes), z.int().min(min).max(max));
}

export function text(
  option: Described & {
    readonly default: string;
    readonly placeholder: string;
    readonly schema?: z.ZodString;
    readonly range?: string;
    readonly defaultText?: string;
  },
) {
  const schema = (option.schema ?? z.string()).default(option.default);
  const made = facts(option, 'text', option.placeholder, option.range ?? '');
  return schema.register(optionFacts, withDefaultText(made, option.defaultText));
}

/** Text that never leaves the environment and the secrets object. */
export function secretText(option: Described & { readonly schema: z.ZodString; range: string }) {
  const made = facts(option, 'text', 'secret', option.range);
  return option.schema
    .exactOptional()
    .register(optionFacts, { ...made, secret: true, sources: ['env'], defaultText: 'none' });
}

export function toggle(option: Described & { readonly default: boolean }) {
  const schema = z.boolean().default(option.default);
  return schema.register(optionFacts, facts(option, 'boolean', '', 'true or false'));
}

export function choice<const Value extends string>(
  option: Described & {
    readonly values: readonly [Value, ...Value[]];
    readonly default: NoInfer<Value>;
  },
) {
  const schema = z.enum(option.values).default(option.default as never);
  const range = option.values.join(', ');
  return schema.register(optionFacts, facts(option, 'choice', option.values.join('|'), range));
}

/** Several values: a repeatable flag, a separated list in the environment, a YAML sequence. */
export function list<Item extends z.ZodType>(
  option: Described & {
    readonly item: Item;
    readonly maxCount: number;
    readonly placeholder: string;
    readonly range: string;
    readonly defaultText: string;
    readonly splitCommas?: boolean;
    readonly parseItem: (text: string) => unknown;
    readonly formatItem: (item: unknown) => string;
  },
) {
  const schema = z.array(option.item).max(option.maxCount).default([]);
  const { splitCommas = false, parseItem, formatItem } = option;
  const made = facts(option, 'list', option.placeholder, option.range);
  return schema.register(optionFacts, {
    ...withDefaultText(made, option.defaultText),
    splitCommas,
    parseItem,
    formatItem,
  });
}

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** A size in the largest unit that divides it: 8388608 is `8MiB`. */
export function showBytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value}${SIZE_UNITS[unit] ?? 'B'}`;
}

const DURATION_UNITS = [
  ['d', DAY_MS],
  ['h', HOUR_MS],
  ['m', MINUTE_MS],
  ['s', SECOND_MS],
] as const;

/** A duration in the largest unit that divides it: 30000 is `30s`. */
export function showDurationMs(milliseconds: number): string {
  for (const [unit, size] of DURATION_UNITS) {
    if (milliseconds >= size && milliseconds % size === 0) return `${milliseconds / size}${unit}`;
  }
  return `${milliseconds}ms`;
}

function rangeOf({ min, max }: Bounded, show: (value: number) => string): string {
  return `${show(min)} to ${show(max)}`;
}

function facts(
  option: Described,
  kind: OptionKind,
  placeholder: string,
  range: string,
): OptionFacts {
  const { description } = option;
  const made = { description, kind, placeholder, range, sources: EVERYWHERE, secret: false };
  return option.flag === undefined ? made : { ...made, flag: option.flag };
}

function withDefaultText(made: OptionFacts, defaultText: string | undefined): OptionFacts {
  return defaultText === undefined ? made : { ...made, defaultText };
}

/** Turns text with a unit into a number; anything else goes on to the number's own check. */
function fromText(parse: (text: string) => number) {
  return (value: unknown, context: z.RefinementCtx): unknown => {
    if (typeof value !== 'string') return value;
    try {
      return parse(value.trim());
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      context.addIssue({ code: 'custom', message, input: value });
      return z.NEVER;
    }
  };
}
