/** Runs a property with a seed that is printed on failure and taken from `RING_TEST_SEED`. */
import type { ExecutionContext } from 'ava';
import fc, { type IProperty } from 'fast-check';

export function checkProperty<T>(t: ExecutionContext, property: IProperty<T>, numRuns = 60): void {
  const given = process.env['RING_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  t.log(`RING_TEST_SEED=${seed}`);
  fc.assert(property, { seed, numRuns });
}
