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
  DistantPlace,
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
  readonly nowMs: () => number;
  /** After so long it is settled anew from where a segment is read. Default 2 s. */
  readonly distantMaxAgeMs?: number | undefined;
}

interface KnownDistantPlace extends DistantPlace {
  readonly untilMs: number;
}

interface KnownObject {
  readonly standing: StandingObject;
  /** By the number of the segment. */
  readonly places: Map<number, StandingPlace | KnownDistantPlace>;
}

/** Told as an {@link OwnRead}. */
interface Counted extends OwnRead {
  count: number;
  bytes: number;
}

type Request = Parameters<OwnAnswers['answer']>[0];
/** Bytes of one segment. */
type Within = Readonly<Record<'from' | 'length', number>>;

/** About a kilobyte each, with as many places. */
const OBJECT_MAX_COUNT = 4096;
/** About as much for a segment of 8 MiB. */
const PLACE_MAX_COUNT = 8192;
/** There may be better sources by then. */
const DISTANT_MAX_AGE_MS = 2000;
/** A peer that said nothing is not asked without the main thread for so long. */
const SILENT_MS = 5000;

export class StandingObjects implements OwnAnswers {
  readonly #options: StandingObjectsOptions;
  /** By path, in the order in which they were told. */
  readonly #objects = new Map<string, KnownObject>();
  #placeCount = 0;
  #reads = new Map<StandingPlace | DistantPlace, Counted>();
  /** By endpoint, peers that said nothing, and until when they are left alone. */
  readonly #silent = new Map<string, number>();

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
    const isSame = known?.standing.found.home?.stands === standing.found.home?.stands;
    if (known?.standing.found.version !== version || !isSame || !this.#stands(known)) {
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
      known.places.set(place.key.index, 'mark' in place ? place : this.#distant(place));
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
    const fields: string[] = [];
    for (const [name, value] of commonHeaders(newRequestId())) fields.push(name, value);
    for (const [name, value] of told.headers) fields.push(name, value);
    const head = { status: told.status, headers: fields };
    if (isHead || told.status === 304 || standing.found.sizeBytes === 0) {
      // Nobody is asked for bytes who would say that the record stands.
      if (standing.found.home) return undefined;
      const isStill = (): boolean => marks.isStill(standing.found.mark);
      return { ...head, isStill, onSent: () => undefined };
    }
    return this.#withBytes(known, told, head);
  }

  /** Of one segment only: what has to be stitched is stitched by the main thread. */
  #withBytes(
    known: KnownObject,
    { within }: ObjectHead,
    head: Pick<OwnAnswer, 'status' | 'headers'>,
  ): OwnAnswer | undefined {
    const { found } = known.standing;
    const { offset, length } = within ?? { offset: 0, length: found.sizeBytes };
    const index = Math.floor(offset / found.segmentSizeBytes);
    const from = offset - index * found.segmentSizeBytes;
    const place = known.places.get(index);
    if (!place) return undefined;
    if ('mark' in place) return this.#fromPlace(known, place, { from, length }, head);
    return this.#fromPeer(known, place, { from, length }, head);
  }

  #fromPlace(
    { standing }: KnownObject,
    place: StandingPlace,
    { from, length }: Within,
    head: Pick<OwnAnswer, 'status' | 'headers'>,
  ): OwnAnswer | undefined {
    const { found } = standing;
    const { marks } = this.#options;
    const isThere = from + length <= place.segmentBytes && marks.isStill(place.mark);
    if (!isThere || found.home) return undefined;
    const { path, offset: placeOffset, segmentBytes, crc32c } = place;
    const blocks = place.blocks.subarray(Math.floor(from / CHECKSUM_BLOCK_BYTES));
    return {
      status: head.status,
      headers: head.headers,
      range: { path, offset: placeOffset, segmentBytes, crc32c, from, length, blocks },
      isStill: () => marks.isStill(found.mark) && marks.isStill(place.mark),
      onSent: () => {
        this.#count(standing, place, length);
      },
    };
  }

  /** The peer says with the bytes whether its record of the file stands, where that is its to say. */
  #fromPeer(
    { standing, places }: KnownObject,
    place: KnownDistantPlace,
    { from, length }: Within,
    head: Pick<OwnAnswer, 'status' | 'headers'>,
  ): OwnAnswer | undefined {
    const { found } = standing;
    const { marks } = this.#options;
    const { peer, endpoint } = place;
    const isInside = from + length <= found.segmentSizeBytes;
    if (!isInside || (found.home && found.home.peer !== peer)) return undefined;
    if (!this.#mayAsk(place)) {
      this.#drop(places, place);
      return undefined;
    }
    const stands = found.home?.stands;
    return {
      status: head.status,
      headers: head.headers,
      distant: { place, offset: from, length, stands },
      isStill: () => marks.isStill(found.mark),
      onSent: () => {
        this.#count(standing, place, length);
      },
      onFailed: (isSlow) => {
        if (isSlow) this.#silent.set(endpoint, this.#options.nowMs() + SILENT_MS);
        this.#drop(places, place);
      },
    };
  }

  #distant(place: DistantPlace): KnownDistantPlace {
    const { nowMs, distantMaxAgeMs = DISTANT_MAX_AGE_MS } = this.#options;
    return { ...place, untilMs: nowMs() + distantMaxAgeMs };
  }

  #mayAsk({ endpoint, untilMs }: KnownDistantPlace): boolean {
    const nowMs = this.#options.nowMs();
    const silentUntilMs = this.#silent.get(endpoint);
    if (silentUntilMs === undefined) return nowMs < untilMs;
    if (nowMs < silentUntilMs) return false;
    this.#silent.delete(endpoint);
    return nowMs < untilMs;
  }

  #drop(places: KnownObject['places'], place: KnownDistantPlace): void {
    const { key } = place;
    const isKnown = this.#objects.get(key.path)?.places === places;
    if (!isKnown || places.get(key.index) !== place) return;
    places.delete(key.index);
    this.#placeCount--;
  }

  #count(facts: StandingObject, place: StandingPlace | DistantPlace, length: number): void {
    let read = this.#reads.get(place);
    if (!read) {
      const from = 'mark' in place ? 'local' : 'peer';
      read = { facts, key: place.key, from, count: 0, bytes: 0 };
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
