/** A free as the cluster agrees on it; `free-roll.ts` tells what it covers. */
import type { JobId, PeerId } from '../base/ids.ts';

export interface FreeRecord {
  readonly number: number;
  readonly path: string;
  /** What jobs were loading. */
  readonly inUse: readonly string[];
  /** Jobs whose index file tells what they were loading. */
  readonly jobs: readonly JobId[];
  /** What rules said about the paths above and below, in no order; empty: also what is pinned goes. */
  readonly pins: readonly { readonly path: string; readonly pinned: boolean }[];
  /** Members that have not let go yet. */
  readonly waitsFor: readonly PeerId[];
  /** A load was asked for while some member had not let go: what that one held may be missing. */
  readonly isOvertaken?: true;
}
