/** Metadata lookups over peer links, segment bytes from data endpoints. */
import { hashOfText, type ChangeMarks } from '../base/change-marks.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { MuteEndpoints } from '../data/mute-endpoints.ts';
import type { BodyWatch, PeerSegments } from '../data/peer-segments.ts';
import { beginPiece, type Piece, type PieceWatch } from '../data/pieces.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import type { SegmentRequest } from '../data/segment-request.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { ReadNetwork, ToldRecord } from '../read/read-network.ts';
import type { WrittenPaths } from '../read/written-paths.ts';

const RECORD = 'catalog.get';
const SCAN = 'catalog.scan';
const HOLDS = 'segments.held';
const LOADING = 'segments.loading';
/** Who is at work says so at once. */
const LOADING_DEADLINE_MS = 2000;
const DEADLINE_MS = 5000;
const SCAN_MAX_COUNT = 1000;
const HOLDS_MAX_COUNT = 1000;

interface PeerRead {
  readonly endpoint: string;
  readonly request: SegmentRequest;
  readonly signal: AbortSignal;
  readonly watch: BodyWatch;
}

export interface ReadLinkOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly catalog: FileCatalog;
  readonly store: SegmentStore;
  readonly loader: Pick<SegmentLoader, 'isLoading'>;
  readonly client: PeerSegments;
  /** Absent: nobody writes. */
  readonly written?: Pick<WrittenPaths, 'stateOf'>;
  /** Raised by what changes in the catalogue. Absent: nothing is told about what stands. */
  readonly marks?: ChangeMarks;
  /** What loads pass over; told of each sign of life. */
  readonly mutes: Pick<MuteEndpoints, 'answered'>;
  readonly endpointOf: (peer: PeerId) => string | undefined;
}

export class ReadLink implements ReadNetwork {
  readonly #options: ReadLinkOptions;

  constructor(options: ReadLinkOptions) {
    const { network, catalog, mutes, endpointOf } = options;
    this.#options = options;
    // A peer that was away, links and all, is back.
    network.onLinkChange(({ peerId, connected }) => {
      const endpoint = endpointOf(peerId);
      if (connected && endpoint !== undefined) mutes.answered(endpoint);
    });
    network.onRequest(RECORD, async (_from, payload) => {
      const { path, tells } = payload as { path: string; tells?: true };
      // Why before the look: what changes from here on raises it.
      const mark = tells && options.marks?.now(hashOfText(path));
      const record = await catalog.get(path);
      // Why: who asks may have settled already that the path was written.
      if (!record || options.written?.stateOf(path) !== undefined) return null;
      return mark && options.marks ? { record, stands: options.marks.tell(mark) } : record;
    });
    network.onRequest(SCAN, (_from, payload) => {
      const request = payload as { root: string; after?: string; limit: number };
      return catalog.scan({ ...request, limit: Math.min(SCAN_MAX_COUNT, request.limit) });
    });
    network.onRequest(LOADING, (_from, payload) =>
      Promise.resolve(this.#options.loader.isLoading(payload as SegmentKey)),
    );
    network.onRequest(HOLDS, (_from, payload) => this.#heldHere(payload as readonly SegmentKey[]));
  }

  async recordAt(peer: PeerId, path: string): Promise<FileRecord | undefined> {
    const found = (await this.#options.network.request(
      peer,
      RECORD,
      { path },
      DEADLINE_MS,
    )) as FileRecord | null;
    return found ?? undefined;
  }

  async tellingRecordAt(peer: PeerId, path: string): Promise<ToldRecord | undefined> {
    const asked = { path, tells: true };
    const found = (await this.#options.network.request(peer, RECORD, asked, DEADLINE_MS)) as
      ToldRecord | FileRecord | null;
    // Older peers give the record alone.
    return found === null ? undefined : 'record' in found ? found : { record: found };
  }

  listAt(
    peer: PeerId,
    request: { root: string; after?: string; limit: number },
  ): Promise<readonly FileRecord[]> {
    return this.#options.network.request(peer, SCAN, request, DEADLINE_MS) as Promise<
      readonly FileRecord[]
    >;
  }

  async holds(peer: PeerId, keys: readonly SegmentKey[]): Promise<readonly boolean[]> {
    if (peer === this.#options.self) return this.#heldHere(keys);
    const held: boolean[] = [];
    for (let at = 0; at < keys.length; at += HOLDS_MAX_COUNT) {
      const part = keys.slice(at, at + HOLDS_MAX_COUNT);
      held.push(
        ...((await this.#options.network.request(peer, HOLDS, part, DEADLINE_MS)) as boolean[]),
      );
    }
    return held;
  }

  async isLoading(peer: PeerId, key: SegmentKey): Promise<boolean> {
    const answer = await this.#options.network.request(peer, LOADING, key, LOADING_DEADLINE_MS);
    return answer === true;
  }

  async openSegment(
    peer: PeerId,
    request: Parameters<ReadNetwork['openSegment']>[1],
    signal: AbortSignal,
    { via, ...watch }: PieceWatch = {},
  ): Promise<Piece> {
    const endpoint = this.#options.endpointOf(peer);
    if (endpoint === undefined)
      throw new RingloadError('peer_unreachable', `peer ${peer} has no data endpoint`);
    // Why not passed over when it is mute: what it alone holds would be read from the under store.
    const piece = await (via
      ? via.open(endpoint, request, signal, watch)
      : this.#openHere({ endpoint, request, signal, watch }));
    this.#options.mutes.answered(endpoint);
    return piece;
  }

  async #openHere({ endpoint, request, signal, watch }: PeerRead): Promise<Piece> {
    const { client } = this.#options;
    const { lengthBytes, body } = await client.open(endpoint, request, signal, watch);
    return beginPiece(lengthBytes, body);
  }

  async #heldHere(keys: readonly SegmentKey[]): Promise<boolean[]> {
    const found = await Promise.all(keys.map((key) => this.#options.store.lookup(key)));
    return found.map((segment) => segment !== undefined);
  }
}
