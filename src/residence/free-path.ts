/**
 * Frees a path in the whole cluster; the under store is not touched. The free is agreed on first:
 * from then on it is certain, whoever asked for it, and each peer lets go as soon as it hears of it.
 * Who cannot be asked is named: it does so when it is back.
 */
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import { MergedCatalogue } from '../verify/merged-catalogue.ts';
import type { Amount, FreedAmounts, FreedAtPeer, FreeEvent, FreeReport } from './report.ts';
import type { ResidenceNetwork, ResidencePlacement } from './residence-network.ts';

export interface FreeRequest {
  readonly path: string;
  readonly evenPinned: boolean;
}

export interface FreeParts {
  readonly network: ResidenceNetwork;
  readonly placement: ResidencePlacement;
  /** Has the cluster agree; resolves with the number of the free. @throws no_leader, conflict */
  readonly agree: (request: FreeRequest) => Promise<number>;
}

/** Files between two words about progress. */
const PROGRESS_FILE_COUNT = 10_000;
const NOTHING: Amount = { segments: 0, bytes: 0 };
const NONE: FreedAmounts = { records: 0, freed: NOTHING, leased: NOTHING, pinned: NOTHING };

export async function* freePath(
  request: FreeRequest,
  { network, placement, agree }: FreeParts,
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
  signal.throwIfAborted();
  const number = await agree(request);
  const pending = new Map(
    members.map((id) => [id, freedAt(id, number, network, placement, signal)]),
  );
  const peers: FreedAtPeer[] = [];
  while (pending.size > 0) {
    const answer = await Promise.race(pending.values());
    pending.delete(answer.id);
    peers.push(answer);
    signal.throwIfAborted();
    yield { progress: { files, peersDone: peers.length, peersAsked: members.length } };
  }
  peers.sort((a, b) => members.indexOf(a.id) - members.indexOf(b.id));
  yield { report: reportOf(request.path, files, peers) };
}

/** Never rejects. */
async function freedAt(
  id: PeerId,
  number: number,
  network: ResidenceNetwork,
  placement: ResidencePlacement,
  signal: AbortSignal,
): Promise<FreedAtPeer> {
  if (!placement.isReachable(id)) return { id, ...NONE, error: 'not linked' };
  try {
    return { id, ...(await network.freed(id, number, signal)) };
  } catch (thrown) {
    const { code, message } = toRingloadError(thrown);
    return { id, ...NONE, error: `${code}: ${message}` };
  }
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
