/**
 * Why a file is, or is not, cached: what the ring wants, what the peers hold and what the loads
 * did, put together. Pure: the three answers come from the caller.
 */
import type { PeerId } from '../base/ids.ts';
import type { ClusterView, FilePlacement, SegmentPlacement } from '../http/services.ts';
import { isActive, type JobStatus } from '../job/job-status.ts';
import type { RuleAnswer } from './client/cache-answers.ts';
import { formatDuration, formatSize, formatTime, plural } from './format.ts';

/**
 * `fully`: every segment on every owner; `readable`: every segment on some peer; `unknown`: on no
 * peer that could be asked, but some could not.
 */
export type CachedExtent = 'fully' | 'readable' | 'partly' | 'not' | 'unknown';

export interface Explanation {
  readonly path: string;
  readonly cached: CachedExtent;
  readonly segmentCount: number;
  /** Segments that at least one peer holds. */
  readonly residentSegmentCount: number;
  readonly wantedCopyCount: number;
  /** Copies that lie where the ring wants them. */
  readonly residentCopyCount: number;
  /** Members that could not be asked: what they hold is not counted. */
  readonly unanswered: readonly PeerId[];
  /** Sentences, most telling first. */
  readonly reasons: readonly string[];
}

/** @param placement undefined when the cluster has no record of the file. */
export function explainFile(
  path: string,
  placement: FilePlacement | undefined,
  known: {
    readonly cluster: ClusterView;
    readonly jobs: readonly JobStatus[];
    /** Those that say something about the path. */
    readonly rules?: readonly RuleAnswer[];
  },
): Explanation {
  const { cluster, jobs, rules = [] } = known;
  const segments = placement?.segments ?? [];
  const unanswered = placement?.unanswered ?? [];
  const counts = countCopies(segments);
  const cached = placement ? extentOf(placement, counts) : 'not';
  const reasons = [
    ...ruleReasons(rules),
    ...(placement ? [] : ['no peer has a record of this file']),
    ...(placement && segments.length === 0 ? [noSegmentsReason(placement)] : []),
    ...missingReasons(segments, unanswered, cluster),
    ...(cached === 'fully' ? [] : jobReasons(path, jobs)),
    ...strayReasons(segments),
    ...(cached === 'fully' ? [] : silentReasons(segments, unanswered, cluster)),
    ...(cluster.stale ? ['no quorum confirms the state of the cluster at the moment'] : []),
  ];
  return { path, cached, segmentCount: segments.length, ...counts, unanswered, reasons };
}

interface CopyCounts {
  readonly residentSegmentCount: number;
  readonly wantedCopyCount: number;
  readonly residentCopyCount: number;
}

function countCopies(segments: readonly SegmentPlacement[]): CopyCounts {
  let residentSegmentCount = 0;
  let wantedCopyCount = 0;
  let residentCopyCount = 0;
  for (const { owners, residentOn } of segments) {
    if (residentOn.length > 0) residentSegmentCount++;
    wantedCopyCount += owners.length;
    residentCopyCount += owners.filter((owner) => residentOn.includes(owner)).length;
  }
  return { residentSegmentCount, wantedCopyCount, residentCopyCount };
}

function noSegmentsReason({ record }: FilePlacement): string {
  return record.sizeBytes === 0
    ? 'the file is empty: there is no data to cache'
    : 'the ring names no owner for it at the moment';
}

function extentOf(
  { record, segments, unanswered }: FilePlacement,
  counts: CopyCounts,
): CachedExtent {
  if (segments.length === 0) return record.sizeBytes === 0 ? 'fully' : 'not';
  if (counts.residentCopyCount === counts.wantedCopyCount) return 'fully';
  if (counts.residentSegmentCount === segments.length) return 'readable';
  if (counts.residentSegmentCount > 0) return 'partly';
  return unanswered.length > 0 ? 'unknown' : 'not';
}

/** What rules of the path, or of directories above it, have to do with it; the longest path first. */
function ruleReasons(rules: readonly RuleAnswer[]): string[] {
  const sorted = rules.toSorted((a, b) => b.path.length - a.path.length);
  const first = <Field extends keyof RuleAnswer>(
    field: Field,
    tell: (value: NonNullable<RuleAnswer[Field]>, path: string) => string | undefined,
  ): string[] => {
    const rule = sorted.find((candidate) => candidate[field] !== undefined);
    const value = rule?.[field];
    return rule && value !== undefined ? [tell(value, rule.path) ?? []].flat() : [];
  };
  return [
    ...first('freshness', (freshness, path) => {
      if (freshness === 'skip') return `the rule of ${path} says that it is never cached`;
      if (freshness === 'immutable') return undefined;
      const when = freshness === 'always' ? 'for each read' : `once ${freshness} have passed`;
      return `the rule of ${path} has the under store asked for its version ${when}`;
    }),
    ...first('pinned', (pinned, path) =>
      pinned ? `it is pinned by the rule of ${path}: it is not evicted` : undefined,
    ),
    ...first('priority', (priority, path) => `its priority is ${priority}, by the rule of ${path}`),
    ...first(
      'ttlMs',
      (ttlMs, path) => `the rule of ${path} evicts it after ${formatDuration(ttlMs)}`,
    ),
    ...sorted.flatMap(({ path, quotaBytes }) =>
      quotaBytes === undefined
        ? []
        : [`all below ${path} may take ${formatSize(quotaBytes)} of the caches, copies counted`],
    ),
  ];
}

function missingReasons(
  segments: readonly SegmentPlacement[],
  unanswered: readonly PeerId[],
  cluster: ClusterView,
): string[] {
  const missing = new Map<PeerId, number>();
  for (const { owners, residentOn } of segments) {
    for (const owner of owners) {
      if (!residentOn.includes(owner)) missing.set(owner, (missing.get(owner) ?? 0) + 1);
    }
  }
  return [...missing].map(([owner, count]) => {
    const member = cluster.members.find((candidate) => candidate.id === owner);
    const what = plural(count, 'segment');
    if (!member) return `${owner} should hold ${what}, but is no member any more`;
    if (member.state !== 'up') {
      return `${member.address} should hold ${what}, but is ${member.state}`;
    }
    return unanswered.includes(owner)
      ? `${member.address} should hold ${what}, but could not be asked`
      : `${member.address} should hold ${what}, and does not`;
  });
}

/** Members that the ring does not name for the file, but that may hold copies all the same. */
function silentReasons(
  segments: readonly SegmentPlacement[],
  unanswered: readonly PeerId[],
  cluster: ClusterView,
): string[] {
  const owners = new Set(segments.flatMap((segment) => segment.owners));
  return unanswered
    .filter((peer) => !owners.has(peer))
    .map((peer) => cluster.members.find(({ id }) => id === peer)?.address ?? peer)
    .map((name) => `${name} could not be asked: it may hold copies`);
}

function strayReasons(segments: readonly SegmentPlacement[]): string[] {
  let count = 0;
  for (const { owners, residentOn } of segments) {
    count += residentOn.filter((peer) => !owners.includes(peer)).length;
  }
  return count === 0
    ? []
    : [
        `${plural(count, 'more copy', 'more copies')} on peers that the ring does not name (any more)`,
      ];
}

/** What the newest load that covers the path did with the file. */
function jobReasons(path: string, jobs: readonly JobStatus[]): string[] {
  const job = jobs.find(({ spec }) => mayCover(spec, path));
  if (!job) return ['no load of this path, or of a directory above it, is known'];
  const name = `load ${job.id} of ${job.spec.path}`;
  const failed = job.failedFiles.find((file) => file.path === path);
  if (failed) return [`${name} could not load it: ${failed.code}: ${failed.message}`];
  return [`${name} ${jobOutcome(job)}`, ...specReasons(job)];
}

/** Of a list of paths in a file nothing is known here, of many paths only the first ones. */
function mayCover({ path: root, paths = [root], index }: JobStatus['spec'], path: string): boolean {
  if (index !== undefined) return false;
  return paths.some((each) => path === each || path.startsWith(`${each}/`));
}

function jobOutcome(job: JobStatus): string {
  if (isActive(job.state)) return `is ${job.state}: the file may still be to come`;
  const when = job.endedAtMs === undefined ? '' : ` at ${formatTime(job.endedAtMs)}`;
  if (job.state === 'STOPPED') return `was stopped${when}: submit it again to resume it`;
  if (job.state === 'SUCCEEDED') {
    return `succeeded${when}: what is missing was evicted since, or the file or the ring changed`;
  }
  return job.failure
    ? `failed${when}: ${job.failure.code}: ${job.failure.message}`
    : `failed${when}`;
}

function specReasons({ spec }: JobStatus): string[] {
  return [
    ...(spec.metadataOnly ? ['that load asked for metadata only'] : []),
    ...(spec.fileFilterRegex === undefined
      ? []
      : [`that load took only files whose name matches ${spec.fileFilterRegex}`]),
    ...(hasFilters(spec) ? ['that load left out files by glob, size or age'] : []),
  ];
}

function hasFilters(spec: JobStatus['spec']): boolean {
  const { include, exclude, minSizeBytes, maxSizeBytes, modifiedAfterMs, modifiedBeforeMs } = spec;
  const all = [include, exclude, minSizeBytes, maxSizeBytes, modifiedAfterMs, modifiedBeforeMs];
  return all.some((filter) => filter !== undefined);
}
