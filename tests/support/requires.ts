/**
 * Tests that need more than Node and npm: declared skipped, with what is missing in the title, so
 * that a skipped layer never looks like a passed one.
 */
import test, { type ImplementationFn } from 'ava';

type Declare = (title: string, implementation: ImplementationFn<[]>) => void;

/** `test.serial`, or a declaration that skips when `missing` says what is not there. */
export function requires(missing: string | undefined): Declare {
  if (missing === undefined) return (title, implementation) => test.serial(title, implementation);
  return (title, implementation) => test.skip(`${title} [needs ${missing}]`, implementation);
}
