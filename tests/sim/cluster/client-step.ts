/** What clients do in a run, and when. */
import type { RuleChanges } from '../../../src/base/path-rule.ts';

export const START_MS = 4000;

/** A root, or one file below it. */
export interface Place {
  readonly root: number;
  readonly file: number | undefined;
}

type CacheAction =
  | ({ readonly kind: 'rule'; readonly changes: RuleChanges } & Place)
  | ({ readonly kind: 'free'; readonly evenPinned: boolean } & Place)
  | { readonly kind: 'check'; readonly root: number }
  /** A load of all roots, and of a file below one of them. */
  | {
      readonly kind: 'submitMany';
      readonly isIndexed: boolean;
      readonly replicaCount: number;
      readonly segmented: boolean;
    };

export type ClientAction =
  | CacheAction
  | {
      readonly kind: 'submit';
      readonly root: number;
      readonly replicaCount: number;
      readonly verify: boolean;
      readonly segmented: boolean;
      readonly reload: boolean;
      readonly filter: boolean;
    }
  | { readonly kind: 'stop' | 'retry' | 'status' | 'list'; readonly root: number }
  /** A load and a read of what lies in no mount. */
  | { readonly kind: 'trespass' }
  | {
      readonly kind: 'read';
      readonly root: number;
      readonly file: number;
      readonly isPart: boolean;
    };

export type ClientStep = ClientAction & { readonly atMs: number; readonly peer: number };

export interface PlannedFile {
  readonly root: number;
  readonly file: number;
  readonly sizeBytes: number;
}
