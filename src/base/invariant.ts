/**
 * Assertions for our own bugs; faults of the world are {@link RingloadError}s.
 *
 * A failed invariant means that the state in memory can no longer be trusted: the node stops and
 * writes nothing more.
 */
export class InvariantError extends Error {
  constructor(message: string) {
    super(`invariant violated: ${message}`);
    this.name = 'InvariantError';
  }
}

/** @throws InvariantError when `condition` is false. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Marks the branch that the compiler knows to be impossible. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected value ${JSON.stringify(value)}`);
}
