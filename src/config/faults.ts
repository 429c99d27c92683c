/** What is wrong with a value, in one line: option, value, rule, and where it was written. */
import type { z } from 'zod';
import { type Layer, printable } from './layer.ts';
import { nearest } from './nearest.ts';
import { OPTION_BY_KEY } from './options.ts';

/** Most faults told at once. */
const FAULT_MAX_COUNT = 10;

export function describeIssue(issue: z.core.$ZodIssue, merged: Layer): string {
  const key = keyOf(issue.path);
  const sourced = merged.get(key);
  const inner = issue.path
    .slice(2)
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  const place = sourced ? ` (${sourced.origin})` : '';
  if (issue.code === 'unrecognized_keys') {
    return `${key}${inner} has the unknown key ${suggest(issue.keys)}${place}`;
  }
  const shown = shownInput(key, issue.path.slice(2), sourced?.value);
  return `${key}${inner}${shown}: ${lowerFirst(issue.message)}${place}`;
}

/** Keys of the objects inside lists. */
const INNER_KEYS = [
  'path',
  'capacityBytes',
  'endpoint',
  'region',
  'forcePathStyle',
  'credentials',
  'responseChecksums',
  'kind',
  'accessKeyIdName',
  'secretAccessKeyName',
  'sessionTokenName',
  'accessKeyIdPath',
  'secretAccessKeyPath',
  'sessionTokenPath',
];

function suggest(keys: readonly string[]): string {
  return keys
    .map((key) => {
      const near = nearest(key, INNER_KEYS);
      return near === undefined ? printable(key) : `${printable(key)}; did you mean ${near}?`;
    })
    .join(', ');
}

/** The value that was refused, unless it is secret or no plain value. */
function shownInput(key: string, path: readonly PropertyKey[], value: unknown): string {
  if (OPTION_BY_KEY.get(key)?.secret !== false) return '';
  let found: unknown = value;
  for (const part of path) {
    found = typeof found === 'object' && found !== null ? Reflect.get(found, part) : undefined;
  }
  const plain = ['string', 'number', 'boolean'].includes(typeof found) || found === null;
  return plain ? ` is '${printable(String(found))}'` : '';
}

export function keyOf(path: readonly PropertyKey[]): string {
  return path.slice(0, 2).map(String).join('.');
}

export function listFaults(faults: readonly string[]): string {
  const more = faults.length - FAULT_MAX_COUNT;
  const shown = faults.slice(0, FAULT_MAX_COUNT);
  return (more > 0 ? [...shown, `and ${more} more`] : shown).join('; ');
}

export function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
