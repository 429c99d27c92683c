/**
 * Recomputes from the disks of all peers what a job's certificate says was there at its verdict.
 *
 * The files are those that the catalogues know below the job's path, merged in order of paths;
 * each of their segments is read and checked by the peers that own it now. So the answer does not
 * depend on the ring of the verdict, and memory is bounded by a window of segments. A file that no
 * catalogue knows any more is missing in the sums, and is looked for in the listing of the under
 * store.
 *
 * Invariant: only copies that were just read and found sound enter the sums.
 */
import type { Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Epoch, PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import { isSameContent, mergeRecords, type JobOrder } from '../repair/record-order.ts';
import type { UfsObject } from '../ufs/under-store.ts';
import { checkSegments } from './check-segments.ts';
import { Findings, isSameSums } from './findings.ts';
import { lostFiles } from './lost-files.ts';
import { MergedCatalogue, type KnownFile } from './merged-catalogue.ts';
import type { Difference, VerifyEvent, VerifyProgress, VerifyReport } from './report.ts';
import { SegmentRestorer } from './segment-restorer.ts';
import { Spot, type FileScope } from './spot.ts';
import type { VerifiedJob } from './verified-job.ts';
import type { VerifyNetwork, VerifyPlacement } from './verify-network.ts';

/** Segments that are looked at together. */
const WINDOW_MAX_COUNT = 256;
const WINDOW_MAX_BYTES = 256 * 1024 * 1024;
const PROGRESS_INTERVAL_MS = 500;

export interface VerifierOptions {
  readonly job: VerifiedJob;
  readonly network: VerifyNetwork;
  readonly placement: VerifyPlacement;
  readonly currentEpoch: () => Epoch;
  /** What the under store has of the job's files now, in order of paths. */
  readonly list: (signal: AbortSignal) => AsyncIterable<UfsObject>;
  readonly jobOrder: JobOrder;
  readonly clock: Clock;
  readonly repair: boolean;
}

export class JobVerifier {
  readonly #options: VerifierOptions;
  readonly #catalogue: MergedCatalogue;
  /** Files that this job loaded, or that it found loaded. */
  readonly #own: FileScope = { findings: new Findings(), fileCount: 0 };
  /** Files whose record a later job wrote: new since, or loaded anew. */
  readonly #later: FileScope & { readonly paths: string[] } = {
    findings: new Findings(),
    fileCount: 0,
    paths: [],
  };
  readonly #notes: string[] = [];
  #window: Spot[] = [];
  #windowBytes = 0;
  #copyCount = 0;
  #checkedBytes = 0;
  #toldMs = -Infinity;

  constructor(options: VerifierOptions) {
    const { job, network, placement } = options;
    this.#options = options;
    this.#catalogue = new MergedCatalogue(job.roots, network, placement);
  }

  async *run(signal: AbortSignal): AsyncGenerator<VerifyEvent> {
    for await (const file of this.#catalogue.files()) yield* this.#takeFile(file, signal);
    yield* this.#checkWindow(signal);
    if (this.#missesFiles()) yield* this.#lookForLost(signal);
    yield { report: this.#report() };
  }

  get #progress(): VerifyProgress {
    return {
      fileCount: this.#own.fileCount + this.#later.fileCount,
      copyCount: this.#copyCount,
      bytes: this.#checkedBytes,
      differenceCount: this.#own.findings.differenceCount + this.#later.findings.differenceCount,
    };
  }

  async *#takeFile(file: KnownFile, signal: AbortSignal): AsyncGenerator<VerifyEvent> {
    const { jobOrder, job } = this.#options;
    let record: FileRecord | undefined;
    for (const each of file.records.values()) {
      record = record ? mergeRecords(record, each, jobOrder) : each;
    }
    if (!record || !job.accepts(record)) return;
    const scope = this.#scopeOf(record);
    scope.fileCount += 1;
    await this.#checkRecord(file, record, scope);
    if (!job.metadataOnly) yield* this.#takeSegments(record, scope, signal);
  }

  #scopeOf({ path, loadedBy }: FileRecord): FileScope {
    const { jobOrder, job } = this.#options;
    if (loadedBy === undefined || loadedBy === job.id) return this.#own;
    const order = jobOrder(loadedBy);
    const ownOrder = jobOrder(job.id);
    if (order === undefined || ownOrder === undefined || order < ownOrder) return this.#own;
    if (this.#later.paths.length < WINDOW_MAX_COUNT) this.#later.paths.push(path);
    return this.#later;
  }

  /** Every home has to know the file as the newest of them does. */
  async #checkRecord(file: KnownFile, record: FileRecord, scope: FileScope): Promise<void> {
    const { placement, job } = this.#options;
    const { path } = record;
    const homes = placement.ownersOf({ path, index: 0, segmented: true }, job.replicaCount);
    for (const home of homes) {
      const known = file.records.get(home);
      if (known && isSameContent(known, record)) {
        scope.findings.addRecord(record);
        continue;
      }
      const isUnread = this.#catalogue.unread.has(home);
      const kind = known ? 'other-version' : isUnread ? 'unreachable' : 'missing';
      const repaired = await this.#restoreRecord(home, file, record);
      if (repaired !== undefined && repaired !== 'no') scope.findings.addRecord(record);
      scope.findings.differ({ path, peerId: home, kind, ...(repaired && { repaired }) });
    }
    for (let rank = homes.length; rank < job.replicaCount; rank += 1) {
      scope.findings.differ({ path, kind: 'missing', message: TOO_FEW_PEERS });
    }
  }

  async #restoreRecord(
    home: PeerId,
    { records }: KnownFile,
    record: FileRecord,
  ): Promise<Difference['repaired']> {
    const { repair, network, placement } = this.#options;
    if (!repair) return undefined;
    if (!placement.isReachable(home)) return 'no';
    try {
      if (!(await network.restoreRecord(home, record))) return 'no';
      return records.size > 0 ? 'from-peer' : 'from-ufs';
    } catch {
      return 'no';
    }
  }

  async *#takeSegments(
    record: FileRecord,
    scope: FileScope,
    signal: AbortSignal,
  ): AsyncGenerator<VerifyEvent> {
    const { placement, job } = this.#options;
    const { path, segmented, sizeBytes, segmentSizeBytes } = record;
    for (let index = 0; index * segmentSizeBytes < sizeBytes; index += 1) {
      const owners = placement.ownersOf({ path, index, segmented }, job.replicaCount);
      const spot = new Spot(record, index, owners, scope);
      this.#window.push(spot);
      this.#windowBytes += spot.lengthBytes;
      for (let rank = owners.length; rank < job.replicaCount; rank += 1) {
        scope.findings.differ({ path, segment: index, kind: 'missing', message: TOO_FEW_PEERS });
      }
      const isFull =
        this.#window.length >= WINDOW_MAX_COUNT || this.#windowBytes >= WINDOW_MAX_BYTES;
      if (isFull) yield* this.#checkWindow(signal);
    }
  }

  async *#checkWindow(signal: AbortSignal): AsyncGenerator<VerifyEvent> {
    const { network, placement, repair, clock } = this.#options;
    const spots = this.#window;
    this.#window = [];
    this.#windowBytes = 0;
    signal.throwIfAborted();
    await checkSegments(spots, network, placement);
    if (repair) await new SegmentRestorer(network, placement).restore(spots, signal);
    for (const spot of spots) {
      spot.settle();
      this.#copyCount += spot.owners.length;
      this.#checkedBytes += spot.soundCount * spot.lengthBytes;
    }
    if (clock.nowMs() - this.#toldMs < PROGRESS_INTERVAL_MS) return;
    this.#toldMs = clock.nowMs();
    yield { progress: this.#progress };
  }

  /** Whether the certificate counts more files than the catalogues know. */
  #missesFiles(): boolean {
    const { certified, replicaCount } = this.#options.job;
    return (this.#own.fileCount + this.#later.fileCount) * replicaCount < certified.recordCount;
  }

  async *#lookForLost(signal: AbortSignal): AsyncGenerator<VerifyEvent> {
    const { job, network, placement, list } = this.#options;
    const catalogue = new MergedCatalogue(job.roots, network, placement);
    try {
      for await (const record of lostFiles(job, catalogue, list(signal))) {
        this.#own.fileCount += 1;
        yield* this.#takeLost(record, signal);
      }
      yield* this.#checkWindow(signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const { message } = toRingloadError(thrown);
      this.#notes.push(`files that no peer knows cannot be named: ${message}`);
    }
  }

  async *#takeLost(record: FileRecord, signal: AbortSignal): AsyncGenerator<VerifyEvent> {
    await this.#checkRecord({ path: record.path, records: new Map() }, record, this.#own);
    if (!this.#options.job.metadataOnly) yield* this.#takeSegments(record, this.#own, signal);
  }

  #report(): VerifyReport {
    const { job, placement, currentEpoch } = this.#options;
    const { certified, replicaCount } = job;
    const total = this.#own.findings;
    const isLaterPart = this.#own.fileCount * replicaCount !== certified.recordCount;
    if (this.#later.fileCount > 0 && isLaterPart) {
      total.addAll(this.#later.findings);
      if (!isSameSums(total.sums(), certified)) this.#blameLater(total);
    }
    for (const peer of this.#catalogue.unread) {
      if (!placement.isOnRing(peer)) continue;
      this.#notes.push(`peer ${peer} does not answer: what it holds is not counted`);
    }
    const found = total.sums();
    const ringChanged = currentEpoch() !== placement.epoch;
    if (ringChanged) this.#notes.push('the ring changed meanwhile: verify again');
    const knownCount = total.counts;
    if (found.recordCount < certified.recordCount && total.differenceCount === 0) {
      this.#notes.push('files that were certified are known neither to a peer nor to the store');
    }
    const isRepaired = total.differenceCount === total.repaired.fromPeer + total.repaired.fromUfs;
    return {
      jobId: job.id,
      path: job.path,
      equal: isSameSums(found, certified) && isRepaired && !ringChanged,
      epoch: placement.epoch,
      ringChanged,
      certified,
      found,
      checked: { ...this.#progress, differenceCount: total.differenceCount },
      counts: knownCount,
      repaired: total.repaired,
      differences: total.differences,
      notes: this.#notes,
    };
  }

  /** What later jobs wrote anew is no longer what was certified. */
  #blameLater(total: Findings): void {
    for (const path of this.#later.paths) {
      total.differ({ path, kind: 'other-version', message: 'a later job wrote its record anew' });
    }
    const restCount = this.#later.fileCount - this.#later.paths.length;
    if (restCount > 0) this.#notes.push(`${String(restCount)} more files were written anew`);
  }
}

const TOO_FEW_PEERS = 'the ring has fewer peers than the job wants copies';
