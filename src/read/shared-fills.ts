/**
 * Fills by owners, for all readers of this peer together: one question to an owner however many
 * wait for the segment, and none of them keeps a connection meanwhile.
 *
 * A fill may take long for good reasons. So the owner is not judged by the clock alone: while it
 * says nothing, it is asked over its link whether it works on the segment; who does not answer, or
 * knows nothing of it, is given up.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import { segmentName, type SegmentKey } from '../cache/segment-store.ts';
import { SingleFlight } from '../cache/single-flight.ts';
import type { ReadNetwork } from './read-network.ts';
import type { SourceChoice } from './source-choice.ts';

/** An answer may be on its way, or the question. */
const DOUBT_MAX_COUNT = 2;

export interface FillRequest {
  readonly key: SegmentKey;
  readonly lengthBytes: number;
  readonly fileSizeBytes: number;
}

export interface SharedFillsOptions {
  readonly network: Pick<ReadNetwork, 'openSegment' | 'isLoading'>;
  readonly clock: Clock;
  /** Says how long an owner may be silent before it is asked, and whether it answers others. */
  readonly choice: Pick<SourceChoice, 'headPatienceMs' | 'isMute'>;
}

export class SharedFills {
  readonly #options: SharedFillsOptions;
  readonly #flights = new SingleFlight<void>();

  constructor(options: SharedFillsOptions) {
    this.#options = options;
  }

  /** Resolves when `peer` holds the segment. @throws deadline_exceeded, peer_unreachable, ufs_*, … */
  run(peer: PeerId, request: FillRequest, signal: AbortSignal): Promise<void> {
    const name = `${peer}\0${segmentName(request.key)}`;
    return this.#flights.run(name, (shared) => this.#fill(peer, request, shared), signal);
  }

  async #fill(
    peer: PeerId,
    { key, lengthBytes, fileSizeBytes }: FillRequest,
    signal: AbortSignal,
  ): Promise<void> {
    const controller = new AbortController();
    const leave = (): void => {
      controller.abort(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    const watch = this.#watch(peer, key, controller);
    try {
      // One byte tells that all of them are there.
      const request = { key, offset: 0, length: 1, fill: { lengthBytes, fileSizeBytes } };
      const onAsked = (): void => {
        watch.begin();
      };
      const piece = await this.#options.network.openSegment(peer, request, controller.signal, {
        onAsked,
      });
      piece.close();
    } catch (thrown) {
      throw controller.signal.aborted ? (controller.signal.reason as Error) : thrown;
    } finally {
      watch.end();
      signal.removeEventListener('abort', leave);
    }
  }

  #watch(
    peer: PeerId,
    key: SegmentKey,
    controller: AbortController,
  ): { begin(): void; end(): void } {
    const { clock, network, choice } = this.#options;
    let sinceMs = clock.nowMs();
    let timer: Timer | undefined;
    let doubtCount = 0;
    let isOver = false;
    const wait = (): void => {
      timer?.cancel();
      sinceMs = clock.nowMs();
      if (!isOver) timer = clock.setTimer(choice.headPatienceMs, () => void look());
    };
    const look = async (): Promise<void> => {
      const isAtWork = await network.isLoading(peer, key).catch(() => undefined);
      // Who answers others has not come to this question yet.
      const isBusy = isAtWork === true || !choice.isMute(peer, sinceMs);
      doubtCount = isBusy ? 0 : doubtCount + 1;
      // Who cannot even be asked is gone, or stands still as a whole.
      const isGivenUp = (isAtWork === undefined && !isBusy) || doubtCount >= DOUBT_MAX_COUNT;
      if (!isGivenUp) wait();
      else if (!isOver) {
        const message = `peer ${peer} does not work on segment ${String(key.index)} of ${key.path}`;
        controller.abort(new RingloadError('deadline_exceeded', message));
      }
    };
    return {
      begin: wait,
      end: () => {
        isOver = true;
        timer?.cancel();
      },
    };
  }
}
