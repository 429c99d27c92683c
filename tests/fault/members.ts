/** What stories about members ask a stage: who votes, who is who, whether all copies are there. */
import type { ClusterView, MemberView } from '../../src/http/services.ts';
import type { Peer } from '../support/peer-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { SteadyReader } from './steady-reader.ts';
import type { FileSet, Stage } from './stage.ts';

/** Settings under which who is away for a short while keeps its place on the ring. */
export const PATIENT = { RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000 };

/** A running peer that does not lead. */
export async function followerOf(stage: Stage): Promise<Peer> {
  const leader = await stage.cluster.waitForLeader();
  const follower = stage.cluster.peers.find((peer) => peer !== leader && peer.running);
  if (follower === undefined) throw new Error('no follower');
  return follower;
}

/**
 * Waits until every member says that under the ring of now nothing is left to repair; answers what
 * they said. Too late shows how far they came.
 */
export function waitUntilInOrder(stage: Stage): Promise<ClusterView['repair']> {
  let progress: ClusterView['repair'] = [];
  return waitFor(
    async () => {
      const { repair, epoch } = await currentView(stage);
      progress = repair;
      const count = stage.cluster.runningPeers.length;
      const isDone = repair.every((each) => each.idle && each.epoch === epoch);
      return repair.length === count && isDone && repair;
    },
    {
      what: 'every member to have nothing to repair',
      deadlineMs: 60_000,
      context: () => `${JSON.stringify(progress)}\n${stage.cluster.logs()}`,
    },
  );
}

/** What each member is to Raft, in the order in which they joined; undefined while unknown. */
async function rolesOf(stage: Stage): Promise<(MemberView['role'] | undefined)[]> {
  const view = await currentView(stage);
  return stage.cluster.peers.map(
    (peer) => view.members.find(({ address }) => address === peer.advertisedAddress)?.role,
  );
}

export function currentView(stage: Stage): Promise<ClusterView> {
  return stage.cluster.waitFor(async () => {
    for (const { api } of stage.cluster.runningPeers) {
      const view = await api.cluster();
      if (!view.stale) return view;
    }
    return undefined;
  }, 'a view that is current');
}

/** Leader and voters are the same here. */
export function waitForRoles(
  stage: Stage,
  wanted: readonly ('voter' | 'learner')[],
): Promise<unknown> {
  return stage.cluster.waitFor(
    async () => {
      const roles = await rolesOf(stage);
      const kinds = roles.map((role) => (role === 'leader' ? 'voter' : role));
      return kinds.join(' ') === wanted.join(' ');
    },
    `the members to be ${wanted.join(', ')}`,
    30_000,
  );
}

export async function memberIdOf(peer: Peer): Promise<string> {
  return (await peer.api.self()).id;
}

export async function waitUntilResident(
  stage: Stage,
  files: FileSet,
  replicas: number,
  epochAbove: number,
): Promise<void> {
  await stage.cluster.waitFor(
    async () => {
      for (const { api } of stage.cluster.runningPeers) {
        if ((await api.cluster()).epoch <= epochAbove) return false;
      }
      for (const [position, key] of files.keys.entries()) {
        const peer = stage.cluster.runningPeers[position % stage.cluster.runningPeers.length];
        const placed = await peer?.api.placement(`s3://origin/${key}`);
        for (const { owners, residentOn } of placed?.segments ?? []) {
          if (owners.length !== replicas) return false;
          if (!owners.every((owner) => residentOn.includes(owner))) return false;
        }
      }
      return true;
    },
    'every segment to be on its owners again',
    60_000,
  );
}

/** How often a leader found a member silent for too long, as the logs tell. */
export function suspicionsOf({ cluster }: Stage): number {
  return cluster.logs().match(/member judged .*verdict=suspect/g)?.length ?? 0;
}

/** Reads these files again and again at these peers (default: all that serve), until stopped. */
export function readSteadily(
  stage: Stage,
  files: Pick<FileSet, 'keys'>,
  peers: () => readonly Peer[] = () => stage.cluster.runningPeers.filter(({ serves }) => serves),
): SteadyReader {
  const digests = new Map(files.keys.map((key) => [key, stage.origin.expectedSha256(key)]));
  return new SteadyReader({
    keys: files.keys,
    peers,
    expectedSha256: (key) => digests.get(key) ?? '',
  });
}
