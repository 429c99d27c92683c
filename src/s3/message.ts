/**
 * A request to the S3 endpoint and its answer as values: no sockets, so that any thread may carry
 * them and any test may make them.
 */
import type { HeldReads } from '../data/pieces.ts';
import type { OpenRange } from '../read/file-reader.ts';
import type { Field } from './s3-error.ts';
import type { StandingObject } from './standing-object.ts';

export interface S3Request {
  readonly method: string;
  /** The request target as received, one byte per character. */
  readonly target: string;
  /** In order and case as received, one byte per character. */
  readonly headers: readonly Field[];
  readonly body?: AsyncIterable<Uint8Array>;
  /** For a client whose bytes are sent by another thread. */
  readonly via?: HeldReads;
}

export interface S3Answer {
  readonly status: number;
  /** `content-length` is among them whenever there is one, also for HEAD. */
  readonly headers: readonly Field[];
  /** Absent: none. A range has its first bytes at hand, and has to be closed by whoever gets it. */
  readonly body?: Uint8Array | OpenRange;
  /** What was found, where it stays so for a while. */
  readonly standing?: StandingObject;
}

/** Headers by lower-case name. */
export class HeaderMap {
  readonly #values = new Map<string, string[]>();

  constructor(fields: readonly Field[]) {
    for (const [name, value] of fields) {
      const key = name.toLowerCase();
      const values = this.#values.get(key);
      if (values) values.push(value);
      else this.#values.set(key, [value]);
    }
  }

  /** Empty when absent; repeated ones joined, as HTTP has it. */
  get(name: string): string {
    return this.all(name).join(', ');
  }

  /** The first of that name. */
  find(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  names(): Iterable<string> {
    return this.#values.keys();
  }
}
