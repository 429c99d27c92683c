/** What was typed after a command's name, and the refusal of what should not have been. */
import { RingloadError } from '../base/errors.ts';

/** Arguments, and options by their long names in camel case. */
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

  /** Values of an option that may be given more than once. */
  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? (value as string[]) : [];
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
