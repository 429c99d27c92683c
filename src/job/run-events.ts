/** What a job run is told, and what it asks for. Values only: the driver performs the effects. */
import type { WireError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { JobCheckpoint } from '../cluster/job-record.ts';
import type { ObjectChecksum, UfsObject } from '../ufs/under-store.ts';
import type { FailedFile } from './job-status.ts';
import type { JobPage } from './root-pages.ts';
import type { Placement } from './placement.ts';
import type {
  DiscardedFile,
  InventoryReply,
  ResultFrame,
  TaskBatch,
  TaskRecall,
} from './protocol.ts';

export type RunEvent =
  /** The ring or the reachability of a peer changed. */
  | { readonly kind: 'placement'; readonly placement: Placement }
  | { readonly kind: 'peer-lost'; readonly peer: PeerId }
  | { readonly kind: 'page'; readonly page: JobPage }
  | { readonly kind: 'list-failed'; readonly error: WireError }
  | { readonly kind: 'stat'; readonly path: string; readonly found: UfsObject | WireError }
  /** Undefined: the under store has no checksum of it, or did not say. */
  | {
      readonly kind: 'checksum';
      readonly path: string;
      readonly version: string;
      readonly found: ObjectChecksum | undefined;
    }
  /** The owner has forgotten the file, or cannot be told. */
  | { readonly kind: 'discarded'; readonly path: string }
  | {
      readonly kind: 'batch-taken';
      readonly to: PeerId;
      readonly windowTasks: number;
      readonly windowBytes: number;
    }
  | { readonly kind: 'batch-failed'; readonly to: PeerId; readonly taskIds: readonly number[] }
  | { readonly kind: 'results'; readonly from: PeerId; readonly frame: ResultFrame }
  | {
      readonly kind: 'inventory';
      readonly from: PeerId;
      /** The pass that was asked about. */
      readonly pass: number;
      readonly reply: InventoryReply | WireError;
    }
  | { readonly kind: 'checkpointed' }
  | { readonly kind: 'tick' };

export type RunEffect =
  | { readonly kind: 'list'; readonly after: string | undefined; readonly limit: number }
  | { readonly kind: 'stat'; readonly path: string }
  | { readonly kind: 'ask-checksum'; readonly object: UfsObject }
  | { readonly kind: 'discard'; readonly to: PeerId; readonly file: DiscardedFile }
  | { readonly kind: 'send'; readonly to: PeerId; readonly batch: TaskBatch }
  /** Best effort: the owner shall drop these tasks and answer them as cancelled. */
  | { readonly kind: 'recall'; readonly to: PeerId; readonly recall: TaskRecall }
  | { readonly kind: 'ask-inventory'; readonly to: PeerId }
  /** The newest state to survive a leader change. Answered by `checkpointed`. */
  | {
      readonly kind: 'checkpoint';
      readonly state: 'RUNNING' | 'VERIFYING';
      readonly checkpoint: JobCheckpoint;
    }
  | { readonly kind: 'file-failed'; readonly failure: FailedFile }
  /** The verdict. Nothing follows it. */
  | {
      readonly kind: 'finish';
      readonly state: 'SUCCEEDED' | 'FAILED';
      readonly checkpoint: JobCheckpoint;
      readonly failure?: WireError;
      readonly digest?: string;
    };

export function isWireError(value: object): value is WireError {
  return 'code' in value && 'message' in value;
}
