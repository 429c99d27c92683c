/** What readers are told of many files, and of where one lies: types only. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';

export interface FilePage {
  readonly files: readonly FileRecord[];
  /** Where the next page begins; absent after the last one. */
  readonly next?: string;
  /** Members that could not be asked: files that only they know of are not in the page. */
  readonly unanswered?: readonly PeerId[];
}

export interface SegmentLocation {
  readonly index: number;
  readonly lengthBytes: number;
  readonly owners: readonly PeerId[];
  readonly residentOn: readonly PeerId[];
}

export interface FilePlacement {
  readonly record: FileRecord;
  readonly segments: readonly SegmentLocation[];
  /** Members that could not be asked: what they hold is not known. */
  readonly unanswered: readonly PeerId[];
}
