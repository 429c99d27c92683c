/**
 * Brings one segment into this peer's cache, once, whoever asks: jobs, copies and readers of the
 * same segment share one fill. Sources are tried in order, peers before the under store.
 *
 * Invariant: a segment is `loaded` only after its commit: complete, checked and durable.
 */
import type { CombinableSum } from '../base/crc-combine.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { failpoint, pausePoint } from '../base/failpoint.ts';
import type { JobId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import {
  segmentName,
  type ResidentSegment,
  type SegmentKey,
  type SegmentStore,
} from '../cache/segment-store.ts';
import { SingleFlight } from '../cache/single-flight.ts';
import type { DataPlane, FillSource } from './data-plane.ts';
import type { DemandCount } from './demand-count.ts';
import type { MuteEndpoints } from './mute-endpoints.ts';
import { FillTrail, type Following } from './fill-trail.ts';
import { Urgency } from './urgency.ts';

export interface LoadRequest {
  readonly key: SegmentKey;
  readonly lengthBytes: number;
  /** Size of the whole file, as listed. */
  readonly fileSizeBytes: number;
  /** Data endpoints of peers that may hold the segment, tried in order before the UFS. */
  readonly peerEndpoints: readonly string[];
  /** False: never touch the under store; `not_found` when no peer has the segment. */
  readonly allowUfs: boolean;
  /** Peers are asked for what they receive themselves, as it comes. */
  readonly follows?: boolean;
  /** Told when others may follow: bytes come from the under store, and can be given on. */
  readonly onBegun?: () => void;
  /** Do not go on to the UFS when a peer could not be reached: fail with that error instead. */
  readonly waitForPeers?: boolean;
  /** The job on whose behalf it is loaded, absent for read-through. */
  readonly job?: JobId;
  /** No job loads it, but it belongs in the cache: not on trial as what readers come by. */
  readonly isWanted?: boolean;
  /** A copy that restores placement: nobody waits for it. */
  readonly isRepair?: boolean;
  /** Fetch again although resident, unless this job put it there. */
  readonly reload?: boolean;
  /** Re-read and check what is resident before trusting it. */
  readonly deepVerify?: boolean;
  /** A second checksum wanted of what is filled. */
  readonly sum?: CombinableSum;
  readonly bandwidthBps?: number;
  readonly bandwidthGroup?: string;
  /** Told of every byte received for this request, also of fills that failed. */
  readonly meter?: (from: FillSource['kind'], receivedBytes: number) => void;
}

interface WatchedRequest extends LoadRequest {
  readonly urgency: Urgency;
}

export interface LoadOutcome {
  readonly segment: ResidentSegment;
  /** False: it was resident before. */
  readonly filled: boolean;
  /** False: it shared the fill of another request. */
  readonly own: boolean;
  /** The second checksum, of whichever kind the fill was asked for. */
  readonly sum?: string;
  /** The fill was a whole object and matched the checksum that its store sent with it. */
  readonly isChecked?: boolean;
  /** What the under store told of the object that the fill begins. */
  readonly attributes?: ObjectAttributes;
}

/** Who follows asks at once. */
const TOLD_MAX_COUNT = 1024;

/** Told of every fill that ended, for metrics. */
export type FillObserver = (fill: {
  readonly from: FillSource['kind'];
  readonly receivedBytes: number;
  readonly error?: RingloadError;
}) => void;

export class SegmentLoader {
  readonly #store: SegmentStore;
  readonly #plane: DataPlane;
  readonly #mutes: MuteEndpoints;
  readonly #logger: Logger;
  readonly #observe: FillObserver;
  readonly #demands: DemandCount | undefined;
  readonly #flights = new SingleFlight<LoadOutcome>();
  /** Of the fills that run, by the key of their flight. */
  readonly #urgencies = new Map<string, Urgency>();
  /** Of the fills that may be followed. */
  readonly #trails = new Map<string, FillTrail>();
  /** Of fills that were followed lately, what the under store told of the object. */
  readonly #told = new Map<string, ObjectAttributes>();

  constructor(options: {
    store: SegmentStore;
    plane: DataPlane;
    mutes: MuteEndpoints;
    logger: Logger;
    observe?: FillObserver;
    /** Told of fills that readers wait for. */
    demands?: DemandCount;
  }) {
    this.#store = options.store;
    this.#plane = options.plane;
    this.#mutes = options.mutes;
    this.#logger = options.logger;
    this.#observe = options.observe ?? (() => undefined);
    this.#demands = options.demands;
  }

  /** @throws ufs_*, peer_unreachable, not_found, cache_full, cache_io, cancelled. */
  async load(request: LoadRequest, signal: AbortSignal): Promise<LoadOutcome> {
    const resident = await this.#usable(request);
    if (resident) return { segment: resident, filled: false, own: false };
    try {
      return await this.#fly(request, signal);
    } catch (thrown) {
      // Why: the fill that was shared may not have been allowed to look where this one may.
      if (!(thrown instanceof SharedFailure)) throw thrown;
      if (signal.aborted || !isMissOfPeers(thrown.failure)) throw thrown.failure;
      return await this.#fly(request, signal, thrown.failure);
    }
  }

  /** Whether a fill of that segment is under way, by whomever it was begun. */
  isLoading(key: SegmentKey): boolean {
    return this.#urgencies.has(segmentName(key));
  }

  /** What the under store told of an object with the segment that was followed. */
  told(key: SegmentKey): ObjectAttributes | undefined {
    return this.#told.get(segmentName(key));
  }

  #note(key: SegmentKey, attributes: ObjectAttributes): void {
    this.#told.set(segmentName(key), attributes);
    const oldest = this.#told.keys().next().value;
    if (this.#told.size > TOLD_MAX_COUNT && oldest !== undefined) this.#told.delete(oldest);
  }

  /** The fill of that segment which is under way, if it can be followed now. */
  follow(key: SegmentKey): Following | undefined {
    return this.#trails.get(segmentName(key))?.follow();
  }

  /** @throws SharedFailure for the failure of a fill that another request began. */
  async #fly(
    request: LoadRequest,
    signal: AbortSignal,
    earlier?: RingloadError,
  ): Promise<LoadOutcome> {
    const flight = { own: false };
    const key = segmentName(request.key);
    signal.throwIfAborted();
    const urgency = this.#urgencyOf(key);
    // Repair is no reason for loads to rest, however long it waits for a peer.
    if (request.job === undefined && request.isRepair !== true) urgency.raise();
    try {
      const outcome = await this.#flights.run(
        key,
        (flightSignal) => {
          flight.own = true;
          return this.#fillWatched(key, { ...request, urgency }, flightSignal);
        },
        signal,
      );
      return { ...outcome, own: flight.own };
    } catch (thrown) {
      if (flight.own || signal.aborted || earlier) throw thrown;
      throw new SharedFailure(toRingloadError(thrown));
    }
  }

  async #usable(request: LoadRequest): Promise<ResidentSegment | undefined> {
    const resident = await this.#store.lookup(request.key);
    if (!resident || resident.lengthBytes !== request.lengthBytes) return undefined;
    const ours = request.job !== undefined && resident.loadedBy === request.job;
    if (request.reload && !ours) return undefined;
    if (!request.deepVerify) return resident;
    return (await this.#store.check(request.key)).state === 'sound' ? resident : undefined;
  }

  /** Of the fill that runs, or else of the one that is about to: whoever joins may raise it. */
  #urgencyOf(key: string): Urgency {
    const running = this.#flights.has(key) ? this.#urgencies.get(key) : undefined;
    if (running) return running;
    const urgency = new Urgency(false);
    this.#urgencies.set(key, urgency);
    return urgency;
  }

  /** Counts among what readers wait for from the moment when the first of them does. */
  async #fillWatched(
    key: string,
    request: WatchedRequest,
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const { urgency } = request;
    let demandEnds = urgency.isUrgent ? this.#demands?.begin() : undefined;
    const calm = urgency.onRaised(() => {
      demandEnds = this.#demands?.begin();
    });
    try {
      return await this.#fill(request, signal);
    } finally {
      calm();
      demandEnds?.();
      if (this.#urgencies.get(key) === urgency) this.#urgencies.delete(key);
    }
  }

  async #fill(request: WatchedRequest, signal: AbortSignal): Promise<LoadOutcome> {
    // Why again: another fill may have ended between the first look and the start of this one.
    const resident = await this.#usable(request);
    if (resident) return { segment: resident, filled: false, own: true };
    let unreached: RingloadError | undefined;
    let failure: RingloadError | undefined;
    for (const source of sourcesOf(request)) {
      if (source.kind === 'ufs' && request.waitForPeers && unreached) throw unreached;
      try {
        return await (source.kind === 'peer'
          ? this.#copy(source, request, signal)
          : this.#fillFrom(source, request, signal));
      } catch (thrown) {
        failure = toRingloadError(thrown);
        if (isUnreached(failure)) unreached = failure;
        if (source.kind === 'ufs' || signal.aborted || isOwnFault(failure)) break;
        this.#logger.debug('copy failed, trying the next source', { code: failure.code });
      }
    }
    throw failure ?? noHolder(request.key);
  }

  /** Not from a peer that was just waited for in vain. */
  async #copy(
    source: Extract<FillSource, { kind: 'peer' }>,
    request: WatchedRequest,
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const { endpoint } = source;
    this.#mutes.checkMayAsk(endpoint);
    try {
      const outcome = await this.#fillFrom(source, request, signal);
      this.#mutes.answered(endpoint);
      return outcome;
    } catch (thrown) {
      if (!signal.aborted) this.#mutes.failed(endpoint, toRingloadError(thrown));
      throw thrown;
    }
  }

  async #fillFrom(
    source: FillSource,
    request: WatchedRequest,
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const { key, lengthBytes, job, urgency } = request;
    const isPassing = job === undefined && source.kind === 'ufs' && request.isWanted !== true;
    const admission = isPassing ? 'trial' : 'wanted';
    const reservation = await this.#store.reserve(key, lengthBytes, job, admission);
    const trail = source.kind === 'ufs' ? this.#openTrail(request) : undefined;
    let receivedBytes = 0;
    try {
      const begins = pausePoint('fill.get.begin');
      if (begins) await begins;
      // Why: a stop that came while the disk made room means that nothing more is asked for.
      if (signal.aborted) throw new RingloadError('cancelled', 'nobody waits for the fill');
      const filled = await this.#plane.fill(
        {
          source,
          extent: reservation.extent,
          ...(request.sum !== undefined && { sum: request.sum }),
          ...(request.bandwidthBps !== undefined && { bandwidthBps: request.bandwidthBps }),
          ...(request.bandwidthGroup !== undefined && { bandwidthGroup: request.bandwidthGroup }),
          urgency,
          ...(trail && { trail }),
        },
        signal,
      );
      ({ receivedBytes } = filled);
      failpoint('fill.body.complete');
      // Why first: who follows asks for it once the fill was judged.
      if (trail && filled.attributes) this.#note(key, filled.attributes);
      trail?.judge(filled);
      await reservation.commit(filled, urgency);
      await trail?.keep(() => this.#store.open(key));
      request.meter?.(source.kind, receivedBytes);
      this.#observe({ from: source.kind, receivedBytes });
      const { crc32c, sum, isChecked, attributes } = filled;
      const segment = { key, lengthBytes, crc32c, ...(job !== undefined && { loadedBy: job }) };
      return {
        ...{ segment, filled: true, own: true },
        ...(sum !== undefined && { sum }),
        ...(isChecked === true && { isChecked }),
        ...(attributes && { attributes }),
      };
    } catch (thrown) {
      trail?.fail();
      reservation.abort();
      const error = toRingloadError(thrown);
      receivedBytes ||= Number(error.details['receivedBytes'] ?? 0);
      request.meter?.(source.kind, receivedBytes);
      this.#observe({ from: source.kind, receivedBytes, error });
      throw error;
    } finally {
      this.#trails.delete(segmentName(key));
    }
  }

  /** Only where somebody wants to be told: others have nobody who would follow. */
  #openTrail({ key, lengthBytes, onBegun }: LoadRequest): FillTrail | undefined {
    if (!onBegun) return undefined;
    const trail = new FillTrail(lengthBytes, onBegun);
    this.#trails.set(segmentName(key), trail);
    return trail;
  }
}

function noHolder({ index, path }: SegmentKey): RingloadError {
  return new RingloadError('not_found', `no peer holds segment ${String(index)} of ${path}`);
}

function sourcesOf(request: LoadRequest): FillSource[] {
  const { key, lengthBytes } = request;
  const sources: FillSource[] = request.peerEndpoints.map((endpoint) => ({
    kind: 'peer',
    endpoint,
    key,
    lengthBytes,
    ...(request.follows && { follows: true }),
  }));
  if (request.allowUfs) {
    const range = {
      path: key.path,
      version: key.version,
      sizeBytes: request.fileSizeBytes,
      offset: key.index * key.segmentSizeBytes,
      length: lengthBytes,
    };
    sources.push({ kind: 'ufs', range });
  }
  return sources;
}

/** Carries the failure of a shared fill to those who only waited for it. */
class SharedFailure extends Error {
  readonly failure: RingloadError;

  constructor(failure: RingloadError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

/** The peer may well hold the segment: it did not say that it does not. */
function isUnreached({ code }: RingloadError): boolean {
  return code === 'peer_unreachable' || code === 'deadline_exceeded' || code === 'overloaded';
}

function isMissOfPeers(error: RingloadError): boolean {
  return error.code === 'not_found' || error.code === 'segment_corrupt' || isUnreached(error);
}

/** Another source would meet the same trouble. */
function isOwnFault(error: RingloadError): boolean {
  return error.code === 'cache_full' || error.code === 'cache_io' || error.code === 'cancelled';
}
