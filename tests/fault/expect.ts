/**
 * What must hold after a story: exact accounting, no false success, right bytes.
 *
 * Each is checked from outside: the origin's own figures against the job's, residency peer by
 * peer, and every object read back and compared with what the origin has.
 */
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import type { JobStatus } from '../../src/job/job-status.ts';
import { expectHeld } from './held.ts';
import type { Load } from './load.ts';

import { SEGMENT_BYTES, type Stage } from './stage.ts';

/** What is needed to say what must hold: ava's `t`, or one that throws, outside of it. */
export interface Asserts {
  is(actual: unknown, expected: unknown, message?: string): void;
  deepEqual(actual: unknown, expected: unknown, message?: string): void;
  true(actual: unknown, message?: string): void;
  truthy(actual: unknown, message?: string): void;
  log(...values: readonly unknown[]): void;
}

export interface Expected {
  /** Keys of the set that must have failed, or been deleted. Default none. */
  readonly failed?: readonly string[];
  /** Peers that read; default all that run. */
  readonly readers?: readonly Peer[];
}

/** SUCCEEDED, and true: counted exactly, held by R live owners, readable without the origin. */
export async function expectLoaded(
  t: Asserts,
  load: Load,
  expected: Expected = {},
): Promise<JobStatus> {
  const status = await load.status();
  t.is(status.state, 'SUCCEEDED');
  t.truthy(status.digest);
  expectExactAccounting(t, load, status);
  await expectHeld(t, load, status);
  await expectBytesFromCache(t, load.stage, load.files.keys, expected.readers);
  return status;
}

/** `listed = loaded + skipped + failed + filtered`, and the same for bytes, by the origin's sizes. */
export function expectExactAccounting(
  t: Asserts,
  load: Load,
  status: JobStatus,
  expected: Expected = {},
): void {
  const { counters } = status;
  const failed = new Set(expected.failed);
  const { keys } = load.files;
  const context = JSON.stringify(counters);
  t.is(counters.listedFiles, keys.length, context);
  t.is(counters.failedFiles, failed.size, context);
  t.is(
    counters.loadedFiles + counters.skippedFiles + counters.failedFiles + counters.filteredFiles,
    counters.listedFiles,
    context,
  );
  const settledBytes = counters.loadedBytes + counters.skippedBytes + counters.failedBytes;
  t.is(settledBytes, counters.listedBytes, context);
  const wholeBytes = sum(keys.filter((key) => !failed.has(key)).map((key) => sizeOf(load, key)));
  t.is(counters.loadedBytes + counters.skippedBytes, wholeBytes, context);
}

/** Right bytes from every peer in turn, and not one request to the origin for them. */
export async function expectBytesFromCache(
  t: Asserts,
  stage: Stage,
  keys: readonly string[],
  readers?: readonly Peer[],
): Promise<void> {
  const before = stage.origin.countOf('get');
  await expectBytes(t, stage, keys, readers);
  t.is(stage.origin.countOf('get') - before, 0, 'reads of what is loaded asked the origin');
}

/** Right bytes from every peer in turn, wherever they come from. */
export async function expectBytes(
  t: Asserts,
  stage: Stage,
  keys: readonly string[],
  readers: readonly Peer[] = stage.cluster.runningPeers,
): Promise<void> {
  const wrong: string[] = [];
  await inTurns(keys, 8, async (key, position) => {
    const reader = readers[position % readers.length];
    const bytes = await reader?.api.readFile(pathOf(key)).catch((error: unknown) => String(error));
    if (typeof bytes === 'object' && sha256(bytes) === stage.origin.expectedSha256(key)) return;
    wrong.push(typeof bytes === 'string' ? bytes : `${key}: ${bytes?.length ?? 0} other bytes`);
  });
  t.deepEqual(wrong, []);
}

/** At most what was in flight at each of `interruptions` is fetched a second time (L2). */
export function expectFewFetches(
  t: Asserts,
  load: Load,
  allowance: { readonly repeatedMaxCount: number },
): void {
  const fetches = load.stage.origin.getsBelow(load.files.prefix).length;
  const segments = segmentCountOf(load.stage, load.files.keys);
  t.log(`${fetches} fetches of ${segments} segments`);
  t.true(fetches >= segments);
  const context = `${fetches} fetches of ${segments}\n${repeatedOf(load)}\n${load.stage.cluster.logs()}`;
  t.true(fetches - segments <= allowance.repeatedMaxCount, context);
}

/** What was asked for more than once, and when, in milliseconds since the first request. */
function repeatedOf({ stage, files }: Load): string {
  const gets = stage.origin.getsBelow(files.prefix);
  const times = new Map<string, number[]>();
  for (const { key, headers, atMs } of gets) {
    const name = `${key} ${headers.range}`;
    const known = times.get(name) ?? [];
    known.push(Math.round(atMs - (gets[0]?.atMs ?? 0)));
    times.set(name, known);
  }
  const repeated = [...times].filter(([, each]) => each.length > 1);
  return repeated.map(([name, each]) => `${name} at ${each.join(', ')}`).join('\n');
}

export function segmentCountOf(stage: Stage, keys: readonly string[]): number {
  const sizes = keys.map((key) => stage.origin.objects.find(key)?.sizeBytes ?? 0);
  return sum(sizes.map((sizeBytes) => Math.ceil(sizeBytes / SEGMENT_BYTES)));
}

/** Value of a metric without labels. */
export async function metricOf(peer: Peer, name: string): Promise<number> {
  const line = (await peer.api.metrics()).split('\n').find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? Number.NaN);
}

export const pathOf = (key: string): string => `s3://origin/${key}`;

/** `work` for every item, so many at a time. */
export async function inTurns<T>(
  items: readonly T[],
  parallelCount: number,
  work: (item: T, position: number) => Promise<void>,
): Promise<void> {
  const entries = items.entries();
  const lane = async (): Promise<void> => {
    for (const [position, item] of entries) await work(item, position);
  };
  await Promise.all(Array.from({ length: parallelCount }, lane));
}

const sum = (numbers: readonly number[]): number =>
  numbers.reduce((total, each) => total + each, 0);
const sizeOf = (load: Load, key: string): number =>
  load.stage.origin.objects.find(key)?.sizeBytes ?? 0;
