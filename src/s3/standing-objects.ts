/**
 * Objects that a thread which serves clients may answer for without asking, by the rules of
 * `service.ts`: who asks is checked as there, headers are made as there, and whatever is no plain
 * success is left to the main thread, which knows all about it.
 *
 * Nothing here is true by itself: an answer says by which marks it stands, and whoever sends it
 * looks at them when it has the bytes.
 */
import type { ChangeMarks } from '../base/change-marks.ts';
import { CHECKSUM_BLOCK_BYTES } from '../cache/segment-store.ts';
import type {
  OwnAnswer,
  OwnAnswers,
  OwnRead,
  Standing,
  StandingPlace,
} from '../data/own-answers.ts';
import type { Authenticator } from './authenticator.ts';
import { pathOf, type Bucket } from './buckets.ts';
import { commonHeaders } from './common-headers.ts';
import { HeaderMap } from './message.ts';
import { tellKnown, type ObjectHead } from './objects.ts';
import { overridesOf } from './overrides.ts';
import { partNumberOf, refuseSubResources } from './parameters.ts';
import type { Field } from './s3-error.ts';
import type { StandingObject } from './standing-object.ts';
import { parseTarget } from './target.ts';

export interface StandingObjectsOptions {
  readonly buckets: ReadonlyMap<string, Bucket>;
  readonly authenticator: Authenticator;
  readonly marks: ChangeMarks;
  readonly newRequestId: () => string;
}

interface KnownObject {
  readonly standing: StandingObject;
  /** By the number of the segment. */
  readonly places: Map<number, StandingPlace>;
}

/** Told as an {@link OwnRead}. */
interface Counted extends OwnRead {
  count: number;
  bytes: number;
}

type Request = Parameters<OwnAnswers['answer']>[0];

/** About a kilobyte each, with as many places. */
const OBJECT_MAX_COUNT = 4096;
/** About as much for a segment of 8 MiB. */
const PLACE_MAX_COUNT = 8192;

export class StandingObjects implements OwnAnswers {
  readonly #options: StandingObjectsOptions;
  /** By path, in the order in which they were told. */
  readonly #objects = new Map<string, KnownObject>();
  #placeCount = 0;
  #reads = new Map<StandingPlace, Counted>();

  constructor(options: StandingObjectsOptions) {
    this.#options = options;
  }

  answer(request: Request): OwnAnswer | undefined {
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
    try {
      return this.#answer(request);
    } catch {
      // Who is refused is told so by the main thread.
      return undefined;
    }
  }

  learn({ facts, place }: Standing): void {
    const standing = facts as StandingObject;
    const { path, version, segmentSizeBytes } = standing.found;
    let known = this.#objects.get(path);
    if (known?.standing.found.version !== version || !this.#stands(known)) {
      this.#forget(path);
      known = { standing, places: new Map() };
    } else {
      this.#objects.delete(path);
    }
    this.#objects.set(path, known);
    const isOfIt =
      place?.key.version === version && place.key.segmentSizeBytes === segmentSizeBytes;
    if (place && isOfIt && place.key.path === path) {
      if (!known.places.has(place.key.index)) this.#placeCount++;
      known.places.set(place.key.index, place);
    }
    this.#bound();
  }

  takeReads(): readonly OwnRead[] {
    const reads = [...this.#reads.values()];
    this.#reads = new Map();
    return reads;
  }

  #answer({ method, target: rawTarget, headers: rawHeaders }: Request): OwnAnswer | undefined {
    const { buckets, authenticator, newRequestId, marks } = this.#options;
    const target = parseTarget(rawTarget);
    const bucket = buckets.get(target.bucket);
    if (!bucket || target.key === '') return undefined;
    const path = pathOf(bucket, target.key);
    const known = this.#objects.get(path);
    if (!known) return undefined;
    if (!this.#stands(known)) {
      this.#forget(path);
      return undefined;
    }
    const headers = new HeaderMap(pairsOf(rawHeaders));
    const caller = authenticator.authenticate({ method, target, headers });
    refuseSubResources(target);
    if (partNumberOf(target) !== undefined) return undefined;
    const overrides = overridesOf(target, caller);
    const isHead = method === 'HEAD';
    const call = { method: isHead ? 'HEAD' : 'GET', path, headers, overrides } as const;
    const { standing } = known;
    const told = tellKnown(standing, call);
    const head = {
      status: told.status,
      headers: [...commonHeaders(newRequestId()), ...told.headers].flat(),
    };
    if (isHead || told.status === 304 || standing.found.sizeBytes === 0) {
      const isStill = (): boolean => marks.isStill(standing.found.mark);
      return { ...head, isStill, onSent: () => undefined };
    }
    return this.#withBytes(known, told, head);
  }

  /** Of one segment only: what has to be stitched is stitched by the main thread. */
  #withBytes(
    { standing, places }: KnownObject,
    { within }: ObjectHead,
    head: Pick<OwnAnswer, 'status' | 'headers'>,
  ): OwnAnswer | undefined {
    const { found } = standing;
    const { marks } = this.#options;
    const { offset, length } = within ?? { offset: 0, length: found.sizeBytes };
    const index = Math.floor(offset / found.segmentSizeBytes);
    const from = offset - index * found.segmentSizeBytes;
    const place = places.get(index);
    if (!place || from + length > place.segmentBytes || !marks.isStill(place.mark))
      return undefined;
    const { path, offset: placeOffset, segmentBytes, crc32c } = place;
    const blocks = place.blocks.subarray(Math.floor(from / CHECKSUM_BLOCK_BYTES));
    return {
      ...head,
      range: { path, offset: placeOffset, segmentBytes, crc32c, from, length, blocks },
      isStill: () => marks.isStill(found.mark) && marks.isStill(place.mark),
      onSent: () => {
        this.#count(standing, place, length);
      },
    };
  }

  #count(facts: StandingObject, place: StandingPlace, length: number): void {
    let read = this.#reads.get(place);
    if (!read) {
      read = { facts, key: place.key, count: 0, bytes: 0 };
      this.#reads.set(place, read);
    }
    read.count++;
    read.bytes += length;
  }

  #stands({ standing }: KnownObject): boolean {
    return this.#options.marks.isStill(standing.found.mark);
  }

  #forget(path: string): void {
    this.#placeCount -= this.#objects.get(path)?.places.size ?? 0;
    this.#objects.delete(path);
  }

  #bound(): void {
    for (const oldest of this.#objects.keys()) {
      if (this.#objects.size <= OBJECT_MAX_COUNT && this.#placeCount <= PLACE_MAX_COUNT) return;
      this.#forget(oldest);
    }
  }
}

function pairsOf(flat: readonly string[]): Field[] {
  const pairs: Field[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? '']);
  return pairs;
}
