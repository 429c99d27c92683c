/**
 * Frees a path in the whole cluster; the under store is not touched. All peers forget the records
 * before any lets go of bytes, since a peer that still knows a file would have its copies restored.
 * Who cannot be asked is named: what it holds comes back with it.
 */
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import { MergedCatalogue } from '../verify/merged-catalogue.ts';
import type { Amount, FreedAmounts, FreedAtPeer, FreeEvent, FreeReport } from './report.ts';
import type { FreeOrder, ResidenceNetwork, ResidencePlacement } from './residence-network.ts';

export interface FreeRequest {
  readonly path: string;
  readonly evenPinned: boolean;
}

/** Files between two words about progress. */
const PROGRESS_FILE_COUNT = 10_000;
const NOTHING: Amount = { segments: 0, bytes: 0 };
const NONE: FreedAmounts = { records: 0, freed: NOTHING, leased: NOTHING, pinned: NOTHING };

export async function* freePath(
  request: FreeRequest,
  network: ResidenceNetwork,
  placement: ResidencePlacement,
  signal: AbortSignal,
): AsyncGenerator<FreeEvent> {
  const { members } = placement;
  let files = 0;
  for await (const _file of new MergedCatalogue([request.path], network, placement).files()) {
    signal.throwIfAborted();
    files += 1;
    if (files % PROGRESS_FILE_COUNT === 0)
      yield { progress: { files, peersDone: 0, peersAsked: members.length } };
  }
  const atPeers = new Map<PeerId, FreedAtPeer>(members.map((id) => [id, { id, ...NONE }]));
  for (const what of ['records', 'segments'] as const) {
    const pending = new Map(
      members.map((id) => [id, freeAt(id, { ...request, what }, network, placement, signal)]),
    );
    while (pending.size > 0) {
      const { id, ...answer } = await Promise.race(pending.values());
      pending.delete(id);
      atPeers.set(id, merged(atPeers.get(id) ?? { id, ...NONE }, answer));
      signal.throwIfAborted();
      const peersDone = what === 'records' ? 0 : members.length - pending.size;
      yield { progress: { files, peersDone, peersAsked: members.length } };
    }
  }
  yield { report: reportOf(request.path, files, [...atPeers.values()]) };
}

/** Never rejects. */
async function freeAt(
  id: PeerId,
  order: FreeOrder,
  network: ResidenceNetwork,
  placement: ResidencePlacement,
  signal: AbortSignal,
): Promise<FreedAtPeer> {
  if (!placement.isReachable(id)) return { id, ...NONE, error: 'not linked' };
  try {
    return { id, ...(await network.free(id, order, signal)) };
  } catch (thrown) {
    const { code, message } = toRingloadError(thrown);
    return { id, ...NONE, error: `${code}: ${message}` };
  }
}

/** The second answer repeats what is kept, and may find more records to forget. */
function merged(before: FreedAtPeer, answer: Omit<FreedAtPeer, 'id'>): FreedAtPeer {
  const { error: _, ...known } = before;
  return {
    ...known,
    records: before.records + answer.records,
    freed: plus(before.freed, answer.freed),
    leased: answer.leased,
    pinned: answer.pinned,
    ...(answer.error !== undefined && { error: answer.error }),
  };
}

function reportOf(path: string, files: number, peers: readonly FreedAtPeer[]): FreeReport {
  const sum = (name: 'freed' | 'leased' | 'pinned'): Amount =>
    peers.reduce((total, peer) => plus(total, peer[name]), NOTHING);
  const [freed, leased, pinned] = [sum('freed'), sum('leased'), sum('pinned')];
  const isKept = leased.segments + pinned.segments > 0;
  const complete = !isKept && peers.every(({ error }) => error === undefined);
  return { path, files, freed, leased, pinned, peers, complete };
}

function plus(a: Amount, b: Amount): Amount {
  return { segments: a.segments + b.segments, bytes: a.bytes + b.bytes };
}
