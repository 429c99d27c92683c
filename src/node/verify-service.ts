/**
 * Verification of jobs, as any peer offers it: whoever is asked reads the certificate from the
 * replicated state, and lets the owners read their disks.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { SegmentCheck } from '../cache/segment-store.ts';
import { compileFilters } from '../job/file-filter.ts';
import type { Certificate, JobStatus } from '../job/job-status.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { JobOrder } from '../repair/record-order.ts';
import { takeOver } from '../repair/take-over.ts';
import { objectsOf, scopeOf, type JobScope } from './job-scope.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { JobVerifier } from '../verify/job-verifier.ts';
import type { VerifyEvent } from '../verify/report.ts';
import type { VerifiedJob } from '../verify/verified-job.ts';
import type {
  Restored,
  RestoreOrder,
  SegmentList,
  VerifyNetwork,
} from '../verify/verify-network.ts';
import type { ReadLink } from './read-link.ts';
import type { RingView } from './ring-view.ts';
import type { VerifyHere } from './verify-here.ts';

const CHECK = 'verify.check';
const RESTORE = 'verify.restore';
const RECORD = 'verify.record';
/** Long enough for a request's worth of segments on a slow disk that others use too. */
const CHECK_DEADLINE_MS = 300_000;
const RECORD_DEADLINE_MS = 10_000;
/** Each reads whole disks: more would only get in each other's way. */
const RUNNING_MAX_COUNT = 2;

export interface VerifyServiceOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly readLink: ReadLink;
  readonly here: VerifyHere;
  readonly catalog: FileCatalog;
  readonly ring: RingView;
  readonly stores: UnderStores;
  readonly jobOrder: JobOrder;
  readonly isFreed: (record: FileRecord) => boolean;
  readonly clock: Clock;
}

export class VerifyService implements VerifyNetwork {
  readonly #options: VerifyServiceOptions;
  #runningCount = 0;

  constructor(options: VerifyServiceOptions) {
    const { network, here, catalog, jobOrder, isFreed } = options;
    this.#options = options;
    network.onRequest(CHECK, (_from, payload) => here.check(payload as SegmentList[]));
    network.onRequest(RESTORE, (_from, payload) => here.restore(payload as RestoreOrder));
    network.onRequest(RECORD, async (_from, payload) => {
      const { kept } = await takeOver(catalog, [payload as FileRecord], jobOrder, isFreed);
      return kept.length === 0;
    });
  }

  /**
   * Verifies the job until its report or until `signal`.
   * @throws conflict for a job without a certificate; overloaded.
   */
  async verify(
    status: JobStatus,
    options: { readonly repair: boolean },
    signal: AbortSignal,
  ): Promise<AsyncGenerator<VerifyEvent>> {
    const { ring, stores, jobOrder, clock } = this.#options;
    const scope = await scopeOf(status.spec, stores, signal);
    const current = ring.ring();
    const verifier = new JobVerifier({
      job: verifiedJobOf(status, scope),
      network: this,
      placement: {
        ...ring.readPlacement(),
        epoch: current.epoch,
        isOnRing: (peer) => current.has(peer),
      },
      currentEpoch: () => ring.ring().epoch,
      list: (abort) => objectsOf(status.spec, stores, abort),
      jobOrder,
      clock,
      repair: options.repair,
    });
    if (this.#runningCount >= RUNNING_MAX_COUNT) {
      throw new RingloadError('overloaded', 'other verifications run on this peer: try later');
    }
    return this.#counted(verifier.run(signal));
  }

  scan(
    peer: PeerId,
    request: { readonly root: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly FileRecord[]> {
    const { self, catalog, readLink } = this.#options;
    return peer === self ? catalog.scan(request) : readLink.listAt(peer, request);
  }

  check(peer: PeerId, lists: readonly SegmentList[]): Promise<readonly SegmentCheck[]> {
    const { self, here, network } = this.#options;
    if (peer === self) return here.check(lists);
    return network.request(peer, CHECK, lists, CHECK_DEADLINE_MS) as Promise<SegmentCheck[]>;
  }

  restore(peer: PeerId, order: RestoreOrder): Promise<readonly Restored[]> {
    const { self, here, network } = this.#options;
    if (peer === self) return here.restore(order);
    return network.request(peer, RESTORE, order, CHECK_DEADLINE_MS) as Promise<Restored[]>;
  }

  async restoreRecord(peer: PeerId, record: FileRecord): Promise<boolean> {
    const { self, catalog, jobOrder, isFreed, network } = this.#options;
    if (peer !== self) {
      return (await network.request(peer, RECORD, record, RECORD_DEADLINE_MS)) as boolean;
    }
    const { kept } = await takeOver(catalog, [record], jobOrder, isFreed);
    return kept.length === 0;
  }

  async *#counted(events: AsyncGenerator<VerifyEvent>): AsyncGenerator<VerifyEvent> {
    this.#runningCount += 1;
    try {
      yield* events;
    } finally {
      this.#runningCount -= 1;
    }
  }
}

/** @throws conflict */
function verifiedJobOf(
  { id, spec, state, endedAtMs, certificate }: JobStatus,
  scope: JobScope,
): VerifiedJob {
  if (!certificate) {
    throw new RingloadError(
      'conflict',
      `verify job ${id}: it is ${state}; only a job that SUCCEEDED has a certificate`,
    );
  }
  const { path, replicaCount, metadataOnly, segmentSizeBytes, segmented } = spec;
  const isKept = compileFilters(spec);
  return {
    ...{ id, path, replicaCount, metadataOnly, segmentSizeBytes, segmented },
    roots: scope.roots,
    accepts: (file) => scope.holds(file.path) && isKept(file),
    endedAtMs: endedAtMs ?? Infinity,
    certified: sumsOf(certificate),
  };
}

function sumsOf(certificate: Certificate): VerifiedJob['certified'] {
  const { segmentCount, bytes, digest, recordCount, recordDigest } = certificate;
  return { segmentCount, bytes, digest, recordCount, recordDigest };
}
