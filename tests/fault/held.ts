/**
 * Who holds what was loaded: checked from outside, segment by segment, at those who should have it.
 */
import type { FilePlacement } from '../../src/http/services.ts';
import type { JobStatus } from '../../src/job/job-status.ts';
import type { Peer } from '../support/peer-process.ts';
import { type Asserts, inTurns, metricOf, pathOf, segmentCountOf } from './expect.ts';
import type { Load } from './load.ts';
import { waitUntilInOrder } from './members.ts';
import { type FileSet, SEGMENT_BYTES, type Stage } from './stage.ts';

/**
 * No false success: R owners were certified to hold every segment, and they do.
 *
 * Under the ring of the certificate they do at once: nothing is waited for that repair could bring
 * back. Once the ring is another one, R peers hold each segment still, if every peer runs; and when
 * repair has nothing left to do, so do the owners that the ring has now.
 */
export async function expectHeld(t: Asserts, load: Load, status: JobStatus): Promise<void> {
  const { stage, files, replicaCount } = load;
  expectCertified(t, load, status);
  const ownersHold = isOnOwners(replicaCount);
  const missing = await misplaced(stage, files.keys, ownersHold);
  // Why asked last: a ring that changed meanwhile explains what is missing.
  if (await isRingOf(stage, status.certificate?.epoch)) {
    t.deepEqual(missing, [], stage.cluster.logs());
    return;
  }
  if (stage.cluster.runningPeers.length === stage.cluster.peers.length) {
    await expectCopies(t, stage, files.keys, replicaCount);
  }
  await waitUntilInOrder(stage);
  t.deepEqual(await misplaced(stage, files.keys, ownersHold), [], stage.cluster.logs());
}

/** The verdict was taken over R copies of every segment at least. */
export function expectCertified(t: Asserts, load: Load, { certificate }: JobStatus): void {
  const copyCount = load.replicaCount * segmentCountOf(load.stage, load.files.keys);
  t.true((certificate?.segmentCount ?? 0) >= copyCount, JSON.stringify(certificate));
}

/** Whether every peer that runs has the ring of that epoch. */
async function isRingOf(stage: Stage, epoch: number | undefined): Promise<boolean> {
  const views = await Promise.all(stage.cluster.runningPeers.map(({ api }) => api.cluster()));
  return views.every((view) => view.epoch === epoch);
}

/** Every segment of every file lies on its owners, and these are R live peers. */
export async function expectResident(
  t: Asserts,
  stage: Stage,
  files: Pick<FileSet, 'keys'>,
  replicaCount: number,
): Promise<void> {
  const missing = await misplaced(stage, files.keys, isOnOwners(replicaCount));
  t.deepEqual(missing, [], stage.cluster.logs());
}

/** Every segment of every file lies on R live peers, whether the ring of now wants it there or not. */
export async function expectCopies(
  t: Asserts,
  stage: Stage,
  keys: readonly string[],
  replicaCount: number,
): Promise<void> {
  const missing = await misplaced(stage, keys, ({ residentOn }, live) => {
    return residentOn.filter((peer) => live.has(peer)).length >= replicaCount;
  });
  t.deepEqual(missing, [], stage.cluster.logs());
}

/**
 * No false success where caches are full: of what a job left on its owners, nobody lacks more than
 * it evicted since `before`.
 */
export async function expectHeldOrEvicted(
  t: Asserts,
  load: Load,
  status: JobStatus,
  before: ReadonlyMap<Peer, number>,
): Promise<void> {
  expectCertified(t, load, status);
  const placed = await placements(load.stage, load.files.keys);
  for (const [peer, count] of before) {
    const { id } = await peer.api.self();
    const lacks = placed.filter(
      ({ owners, residentOn }) => owners.includes(id) && !residentOn.includes(id),
    );
    const evictedCount = (await evictionsOf(peer)) - count;
    const context = `peer ${peer.index} evicted ${evictedCount}, and lacks ${namesOf(lacks)}`;
    t.true(lacks.length <= evictedCount, context);
  }
}

/** Segments that repair copied to a peer since its process started. */
export function repairedCountOf(peer: Peer): Promise<number> {
  return metricOf(peer, 'ringload_repair_copied_segments_total');
}

/** Segments that a peer's process evicted so far. */
export function evictionsOf(peer: Peer): Promise<number> {
  return metricOf(peer, 'ringload_cache_evictions_total');
}

interface PlacedSegment extends Pick<FilePlacement['segments'][number], 'owners' | 'residentOn'> {
  readonly name: string;
}

const namesOf = (segments: readonly PlacedSegment[]): string =>
  segments.map(({ name }) => name).join(', ');

type IsPlaced = (segment: PlacedSegment, live: ReadonlySet<string>) => boolean;

const isOnOwners =
  (replicaCount: number): IsPlaced =>
  ({ owners, residentOn }, live) =>
    owners.filter((owner) => live.has(owner) && residentOn.includes(owner)).length === replicaCount;

/** The segments that are not where they are wanted, as those say that hold them. */
async function misplaced(
  stage: Stage,
  keys: readonly string[],
  isPlaced: IsPlaced,
): Promise<readonly string[]> {
  const live = await livePeers(stage);
  return (await placements(stage, keys))
    .filter((segment) => !isPlaced(segment, live))
    .map(({ name, owners, residentOn }) => {
      return `${name}: owners ${owners.join(' ')}, on ${residentOn.join(' ')}`;
    });
}

/** Every segment that these files have or should have; each peer is asked for some of them. */
async function placements(
  stage: Stage,
  keys: readonly string[],
): Promise<readonly PlacedSegment[]> {
  const { runningPeers } = stage.cluster;
  const live = await livePeers(stage);
  const found: PlacedSegment[] = [];
  await inTurns(keys, 8, async (key, position) => {
    const reader = runningPeers[position % runningPeers.length];
    const placed = reader && (await everybodyAsked(stage, reader, key, live));
    const sizeBytes = stage.origin.objects.find(key)?.sizeBytes ?? 0;
    const count = Math.max(Math.ceil(sizeBytes / SEGMENT_BYTES), placed?.segments.length ?? 0);
    for (let index = 0; index < count; index += 1) {
      const { owners = [], residentOn = [] } = placed?.segments[index] ?? {};
      found.push({ name: `${key} segment ${index}`, owners, residentOn });
    }
  });
  return found;
}

async function livePeers(stage: Stage): Promise<ReadonlySet<string>> {
  const selves = await Promise.all(stage.cluster.runningPeers.map(({ api }) => api.self()));
  return new Set(selves.map(({ id }) => id));
}

/** Why wait: who is just back is not linked to everybody yet, and what it holds is not known. */
function everybodyAsked(
  stage: Stage,
  reader: Peer,
  key: string,
  live: ReadonlySet<string>,
): Promise<FilePlacement> {
  return stage.cluster.waitFor(
    async () => {
      const placed = await reader.api.placement(pathOf(key));
      return placed.unanswered.some((peer) => live.has(peer)) ? undefined : placed;
    },
    `peer ${String(reader.index)} to hear from everybody what they hold of ${key}`,
    30_000,
  );
}
