/**
 * A {@link LogStorage} in files: a write-ahead log in self-contained segments.
 *
 * A segment `raft-<number>.log` begins with one record that holds a whole image (snapshot, hard
 * state, tail of entries), written under a temporary name, synced, and renamed; every batch adds
 * one record, synced before the next. A new segment replaces all older ones, so a crash at any
 * moment leaves either the old log or the new one, each complete.
 *
 * A batch that needs no sync is not written at all: it rides along with the next one. So at most
 * one record is ever unsynced, which is what lets the reader tell a torn tail from damage.
 */
import { RingloadError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { logIndex, raftId, term } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Logger } from '../base/logger.ts';
import type { LogFile, LogFiles } from './log-files.ts';
import type {
  Configuration,
  HardState,
  LogBatch,
  LogEntry,
  LogImage,
  LogStorage,
} from './log-storage.ts';
import { DamagedSegment, encodeRecord, scanSegment } from './wal-format.ts';

const FORMAT_VERSION = 1;
const SEGMENT_NAME = /^raft-(\d{10})\.log$/;
const TEMPORARY_NAME = /^raft-\d{10}\.log\.tmp$/;

/** Entries and hard state as they are written: arrays, because they repeat so often. */
type EntryTuple = readonly [number, number, number, LogEntry['data']];
type HardStateTuple = readonly [number, number, number];

interface BatchPayload {
  readonly hardState: HardStateTuple;
  readonly entries: readonly EntryTuple[];
}

interface BasePayload extends BatchPayload {
  readonly format: number;
  readonly snapshot: {
    readonly index: number;
    readonly term: number;
    readonly configuration: Configuration;
    readonly data: string;
  };
}

export class WalLogStorage implements LogStorage {
  readonly #files: LogFiles;
  readonly #logger: Logger;
  #segment: { readonly name: string; readonly file: LogFile } | undefined;
  #segmentNumber = 0;
  #recordCount = 0;
  /** A hard state that is newer than the last record. */
  #unwritten: HardState | undefined;
  /** Set while a call is under way and for ever after one failed. */
  #state: 'idle' | 'busy' | 'broken' | 'closed' = 'idle';

  constructor(files: LogFiles, logger: Logger) {
    this.#files = files;
    this.#logger = logger;
  }

  load(): Promise<LogImage | undefined> {
    return this.#exclusively('read', async () => {
      const names = await this.#files.list();
      for (const name of names.filter((each) => TEMPORARY_NAME.test(each))) {
        await this.#files.remove(name);
      }
      const segments = names.filter((name) => SEGMENT_NAME.test(name)).sort();
      const newest = segments.pop();
      if (newest === undefined) return undefined;
      const image = await this.#openSegment(newest);
      for (const name of segments) await this.#files.remove(name);
      return image;
    });
  }

  persist(batch: LogBatch): Promise<void> {
    return this.#exclusively('write', async () => {
      invariant(this.#segment, 'a log is started with replaceWith');
      this.#unwritten = batch.hardState;
      if (batch.mustSync || batch.entries.length > 0) await this.#writeRecord(batch.entries);
    });
  }

  replaceWith(image: LogImage): Promise<void> {
    return this.#exclusively('write', async () => {
      const name = segmentName(this.#segmentNumber + 1);
      const file = await this.#files.create(`${name}.tmp`);
      try {
        await file.append(encodeRecord(0, encodeBase(image)));
        await file.sync();
        failpoint('raft.snapshot.written');
        await this.#files.rename(`${name}.tmp`, name);
        failpoint('raft.snapshot.renamed');
        await this.#files.syncDirectory();
      } catch (error) {
        await file.close().catch(() => undefined);
        throw error;
      }
      const previous = this.#segment;
      this.#segment = { name, file };
      this.#segmentNumber++;
      this.#recordCount = 1;
      this.#unwritten = undefined;
      if (previous) {
        await previous.file.close();
        await this.#files.remove(previous.name);
        failpoint('raft.log.truncated');
      }
    });
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const isWritable = this.#state === 'idle';
    this.#state = 'closed';
    if (!this.#segment) return;
    if (isWritable && this.#unwritten) await this.#writeRecord([]);
    await this.#segment.file.close();
  }

  async #writeRecord(entries: readonly LogEntry[]): Promise<void> {
    invariant(this.#segment && this.#unwritten, 'nothing to write');
    const payload: BatchPayload = {
      hardState: encodeHardState(this.#unwritten),
      entries: entries.map(encodeEntry),
    };
    await this.#segment.file.append(encodeRecord(this.#recordCount, JSON.stringify(payload)));
    await this.#segment.file.sync();
    this.#recordCount++;
    this.#unwritten = undefined;
  }

  async #openSegment(name: string): Promise<LogImage> {
    const bytes = await this.#files.read(name);
    const { image, recordCount, sizeBytes, tornBytes } = this.#replay(name, bytes);
    if (tornBytes > 0) {
      this.#logger.warn('dropped an incomplete record at the end of the raft log', {
        file: this.#files.describe(name),
        offset: sizeBytes,
        bytes: tornBytes,
      });
    }
    this.#segment = { name, file: await this.#files.openAt(name, sizeBytes) };
    this.#segmentNumber = Number(SEGMENT_NAME.exec(name)?.[1]);
    this.#recordCount = recordCount;
    return image;
  }

  #replay(name: string, bytes: Uint8Array) {
    try {
      const { payloads, sizeBytes, tornBytes } = scanSegment(bytes);
      const [first = '', ...rest] = payloads;
      const base = decodeBase(first);
      const entries = [...base.entries];
      let hardState = base.hardState;
      for (const text of rest) {
        const payload = JSON.parse(text) as BatchPayload;
        hardState = decodeHardState(payload.hardState);
        extend(entries, payload.entries.map(decodeEntry), base.snapshot.index);
      }
      const image: LogImage = { snapshot: base.snapshot, hardState, entries };
      if (image.hardState.commit < image.snapshot.index) {
        throw new DamagedSegment(sizeBytes, 'the commit index lies before the snapshot');
      }
      return { image, recordCount: payloads.length, sizeBytes, tornBytes };
    } catch (error) {
      if (!(error instanceof DamagedSegment)) throw error;
      const file = this.#files.describe(name);
      throw new RingloadError(
        'data_corrupt',
        `read raft log ${file}: damaged at offset ${error.offset}: ${error.message}`,
        { details: { file, offset: error.offset }, cause: error },
      );
    }
  }

  /** The system says what failed, but not always where. */
  #explained(verb: 'read' | 'write', thrown: unknown): unknown {
    if (!isSystemError(thrown)) return thrown;
    const file = this.#files.describe(this.#segment?.name ?? segmentName(this.#segmentNumber + 1));
    return new RingloadError('data_dir_io', `${verb} raft log ${file}: ${thrown.message}`, {
      details: { file, systemCode: thrown.code },
      cause: thrown,
    });
  }

  /** One call at a time; after a failure none at all. */
  async #exclusively<Result>(
    verb: 'read' | 'write',
    action: () => Promise<Result>,
  ): Promise<Result> {
    invariant(this.#state === 'idle', `the log storage is ${this.#state}`);
    this.#state = 'busy';
    let next: 'idle' | 'broken' = 'broken';
    try {
      const result = await action();
      next = 'idle';
      return result;
    } catch (error) {
      throw this.#explained(verb, error);
    } finally {
      // Why the test: close() may have come meanwhile.
      if ((this.#state as string) === 'busy') this.#state = next;
    }
  }
}

function isSystemError(thrown: unknown): thrown is Error & { readonly code: string } {
  return (
    thrown instanceof Error &&
    !(thrown instanceof RingloadError) &&
    typeof (thrown as { code?: unknown }).code === 'string'
  );
}

function segmentName(number: number): string {
  return `raft-${String(number).padStart(10, '0')}.log`;
}

const encodeEntry = (entry: LogEntry): EntryTuple => [
  entry.term,
  entry.index,
  entry.type,
  entry.data,
];

function decodeEntry([entryTerm, index, type, data]: EntryTuple): LogEntry {
  return { term: entryTerm, index, type, data };
}

function encodeHardState(state: HardState): HardStateTuple {
  return [state.term, state.vote ?? 0, state.commit];
}

function decodeHardState([stateTerm, vote, commit]: HardStateTuple): HardState {
  return {
    term: term(stateTerm),
    vote: vote === 0 ? undefined : raftId(vote),
    commit: logIndex(commit),
  };
}

function encodeBase(image: LogImage): string {
  const payload: BasePayload = {
    format: FORMAT_VERSION,
    hardState: encodeHardState(image.hardState),
    entries: image.entries.map(encodeEntry),
    snapshot: image.snapshot,
  };
  return JSON.stringify(payload);
}

function decodeBase(text: string): LogImage {
  const payload = JSON.parse(text) as BasePayload;
  if (payload.format !== FORMAT_VERSION) {
    throw new RingloadError(
      'data_dir_foreign',
      `read raft log: format ${payload.format} is not known here, only ${FORMAT_VERSION} is`,
    );
  }
  return {
    snapshot: {
      ...payload.snapshot,
      index: logIndex(payload.snapshot.index),
      term: term(payload.snapshot.term),
    },
    hardState: decodeHardState(payload.hardState),
    entries: payload.entries.map(decodeEntry),
  };
}

/** In place, because a segment has thousands of records. */
function extend(entries: LogEntry[], added: readonly LogEntry[], snapshotIndex: number): void {
  const first = added[0];
  if (!first) return;
  const last = entries.at(-1)?.index ?? snapshotIndex;
  if (first.index > last + 1 || first.index <= snapshotIndex) {
    throw new DamagedSegment(0, `entry ${first.index} does not follow entry ${last}`);
  }
  entries.length -= last + 1 - first.index;
  for (const entry of added) entries.push(entry);
}
