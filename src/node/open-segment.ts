/** What this peer's data endpoint answers with. */
import type { SegmentKey } from '../cache/segment-store.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import type { SegmentRequest } from '../data/segment-request.ts';

/** Serves what is resident; reads through when the reader says how. */
export async function openSegment<Opened>(
  store: { open(key: SegmentKey): Promise<Opened | undefined> },
  loader: SegmentLoader,
  { key, fill }: SegmentRequest,
  signal: AbortSignal,
): Promise<Opened | undefined> {
  const resident = await store.open(key);
  if (resident || !fill) return resident;
  await loader.load({ key, ...fill, peerEndpoints: [], allowUfs: true }, signal);
  return store.open(key);
}
