/** Reads from one other peer, counted and watched for those who choose between peers. */
import type { Clock } from '../base/clock.ts';
import type { PeerId } from '../base/ids.ts';
import type { HeldReads, Piece } from '../data/pieces.ts';
import type { ReadNetwork } from './read-network.ts';
import { keyOf, type SegmentSlice } from './segment-slice.ts';
import type { Asking, SourceChoice } from './source-choice.ts';

export interface PeerRead {
  readonly slice: SegmentSlice;
  /** Relative to the segment. */
  readonly offset: number;
  readonly length: number;
  readonly signal: AbortSignal;
  readonly via: HeldReads | undefined;
  readonly onAsked: () => void;
  /** Waits for a body as long as it takes: there is nobody else. */
  readonly isPatient?: boolean;
}

export class PeerReads {
  readonly #network: Pick<ReadNetwork, 'openSegment'>;
  readonly #choice: SourceChoice;
  readonly #clock: Clock;

  constructor(options: {
    readonly network: Pick<ReadNetwork, 'openSegment'>;
    readonly choice: SourceChoice;
    readonly clock: Clock;
  }) {
    this.#network = options.network;
    this.#choice = options.choice;
    this.#clock = options.clock;
  }

  /** @throws not_found, peer_unreachable, deadline_exceeded, … */
  async open(peer: PeerId, read: PeerRead): Promise<Piece> {
    const { slice, offset, length, signal, via, isPatient, onAsked } = read;
    let asking: Asking | undefined;
    const watch = {
      ...(via && { via }),
      ...(!isPatient && { bodyPatienceMs: this.#choice.bodyPatienceMs(peer) }),
      onAsked: () => {
        asking ??= this.#choice.begin(peer);
        onAsked();
      },
    };
    try {
      const request = { key: keyOf(slice), offset, length };
      const piece = await this.#network.openSegment(peer, request, signal, watch);
      asking?.firstByte();
      return this.#counted({ ...piece, peer }, asking);
    } catch (thrown) {
      asking?.ended();
      throw thrown;
    }
  }

  #counted(piece: Piece, asking: Asking | undefined): Piece {
    if (!asking) return piece;
    return {
      ...piece,
      chunks: () => this.#timed(piece.chunks(), asking),
      close: () => {
        asking.ended();
        piece.close();
      },
    };
  }

  /** What the reader needs for itself does not count. */
  async *#timed(chunks: AsyncIterable<Uint8Array>, asking: Asking): AsyncGenerator<Uint8Array> {
    let sinceMs = this.#clock.nowMs();
    for await (const chunk of chunks) {
      asking.received(chunk.length, this.#clock.nowMs() - sinceMs);
      yield chunk;
      sinceMs = this.#clock.nowMs();
    }
  }
}
