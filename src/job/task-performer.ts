/**
 * One task of an owner: brings the segment in, writes the file's record, leases both to the pass,
 * and says what is there. Owns the sums of the work done for each job.
 *
 * Invariant: what is told as stored is durable and leased, so that nothing evicts it before the
 * verdict.
 */
import { formatSum, type CombinableSum } from '../base/crc-combine.ts';
import { RingloadError } from '../base/errors.ts';
import type { JobId, PeerId } from '../base/ids.ts';
import { formatDigest, recordDigest, segmentDigest } from '../cache/digest.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { ResidentSegment, SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { TallyCounts } from '../cluster/job-record.ts';
import type { LoadOutcome, SegmentLoader } from '../data/segment-loader.ts';
import {
  leaseOf,
  METADATA_ONLY_INDEX,
  type PassRef,
  type Task,
  type TaskBatch,
  type TaskResult,
} from './protocol.ts';
import { RecordWriter } from './record-writer.ts';

export interface PerformerOptions {
  readonly store: Pick<SegmentStore, 'open' | 'drop' | 'lease'>;
  readonly catalog: FileCatalog;
  readonly loader: SegmentLoader;
  /** A checksum of what is read, in hex digits. */
  readonly sumOf: (algorithm: CombinableSum, chunks: AsyncIterable<Uint8Array>) => Promise<string>;
  /** Data endpoint of a member; undefined when unknown. */
  readonly endpointOf: (peer: PeerId) => string | undefined;
  /** What the under store told a peer of an object with a segment that was followed. */
  readonly toldAt?: (peer: PeerId, key: SegmentKey) => Promise<ObjectAttributes | undefined>;
}

/** One task of a batch, and who waits for it. */
export interface Performance {
  readonly pass: PassRef;
  readonly batch: TaskBatch;
  readonly task: Task;
  readonly signal: AbortSignal;
  /** The segment comes from the under store now, and others may follow. */
  readonly onBegun: () => void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Jobs whose sums are remembered. */
const TALLY_MAX_COUNT = 10_000;

export class TaskPerformer {
  readonly #options: PerformerOptions;
  readonly #tallies = new Map<JobId, Mutable<TallyCounts>>();
  readonly #records: RecordWriter;

  constructor(options: PerformerOptions) {
    this.#options = options;
    this.#records = new RecordWriter(options.catalog);
  }

  /** @throws what the leader is told as the task's failure. */
  async perform(performance: Performance): Promise<TaskResult> {
    const { pass, batch, task } = performance;
    let record = recordOf(batch, task);
    const holder = leaseOf(pass);
    const told = task.record ? { recordDigest: formatDigest(recordDigest(record)) } : {};
    if (task.index === METADATA_ONLY_INDEX) {
      const { loadedBy } = await this.#records.put(record, batch.options.reload, holder);
      return { id: task.id, status: loadedBy === batch.jobId ? 'loaded' : 'resident', ...told };
    }
    const { path, version, segmentSizeBytes } = record;
    const key: SegmentKey = { path, version, segmentSizeBytes, index: task.index };
    const putRecord = async (outcome: LoadOutcome): Promise<void> => {
      const attributes = outcome.attributes ?? (await this.#toldOf(task, key));
      if (attributes) record = { ...record, attributes };
      if (task.record) record = await this.#records.put(record, false, holder);
    };
    const outcome = await this.#load(performance, key, putRecord);
    const { segment, sum, isChecked } = outcome;
    const ours = segment.loadedBy === batch.jobId;
    const digest = formatDigest(segmentDigest(key, segment.lengthBytes, segment.crc32c));
    const wanted = batch.files[task.file]?.sum;
    const known = sum ?? (await this.#knownSum(batch, task, segment));
    return {
      ...{ id: task.id, status: ours ? 'loaded' : 'resident', digest, ...told },
      ...(wanted !== undefined && known !== undefined && { sum: known }),
      ...(isChecked === true && { isChecked }),
      ...newsOf(batch, task, record.attributes),
    };
  }

  /** The leader has ordered to follow before it could know what the object carries. */
  async #toldOf(task: Task, key: SegmentKey): Promise<ObjectAttributes | undefined> {
    const [source] = task.sources;
    const isAsked = task.follows === true && task.record && key.path.startsWith('s3://');
    if (!isAsked || source === undefined) return undefined;
    return this.#options.toldAt?.(source, key).catch(() => undefined);
  }

  /**
   * The checksum that is wanted of a resident segment. Only of what this job has brought in, and
   * in its first pass, is it computed anew: then an answer that had it was lost.
   */
  async #knownSum(
    batch: TaskBatch,
    task: Task,
    segment: ResidentSegment,
  ): Promise<string | undefined> {
    const wanted = batch.files[task.file]?.sum;
    if (wanted === undefined) return undefined;
    if (wanted === 'crc32c') return formatSum(wanted, BigInt(segment.crc32c));
    const isOurs = segment.loadedBy === batch.jobId && !task.copy;
    if (!isOurs || batch.pass > 1) return undefined;
    const reader = await this.#options.store.open(segment.key);
    if (!reader) return undefined;
    try {
      return await this.#options.sumOf(wanted, reader.read(0, reader.lengthBytes));
    } catch {
      // The segment is leased by now, so its task must not fail; the inventory misses it.
      return undefined;
    } finally {
      reader.close();
    }
  }

  /**
   * Loads and leases; what was evicted between the two is loaded again. Why the lease is last: what
   * is leased counts in the inventory, so nothing may fail behind it.
   */
  async #load(
    { pass, batch, task, signal, onBegun }: Performance,
    key: SegmentKey,
    putRecord: (outcome: LoadOutcome) => Promise<void>,
  ): Promise<LoadOutcome> {
    const { options } = batch;
    const { followMinBytes = Infinity } = options;
    const file = batch.files[task.file];
    // Why not of copies: their source has told it, and they were compared by CRC32C.
    const sum = file?.sum === 'crc32c' || task.copy ? undefined : file?.sum;
    const tally = this.tallyOf(batch.jobId);
    const isPatient = task.attempt < options.patientAttemptCount;
    const peerEndpoints = task.sources.flatMap((peer) => this.#options.endpointOf(peer) ?? []);
    if (isPatient && peerEndpoints.length === 0 && task.sources.length > 0) {
      // Why: a member that this peer has not heard of yet is about to become known.
      throw new RingloadError('peer_unreachable', 'no source of the copy is known here yet');
    }
    if (file?.isRefetched === true) await this.#options.store.drop(key);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const outcome = await this.#options.loader.load(
        {
          key,
          lengthBytes: task.length,
          fileSizeBytes: file?.sizeBytes ?? 0,
          ...(sum !== undefined && { sum }),
          peerEndpoints,
          allowUfs: task.follows !== true,
          ...(task.follows && { follows: true }),
          ...(!task.copy && task.length >= followMinBytes && { onBegun }),
          waitForPeers: isPatient,
          job: batch.jobId,
          reload: options.reload,
          deepVerify: options.deepVerify,
          meter: (from, receivedBytes) => {
            if (from === 'ufs') tally.ufsBytes += receivedBytes;
            else tally.copiedBytes += receivedBytes;
          },
          ...(options.bandwidthBps !== undefined && {
            bandwidthBps: options.bandwidthBps,
            bandwidthGroup: batch.jobId,
          }),
        },
        signal,
      );
      if (outcome.own && outcome.filled) {
        tally.segmentCount += 1;
        tally.storedBytes += task.length;
      }
      await putRecord(outcome);
      signal.throwIfAborted();
      if (this.#options.store.lease(key, leaseOf(pass))) return outcome;
    }
    throw new RingloadError(
      'cache_io',
      `segment ${String(key.index)} of ${key.path} does not stay in the cache`,
    );
  }

  /** The work for the job since this process started: goes on growing. */
  tallyOf(jobId: JobId): Mutable<TallyCounts> {
    let tally = this.#tallies.get(jobId);
    if (!tally) {
      tally = { segmentCount: 0, storedBytes: 0, ufsBytes: 0, copiedBytes: 0 };
      this.#tallies.set(jobId, tally);
      // Why not with the leases: a job that is resumed goes on with its sums.
      const oldest = this.#tallies.keys().next().value;
      if (this.#tallies.size > TALLY_MAX_COUNT && oldest !== undefined)
        this.#tallies.delete(oldest);
    }
    return tally;
  }
}

/** What the leader has not told of the object's attributes, where other homes need it. */
function newsOf(
  batch: TaskBatch,
  task: Task,
  attributes: ObjectAttributes | undefined,
): Pick<TaskResult, 'attributes'> {
  if (!attributes || task.index > 0 || batch.files[task.file]?.attributes) return {};
  return batch.options.replicaCount > 1 || !task.record ? { attributes } : {};
}

function recordOf(batch: TaskBatch, task: Task): FileRecord {
  const file = batch.files[task.file];
  if (!file) {
    throw new RingloadError(
      'invalid_argument',
      `task ${String(task.id)} names file ${String(task.file)} of ${String(batch.files.length)}`,
    );
  }
  const { segmentSizeBytes, segmented, replicaCount } = batch.options;
  const { afterFree = 0, jobId } = batch;
  return {
    ...{ ...file, segmentSizeBytes, segmented, replicaCount, loadedBy: jobId },
    ...(afterFree > 0 && { afterFree }),
  };
}
