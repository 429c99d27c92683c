/**
 * Reads an option's value from the text of a flag or an environment variable. Units, bounds and
 * formats are the schema's business; this only brings text to the right type.
 */
import { RingloadError } from '../base/errors.ts';
import type { ConfigOption } from './options.ts';
import { configInvalid } from './layer.ts';

const NUMBER = /^[+-]?\d+(?:\.\d+)?$/;

/** @throws config_invalid without the text itself when the option is secret. */
export function parseText(option: ConfigOption, text: string, origin: string): unknown {
  switch (option.kind) {
    case 'integer':
    case 'number':
      if (!NUMBER.test(text.trim())) throw malformed(option, text, 'a number', origin);
      return Number(text);
    case 'boolean':
      if (!/^(?:true|false)$/i.test(text)) throw malformed(option, text, 'true or false', origin);
      return text.toLowerCase() === 'true';
    case 'list':
      return parseItems(option, text.split(/\s+/), origin);
    case 'text':
    case 'choice':
    case 'bytes':
    case 'duration':
      return text;
  }
}

/**
 * Items of a list, each from its own text, or several from one where commas separate them.
 * @throws config_invalid
 */
export function parseItems(
  option: ConfigOption,
  texts: readonly string[],
  origin: string,
): unknown[] {
  const items = option.splitCommas ? texts.flatMap((text) => text.split(',')) : texts;
  return items.filter((item) => item.trim() !== '').map((item) => parseItem(option, item, origin));
}

function parseItem(option: ConfigOption, text: string, origin: string): unknown {
  try {
    return option.parseItem ? option.parseItem(text.trim()) : text;
  } catch (error) {
    if (!(error instanceof RingloadError)) throw error;
    throw configInvalid(`${option.key}: ${error.message} (${origin})`, { key: option.key }, error);
  }
}

function malformed(option: ConfigOption, text: string, what: string, origin: string) {
  const shown = option.secret ? 'the value' : `'${text}'`;
  return configInvalid(`${option.key}: ${shown} is not ${what} (${origin})`, { key: option.key });
}
