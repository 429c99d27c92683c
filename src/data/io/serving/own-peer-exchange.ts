/**
 * One request that this thread answers by itself with bytes of another peer: all of them are here
 * before anything leaves, so that until then the request can be handed to the main thread, which
 * knows other sources. The peer has checked them, and has looked at its own marks where it was asked
 * to; what it refuses is never an answer here.
 */
import type { ReadRoom } from '../../../cache/read-room.ts';
import {
  DISTANT_MAX_BYTES,
  type DistantPlace,
  type DistantRange,
  type OwnAnswer,
} from '../../own-answers.ts';
import { formatSegmentKey, formatSegmentRequest } from '../../segment-request.ts';
import type { ClientResponse } from './client-response.ts';
import { giveBackScratch, type Answered } from './peer-connection.ts';
import { peerRequest, type PeerReads, type TakenConnection } from './peer-reads.ts';
import type { OwnUses } from './own-exchange.ts';

export interface OwnPeerParts {
  readonly peers: PeerReads;
  readonly room: ReadRoom;
  readonly writeStallMs: number;
  /** What a peer has at hand comes sooner; whoever is slower is left to those who can ask others. */
  readonly shortMaxMs: number;
  readonly nowMs: () => number;
}

export class OwnPeerExchange {
  readonly #response: ClientResponse;
  readonly #answer: OwnAnswer;
  readonly #distant: DistantRange;
  readonly #parts: OwnPeerParts;
  readonly #uses: OwnUses;
  readonly #sinceMs: number;
  #taken: TakenConnection | undefined;
  /** On its way to the client. */
  #sending: Buffer | undefined;
  #isGone = false;

  constructor(
    response: ClientResponse,
    answer: OwnAnswer & { readonly distant: DistantRange },
    parts: OwnPeerParts,
    uses: OwnUses,
  ) {
    this.#response = response;
    this.#answer = answer;
    this.#distant = answer.distant;
    this.#parts = parts;
    this.#uses = uses;
    this.#sinceMs = parts.nowMs();
  }

  start(): void {
    const { length, place } = this.#distant;
    const taken = length <= DISTANT_MAX_BYTES ? this.#parts.peers.take(place.endpoint) : undefined;
    if (!taken) {
      this.#uses.onForward();
      return;
    }
    this.#taken = taken;
    this.#response.once('close', () => {
      this.#closed();
    });
    taken.connection.begin(requestFor(this.#distant), {
      isWhole: true,
      resolve: (answered) => {
        this.#answered(answered);
      },
      reject: () => {
        this.#failed(false);
      },
    });
  }

  /** To be called now and then. */
  check(nowMs: number): void {
    if (this.#taken && nowMs - this.#sinceMs > this.#parts.shortMaxMs) this.#failed(true);
  }

  #answered({ head, bodyBytes, rest }: Answered): void {
    const taken = this.#taken;
    if (!taken) return;
    this.#taken = undefined;
    const { status, headers, isStill, onSent, onFailed } = this.#answer;
    const { peers, room, writeStallMs } = this.#parts;
    if (head.status !== 200 || bodyBytes !== this.#distant.length || !isStill()) {
      peers.giveBack(taken);
      onFailed?.(false);
      this.#uses.onForward();
      return;
    }
    const scratch = taken.connection.takeScratch();
    peers.giveBack(taken);
    room.take(scratch.length);
    this.#sending = scratch;
    const response = this.#response;
    response.socket?.setTimeout(writeStallMs);
    response.on('error', ignore);
    response.writeHead(status, headers as string[]);
    // What was read before the body nobody needs any more.
    response.useRoom?.(scratch.subarray(0, rest.byteOffset - scratch.byteOffset));
    response.end(rest, () => {
      this.#sending = undefined;
      room.giveBack(scratch.length);
      giveBackScratch(scratch);
    });
    onSent();
  }

  #failed(isSlow: boolean): void {
    if (!this.#taken) return;
    this.#letGo('it is asked for elsewhere');
    this.#answer.onFailed?.(isSlow);
    this.#uses.onForward();
  }

  /** Answered, or the client is gone. */
  #closed(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#letGo('nobody waits for it');
    // Why not given back to be used again: who knows what the system does with it.
    if (this.#sending) this.#parts.room.giveBack(this.#sending.length);
    this.#uses.onOver();
  }

  #letGo(reason: string): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.connection.close(reason);
    taken?.lease.end();
  }
}

/** What every request for a segment begins with. */
const starts = new WeakMap<DistantPlace, string>();

function requestFor({ place, offset, length, stands }: DistantRange): string {
  const { key, endpoint, token } = place;
  let start = starts.get(place);
  if (start === undefined) starts.set(place, (start = formatSegmentKey(key)));
  const request = { key, offset, length, ...(stands !== undefined && { stands }) };
  return peerRequest({ endpoint, token, target: formatSegmentRequest(request, start) });
}

function ignore(): void {
  // Whoever writes hears of it by the end of the connection.
}
