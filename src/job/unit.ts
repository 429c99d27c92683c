/**
 * The unit of scheduling: one segment (or a file's metadata alone) that R owners must hold. Why its
 * lists are arrays: they hold a peer or two, and thousands of units are made and dropped a second.
 */
import type { PeerId } from '../base/ids.ts';
import type { FileRun } from './file-run.ts';
import { METADATA_ONLY_INDEX } from './protocol.ts';

export interface Unit {
  readonly file: FileRun;
  /** 0-based segment, or METADATA_ONLY_INDEX. */
  readonly index: number;
  readonly length: number;
  /** The peers that the ring makes responsible, in ring order. */
  owners: readonly PeerId[];
  /** Peers that acknowledged storing it and still are on the ring: sources of copies. */
  holders: readonly PeerId[];
  /** Peers whose acknowledgement is in the sums of this pass. */
  acknowledged: readonly PeerId[];
  /** Peers that were told to get it and never answered: they may hold it all the same. */
  tried: readonly PeerId[];
  /** What waits or is out: at most one task for each peer. */
  tasks: readonly TaskRun[];
  attempts: number;
  /** How often, and since when, the under store asked to come back later; no attempt is used up. */
  throttledCount: number;
  throttledSinceMs: number | undefined;
  /** Not to be tried again before this time; 0 when it may go on, Infinity while it is parked. */
  dueMs: number;
  /** Position in `owners` from which the next fetcher is chosen: those before it failed. */
  fetcherOffset: number;
  /** The slow owner for which another peer fetches the unit; it then copies from there. */
  lentFor: PeerId | undefined;
  /** False: a peer that is no owner has tried to fetch it, in vain. */
  mayLend: boolean;
  /** Settled or given up: tasks of it that still wait are dropped. */
  closed: boolean;
  /** What was fetched of it did not match its checksum once. */
  refetched: boolean;
  /** Its checksum is in that of the file. */
  summed: boolean;
  /** Another owner holds it that only followed a fetch: what is asked of a fetch may be missing. */
  followed: boolean;
  /** Its bytes are in the job's counters: a second fetch after a lost owner is not counted. */
  counted: boolean;
}

/**
 * `fetch`: the first copy, for an owner. `relay`: the first copy, by a peer that is no owner, for
 * a slow one to copy. `copy`: from a holder. `follow`: a copy from the owner that fetches, while it
 * does. `record`: metadata alone.
 */
export type TaskKind = 'fetch' | 'relay' | 'copy' | 'follow' | 'record';

/** One task of one unit for one peer. */
export interface TaskRun {
  readonly id: number;
  readonly kind: TaskKind;
  readonly unit: Unit;
  readonly owner: PeerId;
  readonly sources: readonly PeerId[];
  readonly attempt: number;
  /** When it was sent; undefined while it waits. */
  sentMs: number | undefined;
  /** When its owner was last asked to give it back; undefined: it was not. */
  recalledMs: number | undefined;
}

/** Whether it brings the first copy, from the under store. */
export function isFirstCopy({ kind }: TaskRun): boolean {
  return kind === 'fetch' || kind === 'relay';
}

/** What most lists of most units are. */
const NONE: readonly never[] = [];

/** The list without `item`, for a unit's lists, which are never changed in place. */
export function without<T>(list: readonly T[], item: T): readonly T[] {
  if (!list.includes(item)) return list;
  return list.length === 1 ? NONE : list.filter((other) => other !== item);
}

export function openUnit(file: FileRun, index: number, length: number): Unit {
  return {
    file,
    index,
    length,
    owners: NONE,
    holders: NONE,
    acknowledged: NONE,
    tried: NONE,
    tasks: NONE,
    attempts: 0,
    throttledCount: 0,
    throttledSinceMs: undefined,
    dueMs: 0,
    fetcherOffset: 0,
    lentFor: undefined,
    mayLend: true,
    closed: false,
    refetched: false,
    summed: false,
    followed: false,
    counted: false,
  };
}

/** The unit's task for that peer. */
export function taskFor(unit: Unit, peer: PeerId): TaskRun | undefined {
  return unit.tasks.find(({ owner }) => owner === peer);
}

/** How many units a file is cut into: empty files and metadata-only loads have one. */
export function unitCountOf(
  sizeBytes: number,
  segmentSizeBytes: number,
  metadataOnly: boolean,
): number {
  return metadataOnly || sizeBytes === 0 ? 1 : Math.ceil(sizeBytes / segmentSizeBytes);
}

/** The `position`-th unit of a file, 0-based. */
export function cutUnit(
  file: FileRun,
  position: number,
  segmentSizeBytes: number,
  metadataOnly: boolean,
): Unit {
  const { sizeBytes } = file.object;
  if (metadataOnly || sizeBytes === 0) return openUnit(file, METADATA_ONLY_INDEX, 0);
  const offset = position * segmentSizeBytes;
  return openUnit(file, position, Math.min(segmentSizeBytes, sizeBytes - offset));
}

/** Whether the unit's owners are the homes of the file's metadata. */
export function carriesRecord(unit: Unit): boolean {
  return unit.index <= 0;
}
