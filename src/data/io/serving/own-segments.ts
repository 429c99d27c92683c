/**
 * Segments that the thread of the data endpoint may give to peers without asking: what the main
 * thread has just let it give stands until its mark is raised. Who asks has to present what was
 * accepted then. Ranges of few blocks only, which are read, checked, and then the mark is looked at.
 */
import { timingSafeEqual } from 'node:crypto';
import { ChangeMarks, type Mark } from '../../../base/change-marks.ts';
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';
import type { ServedRange } from '../../served-range.ts';
import { SEND_MAX_BYTES } from './send-buffers.ts';

export interface OwnRange {
  readonly range: ServedRange;
  /** To be asked when the bytes are there. */
  readonly isStill: () => boolean;
  readonly onSent: () => void;
}

/** What was asked, as it came. */
interface Asked {
  readonly target: string;
  readonly authorization: string;
}

interface KnownSegment {
  /** Where the segment lies, with all of its blocks. */
  readonly place: ServedRange;
  readonly mark: Mark;
  readonly authorization: Buffer;
  /** A request for it, as it came. */
  readonly target: string;
}

const TARGET = /^(\/segment\?k=[\w-]+)&o=(\d{1,15})&l=(\d{1,15})(?:&m=([\w.-]*))?$/;
/** About a kilobyte each for segments of 8 MiB. */
const KNOWN_MAX_COUNT = 8192;

export class OwnSegments {
  readonly #marks: ChangeMarks | undefined;
  /** By what requests for it begin with, in the order in which they were told. */
  readonly #known = new Map<string, KnownSegment>();
  #read = new Set<string>();

  /** @param memory of the marks; absent: nothing ever stands. */
  constructor(memory: SharedArrayBuffer | undefined) {
    this.#marks = memory && new ChangeMarks(memory);
  }

  /** Whether what the request depends on stands; true where it depends on nothing. */
  isTrue(target: string): boolean {
    const at = target.indexOf('&m=');
    return at < 0 || this.#marks?.isToldStill(target.slice(at + 3)) === true;
  }

  /** Undefined: the main thread is to be asked. */
  find({ target, authorization }: Asked): OwnRange | undefined {
    const marks = this.#marks;
    if (!marks || this.#known.size === 0) return undefined;
    const [, start = '', offset, count, told] = TARGET.exec(target) ?? [];
    const known = this.#known.get(start);
    if (!known || !isSame(known.authorization, authorization)) return undefined;
    const { place, mark } = known;
    if (!marks.isStill(mark)) {
      this.#known.delete(start);
      return undefined;
    }
    if (told !== undefined && !marks.isToldStill(told)) return undefined;
    const [from, length] = [Number(offset), Number(count)];
    if (!isShort(from, length) || from + length > place.segmentBytes) return undefined;
    const blocks = place.blocks.subarray(Math.floor(from / CHECKSUM_BLOCK_BYTES));
    return {
      range: { ...place, from, length, blocks },
      isStill: () => marks.isStill(mark),
      onSent: () => {
        this.#read.add(known.target);
      },
    };
  }

  /** The request was just answered from that place. */
  learn({ target, authorization }: Asked, place: ServedRange, mark: Mark): void {
    const [, start] = TARGET.exec(target) ?? [];
    if (start === undefined) return;
    this.#known.delete(start);
    const accepted = Buffer.from(authorization);
    this.#known.set(start, { place, mark, authorization: accepted, target });
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > KNOWN_MAX_COUNT && oldest !== undefined) this.#known.delete(oldest);
  }

  /** A request for each segment that was read since the last call. */
  takeReads(): readonly string[] {
    const targets = [...this.#read];
    this.#read = new Set();
    return targets;
  }
}

/** Whether the blocks of the range are sent in one piece. */
function isShort(from: number, length: number): boolean {
  const before = from % CHECKSUM_BLOCK_BYTES;
  const blocks = Math.ceil((before + length) / CHECKSUM_BLOCK_BYTES);
  return length > 0 && blocks * CHECKSUM_BLOCK_BYTES <= SEND_MAX_BYTES;
}

function isSame(accepted: Buffer, authorization: string): boolean {
  if (accepted.length === 0 && authorization === '') return true;
  const given = Buffer.from(authorization);
  return given.length === accepted.length && timingSafeEqual(given, accepted);
}
