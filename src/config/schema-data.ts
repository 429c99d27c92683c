/**
 * Options of what holds and moves data: cache, under file systems, load jobs. See `schema.ts` for
 * the whole and for the conventions.
 */
import { z } from 'zod';
import { parseFreshness } from '../base/path-rule.ts';
import { GIB, KIB, MIB } from '../base/units.ts';
import {
  formatCacheDirectory,
  formatMount,
  parseCacheDirectory,
  parseMount,
} from './list-items.ts';
import {
  bytes,
  bytesValue,
  choice,
  DAY_MS,
  durationMs,
  HOUR_MS,
  integer,
  list,
  MINUTE_MS,
  SECOND_MS,
} from './option.ts';

const TIB = 1024 * GIB;

const CACHE_DIRECTORY = z.strictObject({
  path: z.string().min(1),
  capacityBytes: bytesValue(16 * MIB, 1024 * TIB),
});

export const cache = z.strictObject({
  directories: list({
    description:
      'Directories that hold cached segments, one per disk, each with the bytes it may use at most.',
    flag: 'cache-dir',
    item: CACHE_DIRECTORY,
    maxCount: 64,
    placeholder: 'path=size',
    range: 'up to 64, each of 16MiB to 1PiB',
    defaultText: '<peer.dataDir>/cache=10GiB',
    parseItem: parseCacheDirectory,
    formatItem: formatCacheDirectory,
  }),
  regionSizeBytes: bytes({
    description: 'Size of one region file: what is written in sequence and reclaimed as a whole.',
    default: 256 * MIB,
    min: 64 * KIB,
    max: GIB,
  }),
  hotCopiesBytes: bytes({
    description:
      'Bytes of copies that a peer makes of segments of others that its readers ask for again and again, and lets go of when they do not any more; 0: none.',
    default: 0,
    min: 0,
    max: 1024 * TIB,
  }),
});

export const lanes = z.strictObject({
  threadCount: integer({
    description:
      'Threads that receive from S3 and from other peers and write into the cache, for loads and for what readers wait for each; 0: the main thread does, through the SDK.',
    default: 1,
    min: 0,
    max: 64,
  }),
  directIo: choice({
    description:
      'Whether large segments are written around the page cache: auto, where that is no slower, as measured in each cache directory at the start; off.',
    values: ['auto', 'off'],
    default: 'auto',
  }),
});

const NAME = z.string().min(1).max(255);
const CREDENTIALS = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('anonymous') }),
  z.strictObject({
    kind: z.literal('env'),
    accessKeyIdName: NAME,
    secretAccessKeyName: NAME,
    sessionTokenName: NAME.exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('file'),
    accessKeyIdPath: z.string().min(1),
    secretAccessKeyPath: z.string().min(1),
    sessionTokenPath: z.string().min(1).exactOptional(),
  }),
]);

const MOUNT = z.strictObject({
  path: z
    .string()
    .max(2048)
    .regex(
      /^(?:s3:\/\/[A-Za-z0-9._-]+(?:\/|$)|file:\/\/\/)/,
      'expected s3://bucket[/prefix] or file:///directory',
    ),
  endpoint: z
    .string()
    .regex(/^https?:\/\/[^/?#@\s]+\/?$/, 'expected http(s)://host[:port]')
    .exactOptional(),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, 'expected a region such as us-east-1')
    .exactOptional(),
  forcePathStyle: z.boolean().exactOptional(),
  credentials: CREDENTIALS.exactOptional(),
  responseChecksums: z.enum(['verify', 'thorough', 'ignore']).exactOptional(),
  freshness: z
    .string()
    .refine(isFreshness, 'expected immutable, always, skip or a duration')
    .exactOptional(),
  writes: z.enum(['refused', 'through']).exactOptional(),
});

function isFreshness(text: string): boolean {
  try {
    parseFreshness(text);
    return true;
  } catch {
    return false;
  }
}

export const ufs = z.strictObject({
  mounts: list({
    description:
      'Prefixes of under file systems that may be loaded and read, nothing else is ever contacted: `path`, and if need be `endpoint`, `region`, `forcePathStyle`, `credentials`, `responseChecksums`, `freshness` and `writes`. Without `credentials` the standard AWS chain is used. `freshness` says how far readers trust what is cached: immutable (default: what was loaded is served until it is loaded anew; where it is said, what was never loaded is looked up once, too), always (the store is asked for the version of a file for each read), skip (never cached), or a duration such as 30s (asked again after that time); it has to be the same on all peers, and a rule set by `ringload cache rule` for the same path goes before it. `writes` says what becomes of objects that S3 clients write: refused (default), or through (they go to the store, and what is cached of them is forgotten on all peers).',
    flag: 'mount',
    item: MOUNT,
    maxCount: 1_000,
    placeholder: 'uri[,key=value...]',
    range: 'up to 1000 of s3://bucket[/prefix] or file:///directory',
    defaultText: 'none',
    parseItem: parseMount,
    formatItem: formatMount,
  }),
  metadataMaxAgeMs: durationMs({
    description:
      'Time for which a peer remembers size and version of a file that was never loaded, and that a file does not exist; 0: not at all. Mounts and paths with a `freshness` of their own keep to that.',
    default: SECOND_MS,
    min: 0,
    max: HOUR_MS,
  }),
  connectTimeoutMs: durationMs({
    description: 'Time to open a TCP connection.',
    default: 3 * SECOND_MS,
    min: 10,
    max: 5 * MINUTE_MS,
  }),
  requestTimeoutMs: durationMs({
    description:
      'Time from sending a request to its last header byte, TLS handshake and queueing included.',
    default: 20 * SECOND_MS,
    min: 10,
    max: 10 * MINUTE_MS,
  }),
  listTimeoutMs: durationMs({
    description: 'Time for a whole listing page or stat.',
    default: MINUTE_MS,
    min: 10,
    max: HOUR_MS,
  }),
  readTimeoutMs: durationMs({
    description: 'Time to wait for the store in the course of one ranged read, retries included.',
    default: 10 * MINUTE_MS,
    min: 10,
    max: DAY_MS,
  }),
  throughputWindowMs: durationMs({
    description: 'Window of waiting in which a body has to bring `ufs.throughputMinBytes`.',
    default: 10 * SECOND_MS,
    min: 100,
    max: 10 * MINUTE_MS,
  }),
  throughputMinBytes: bytes({
    description:
      'Bytes that a body has to bring in each window, or it counts as stalled; 0 turns this off.',
    default: 64 * KIB,
    min: 0,
    max: GIB,
  }),
  retryMaxCount: integer({
    description: 'Retries of one call; a ranged read gets one more for every 16MiB.',
    default: 4,
    min: 0,
    max: 100,
  }),
  retryDelayMs: durationMs({
    description:
      'First back-off, doubled by every retry, with jitter; four times as long when throttled.',
    default: 100,
    min: 1,
    max: MINUTE_MS,
  }),
  retryDelayMaxMs: durationMs({
    description: 'Longest back-off.',
    default: 5 * SECOND_MS,
    min: 1,
    max: 10 * MINUTE_MS,
  }),
  connectionMaxCount: integer({
    description:
      'Sockets to one endpoint, for loads and for what readers wait for each; further requests queue.',
    default: 128,
    min: 1,
    max: 10_000,
  }),
  bandwidthBps: bytes({
    description:
      'Bytes a second that this peer receives from under stores at most, for loads and readers together; 0: no limit.',
    default: 0,
    min: 0,
    max: TIB,
  }),
  clusterBandwidthBps: bytes({
    description:
      'The same for all members together, shared out by demand; has to be the same on all of them. The share of a member that is away is kept for it until it is removed; 0: no limit.',
    default: 0,
    min: 0,
    max: TIB,
  }),
});

export const load = z.strictObject({
  segmentSizeBytes: bytes({
    description: 'Segment size of a load that asks for none.',
    default: 8 * MIB,
    min: 64 * KIB,
    max: GIB,
  }),
  batchSize: integer({
    description: 'Most tasks in one batch to one owner, for a load that asks for none.',
    default: 200,
    min: 1,
    max: 10_000,
  }),
  concurrency: integer({
    description: 'Segments that this peer fills at the same time.',
    default: 16,
    min: 1,
    max: 1_024,
  }),
  checkpointIntervalMs: durationMs({
    description: 'Time between checkpoints of a running job: what a new leader does again at most.',
    default: 2 * SECOND_MS,
    min: 100,
    max: 5 * MINUTE_MS,
  }),
  taskRetryMaxCount: integer({
    description: 'Times a failed task is tried again before its file counts as failed.',
    default: 3,
    min: 0,
    max: 100,
  }),
  throttlePatienceMs: durationMs({
    description:
      'Time that a task goes on waiting for an under store that asks it to slow down, before that counts as a failure.',
    default: 10 * MINUTE_MS,
    min: 0,
    max: 24 * HOUR_MS,
  }),
  retryDelayMs: durationMs({
    description: 'First delay before a task is tried again, doubled each time, with jitter.',
    default: 500,
    min: 1,
    max: 10 * MINUTE_MS,
  }),
  retryDelayMaxMs: durationMs({
    description: 'Longest delay before a task is tried again.',
    default: 30 * SECOND_MS,
    min: 1,
    max: HOUR_MS,
  }),
  slowAfterMs: durationMs({
    description:
      'An owner that is much slower than the others is spared its fetches once it has had work out for so long.',
    default: 5 * SECOND_MS,
    min: 100,
    max: HOUR_MS,
  }),
  windowTasks: integer({
    description: 'Tasks that may be outstanding at one owner: the credits it grants.',
    default: 512,
    min: 1,
    max: 100_000,
  }),
  windowBytes: bytes({
    description: 'Bytes that may be outstanding at one owner.',
    default: 256 * MIB,
    min: 64 * KIB,
    max: TIB,
  }),
  maxRunningJobs: integer({
    description: 'Jobs that run at once; more wait, by priority and then by age.',
    default: 20,
    min: 1,
    max: 1_000,
  }),
  maxActiveJobs: integer({
    description: 'Jobs that may be waiting or running; more are refused as overloaded.',
    default: 1_000,
    min: 1,
    max: 10_000,
  }),
  jobRetentionMs: durationMs({
    description: 'Time that finished jobs stay listed, counted anew by each leader.',
    default: 7 * DAY_MS,
    min: MINUTE_MS,
    max: 366 * DAY_MS,
  }),
});
