/**
 * Which of two records of one file is in force, when homes disagree.
 *
 * The load that was asked for later is right: its job stands later in replicated state, whatever
 * clock the under store or a peer has. A modification time is only a last resort (an object may be
 * replaced by an older one, and within one second by a newer one). The order is total, so that all
 * homes come to the same record whoever offers first.
 */
import type { JobId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';

/** Position of a job among all that the cluster remembers; undefined for one that it forgot. */
export type JobOrder = (job: JobId) => number | undefined;

/** Older than every job that is remembered. */
const FORGOTTEN = -1;
/** Read through, by no job. */
const NO_JOB = -2;

/** The record that a home which knows `known` has after it was offered `offered`. */
export function mergeRecords(
  known: FileRecord,
  offered: FileRecord,
  orderOf: JobOrder,
): FileRecord {
  if (isSameContent(known, offered)) {
    const isWider = offered.replicaCount > known.replicaCount;
    const [wider, other] = isWider ? [offered, known] : [known, offered];
    const told = withAttributesOf(wider, other);
    const afterFree = Math.max(known.afterFree ?? 0, offered.afterFree ?? 0);
    return (told.afterFree ?? 0) < afterFree ? { ...told, afterFree } : told;
  }
  return compareAge(known, offered, orderOf) < 0 ? offered : known;
}

/** The record itself where it lacks nothing that the other one has. */
function withAttributesOf(known: FileRecord, { attributes }: FileRecord): FileRecord {
  return known.attributes || !attributes ? known : { ...known, attributes };
}

export function isSameContent(a: FileRecord, b: FileRecord): boolean {
  return (
    a.version === b.version &&
    a.sizeBytes === b.sizeBytes &&
    a.segmentSizeBytes === b.segmentSizeBytes &&
    a.segmented === b.segmented
  );
}

/** Negative when `a` is the older one; 0 only for records of the same content. */
function compareAge(a: FileRecord, b: FileRecord, orderOf: JobOrder): number {
  return (
    ageOf(a, orderOf) - ageOf(b, orderOf) ||
    a.mtimeMs - b.mtimeMs ||
    compareTexts(a.version, b.version) ||
    a.sizeBytes - b.sizeBytes ||
    a.segmentSizeBytes - b.segmentSizeBytes ||
    Number(a.segmented) - Number(b.segmented)
  );
}

function ageOf({ loadedBy }: FileRecord, orderOf: JobOrder): number {
  if (loadedBy === undefined) return NO_JOB;
  return orderOf(loadedBy) ?? FORGOTTEN;
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
