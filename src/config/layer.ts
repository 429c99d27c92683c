/**
 * A layer is what one source says: values by option key, each with where it was written. Layers
 * are laid over each other whole value by whole value; lists are replaced, never joined.
 */
import { RingloadError } from '../base/errors.ts';
import { nearest } from './nearest.ts';

export interface Sourced {
  readonly value: unknown;
  /** For people: `flag --host`, `environment RINGLOAD_PEER_HOST`, `ringload.yaml line 3`. */
  readonly origin: string;
}

/** By option key. A Map, since keys come from outside. */
export type Layer = ReadonlyMap<string, Sourced>;

export interface SourceResult {
  readonly layer: Layer;
  /** The preset that this source asks for. */
  readonly preset: Sourced | undefined;
}

/** @param layers weakest first. */
export function mergeLayers(layers: readonly Layer[]): Layer {
  return new Map(layers.flatMap((layer) => [...layer]));
}

export function configInvalid(
  message: string,
  details: Readonly<Record<string, string | number>> = {},
  cause?: unknown,
): RingloadError {
  return new RingloadError('config_invalid', message, { details, cause });
}

export function unknownName(
  what: string,
  name: string,
  known: readonly string[],
  where = '',
): RingloadError {
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return configInvalid(`unknown ${what} ${printable(name)}${where}${hint}`, {
    key: printable(name),
  });
}

const SHOWN_MAX_LENGTH = 80;

/** Foreign text in a message: without control characters, passwords in URIs, or a long tail. */
export function printable(text: string): string {
  const plain = text.replace(/[^\P{C}]/gu, '?').replace(/(?<=:\/\/)[^/@\s]*@/g, '***@');
  return plain.length > SHOWN_MAX_LENGTH ? `${plain.slice(0, SHOWN_MAX_LENGTH)}...` : plain;
}
