/**
 * The data plane over lane threads: bulk bytes never touch the main thread. What lanes do not
 * understand (another protocol than S3, chunked or compressed answers) goes the way of streams.
 */
import { RingloadError, toRingloadError } from '../../../base/errors.ts';
import type { ObjectAttributes } from '../../../base/object-attributes.ts';
import type { RangeRequest, UnderStores } from '../../../ufs/under-store.ts';
import type {
  DataPlane,
  ExtentPlacer,
  FillCommand,
  FillResult,
  FillSource,
} from '../../data-plane.ts';
import { ExtentMover } from './extent-mover.ts';
import type { LaneThreads } from './lane-threads.ts';
import { copyFromPeer, type PeerCopyOptions } from './peer-copy.ts';

export interface LaneDataPlaneOptions {
  readonly threads: LaneThreads;
  /** For whatever lanes do not do. */
  readonly streams: DataPlane;
  readonly stores: UnderStores;
  readonly placer: ExtentPlacer;
  readonly peers: PeerCopyOptions;
  /** Which files are written around the page cache, where that can be done at all. */
  readonly direct: { allows(filePath: string): boolean };
  /** Told of each fill that lanes might have done, and could not. */
  readonly onFallback: (source: FillSource['kind']) => void;
}

/** What the under store tells besides the bytes. */
type Hearing = Required<Pick<RangeRequest, 'onChecked' | 'onAttributes'>>;

export class LaneDataPlane implements DataPlane {
  readonly #options: LaneDataPlaneOptions;

  constructor(options: LaneDataPlaneOptions) {
    this.#options = options;
  }

  async fill(command: FillCommand, signal: AbortSignal): Promise<FillResult> {
    const mover = this.#moverFor(command);
    let isChecked = false;
    let attributes: ObjectAttributes | undefined;
    const hear: Hearing = {
      onChecked: () => {
        isChecked = true;
      },
      onAttributes: (told) => {
        attributes = told;
      },
    };
    try {
      if (!(await this.#move(command, mover, hear, signal))) {
        command.trail?.fail();
        const filled = await this.#options.streams.fill(command, signal);
        return { ...filled, receivedBytes: filled.receivedBytes + mover.receivedBytes };
      }
      const { lengthBytes } = command.extent;
      this.#options.placer.written(command.extent);
      const { receivedBytes, sum } = mover;
      const { crc32c, blockCrc32c } = mover.checksums();
      return {
        ...{ crc32c, blockCrc32c, lengthBytes, receivedBytes, isChecked },
        ...(sum !== undefined && { sum }),
        ...(attributes && { attributes }),
      };
    } catch (thrown) {
      const error = toRingloadError(thrown);
      const receivedBytes = mover.receivedBytes + Number(error.details['receivedBytes'] ?? 0);
      const details = { ...error.details, receivedBytes };
      throw new RingloadError(error.code, error.message, { details, cause: thrown });
    }
  }

  async close(): Promise<void> {
    await this.#options.threads.close();
    await this.#options.streams.close();
  }

  #moverFor({ extent, sum, passage, urgency, trail }: FillCommand): ExtentMover {
    const { threads, placer, direct } = this.#options;
    const place = placer.place(extent);
    return new ExtentMover({
      target: { ...place, isDirect: place.ownsPages && direct.allows(place.path) },
      run: (order, signal) => threads.run(order, signal, { urgency, trail }),
      writeFailed: (systemCode, message) => placer.writeFailed(extent, systemCode, message),
      ...(sum !== undefined && { sum }),
      ...(passage && { buckets: passage.buckets }),
    });
  }

  /** False: this source has to be read as a stream. */
  async #move(
    { source, urgency }: FillCommand,
    mover: ExtentMover,
    { onChecked, onAttributes }: Hearing,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { stores, peers, onFallback } = this.#options;
    let isMoved: boolean;
    if (source.kind === 'peer') {
      const copy = { ...source, isAhead: urgency?.isUrgent === false };
      isMoved = await copyFromPeer(copy, mover, peers, signal);
    } else {
      const store = stores.storeOf(source.range.path);
      if (!store.moveRange) return false;
      const isFirst = source.range.offset === 0;
      const range = { ...source.range, onChecked, ...(isFirst && { onAttributes }) };
      isMoved = await store.moveRange(range, mover, signal);
    }
    if (!isMoved) onFallback(source.kind);
    return isMoved;
  }
}
