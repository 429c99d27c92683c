/**
 * Rules that join several options: each compares values that are fine one by one. Checked after
 * the schema, before anything starts.
 */
import { showBytes } from './option.ts';
import type { RingloadConfig } from './schema.ts';

export interface Violation {
  /** The option to look at first. */
  readonly key: string;
  readonly message: string;
}

/** A cache smaller than this many segments would evict what it just loaded. */
export const CACHE_SEGMENT_MIN_COUNT = 16;

/** Regions that a directory has to hold, so that one can be written while another is reclaimed. */
export const DIRECTORY_REGION_MIN_COUNT = 2;

/** Segments of a region occupy whole pages of this size. */
const PAGE_BYTES = 4096;

type Rule = (config: RingloadConfig) => readonly (Violation | false)[];

const RULES: readonly Rule[] = [raftTimes, livenessTimes, cacheSizes, loadWindows, delays, mounts];

export function checkRelations(config: RingloadConfig): Violation[] {
  return RULES.flatMap((rule) => rule(config).filter((violation) => violation !== false));
}

function raftTimes({ raft }: RingloadConfig) {
  return [
    raft.electionTicks <= raft.heartbeatTicks &&
      broken(
        'raft.electionTicks',
        `is ${raft.electionTicks}, has to be more than raft.heartbeatTicks, which is ${raft.heartbeatTicks}`,
      ),
    raft.maxVoters % 2 === 0 && broken('raft.maxVoters', `is ${raft.maxVoters}, has to be odd`),
  ];
}

function livenessTimes({ liveness }: RingloadConfig) {
  return [
    more(liveness, 'liveness', 'linkTimeoutMs', 'pingIntervalMs'),
    more(liveness, 'liveness', 'suspectAfterMs', 'pingIntervalMs'),
    more(liveness, 'liveness', 'downAfterMs', 'suspectAfterMs'),
  ];
}

function cacheSizes({ cache, load }: RingloadConfig) {
  const { directories, regionSizeBytes } = cache;
  const capacityBytes = directories.reduce((sum, directory) => sum + directory.capacityBytes, 0);
  const smallestBytes = load.segmentSizeBytes * CACHE_SEGMENT_MIN_COUNT;
  return [
    cache.hotCopiesBytes > capacityBytes / 2 &&
      broken(
        'cache.hotCopiesBytes',
        `is ${showBytes(cache.hotCopiesBytes)}, has to be at most half of cache.directories, which hold ${showBytes(capacityBytes)}`,
      ),
    regionSizeBytes < Math.ceil(load.segmentSizeBytes / PAGE_BYTES) * PAGE_BYTES &&
      broken(
        'cache.regionSizeBytes',
        `is ${showBytes(regionSizeBytes)}, has to hold a segment of load.segmentSizeBytes, which is ${showBytes(load.segmentSizeBytes)}`,
      ),
    capacityBytes < smallestBytes &&
      broken(
        'cache.directories',
        `hold ${showBytes(capacityBytes)}, have to hold ${CACHE_SEGMENT_MIN_COUNT} segments of load.segmentSizeBytes: ${showBytes(smallestBytes)}`,
      ),
    ...directories.map(
      ({ path, capacityBytes: own }) =>
        own < regionSizeBytes * DIRECTORY_REGION_MIN_COUNT &&
        broken(
          'cache.directories',
          `give ${path} ${showBytes(own)}, it has to hold ${DIRECTORY_REGION_MIN_COUNT} regions of cache.regionSizeBytes, which is ${showBytes(regionSizeBytes)}`,
        ),
    ),
    repeated(
      'cache.directories',
      directories.map(({ path }) => path.replace(/\/+$/, '')),
    ),
  ];
}

function loadWindows({ load }: RingloadConfig) {
  return [
    load.maxActiveJobs < load.maxRunningJobs &&
      broken(
        'load.maxActiveJobs',
        `is ${load.maxActiveJobs}, has to be at least load.maxRunningJobs, which is ${load.maxRunningJobs}`,
      ),
    load.windowBytes < load.segmentSizeBytes &&
      broken(
        'load.windowBytes',
        `is ${showBytes(load.windowBytes)}, has to hold a segment of load.segmentSizeBytes, which is ${showBytes(load.segmentSizeBytes)}`,
      ),
    load.windowTasks < load.batchSize &&
      broken(
        'load.windowTasks',
        `is ${load.windowTasks}, has to be at least load.batchSize, which is ${load.batchSize}`,
      ),
  ];
}

function delays({ load, ufs, http }: RingloadConfig) {
  return [
    atLeast(load, 'load', 'retryDelayMaxMs', 'retryDelayMs'),
    atLeast(ufs, 'ufs', 'retryDelayMaxMs', 'retryDelayMs'),
    atLeast(ufs, 'ufs', 'requestTimeoutMs', 'connectTimeoutMs'),
    atLeast(http, 'http', 'requestTimeoutMs', 'headersTimeoutMs'),
  ];
}

function mounts({ ufs }: RingloadConfig) {
  const paths = ufs.mounts.map(({ path }) => path.replace(/(?<=[^/])\/+$/, ''));
  return [repeated('ufs.mounts', paths)];
}

function repeated(key: string, paths: readonly string[]): Violation | false {
  const second = paths.find((path, index) => paths.indexOf(path) !== index);
  return second !== undefined && broken(key, `name ${second} twice`);
}

function more<Slice extends object>(
  slice: Slice,
  section: string,
  larger: keyof Slice & string,
  smaller: keyof Slice & string,
): Violation | false {
  const [value, bound] = [Number(slice[larger]), Number(slice[smaller])];
  if (value > bound) return false;
  const rule = `has to be more than ${section}.${smaller}, which is ${bound}`;
  return broken(`${section}.${larger}`, `is ${value}, ${rule}`);
}

function atLeast<Slice extends object>(
  slice: Slice,
  section: string,
  larger: keyof Slice & string,
  smaller: keyof Slice & string,
): Violation | false {
  const [value, bound] = [Number(slice[larger]), Number(slice[smaller])];
  if (value >= bound) return false;
  const rule = `has to be at least ${section}.${smaller}, which is ${bound}`;
  return broken(`${section}.${larger}`, `is ${value}, ${rule}`);
}

function broken(key: string, rule: string): Violation {
  return { key, message: `${key} ${rule}` };
}
