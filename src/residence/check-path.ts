/**
 * What of a path is cached: by file, by number of copies, by peer. The files are those that the
 * under store lists; where it is not asked, or does not answer, those of the catalogues.
 *
 * Memory is bounded: a page of the listing and of each catalogue, and one question's worth of keys.
 */
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import { compareUtf8 } from '../cache/utf8-order.ts';
import type { UfsObject, UnderStore } from '../ufs/under-store.ts';
import { MergedCatalogue, type KnownFile } from '../verify/merged-catalogue.ts';
import type { CheckedFile, CheckEvent, CheckReport, FileState } from './report.ts';
import type { ResidenceNetwork, ResidencePlacement } from './residence-network.ts';

export interface CheckOptions {
  readonly path: string;
  /** Absent: the under store is not asked. */
  readonly store?: UnderStore;
  readonly network: ResidenceNetwork;
  readonly placement: ResidencePlacement;
  /** Of what is read through. */
  readonly segmentSizeBytes: number;
  /** The later of two records of one file. */
  readonly newestOf: (records: readonly FileRecord[]) => FileRecord | undefined;
}

const PAGE_MAX_COUNT = 1000;
/** Segments in one question to each peer. */
const KEYS_MAX_COUNT = 1000;

interface Found {
  readonly record: FileRecord;
  readonly state: FileState;
}

export async function* checkPath(
  options: CheckOptions,
  signal: AbortSignal,
): AsyncGenerator<CheckEvent> {
  const asking = new Asking(options);
  const total = new Totals(options.path);
  let storeError: string | undefined;
  const files = foundFiles(options, asking, signal, (reason) => {
    storeError = reason;
  });
  for await (const found of files) {
    for (const file of await asking.add(found)) {
      total.add(file);
      yield { file };
    }
  }
  for (const file of await asking.finish()) {
    total.add(file);
    yield { file };
  }
  yield { report: total.report([...asking.unanswered], storeError) };
}

/** In order of paths. */
async function* foundFiles(
  options: CheckOptions,
  asking: Asking,
  signal: AbortSignal,
  onStoreError: (reason: string) => void,
): AsyncGenerator<Found> {
  const catalogue = new MergedCatalogue([options.path], options.network, options.placement);
  const known = catalogue.files();
  let next = await known.next();
  let isListed = options.store !== undefined;
  const rest = function* (): Generator<Found> {
    const found = recordOf(options, next.value as KnownFile | undefined);
    if (found) yield { record: found, state: isListed ? 'gone' : 'unchecked' };
  };
  try {
    for await (const object of listed(options, signal)) {
      for (; !next.done && compareUtf8(next.value.path, object.path) < 0; next = await known.next())
        yield* rest();
      const isKnown = !next.done && next.value.path === object.path;
      const record = isKnown ? recordOf(options, next.value as KnownFile) : undefined;
      yield foundObject(options, object, record);
      if (isKnown) next = await known.next();
    }
  } catch (thrown) {
    const { code, message } = toRingloadError(thrown);
    signal.throwIfAborted();
    onStoreError(`${code}: ${message}`);
    isListed = false;
  }
  for (; !next.done; next = await known.next()) yield* rest();
  for (const peer of catalogue.unread) asking.unanswered.add(peer);
}

async function* listed(
  { store, path }: CheckOptions,
  signal: AbortSignal,
): AsyncGenerator<UfsObject> {
  let after: string | undefined;
  while (store) {
    const request = { root: path, limit: PAGE_MAX_COUNT };
    const page = await store.list(after === undefined ? request : { ...request, after }, signal);
    yield* page.objects;
    if (page.done) return;
    after = page.cursor;
  }
}

function recordOf({ newestOf }: CheckOptions, file: KnownFile | undefined): FileRecord | undefined {
  return file && newestOf([...file.records.values()]);
}

function foundObject(
  { segmentSizeBytes }: CheckOptions,
  object: UfsObject,
  record: FileRecord | undefined,
): Found {
  if (record?.version === object.version && record.sizeBytes === object.sizeBytes)
    return { record, state: 'loaded' };
  const { path, sizeBytes, version, mtimeMs } = object;
  const plain = { path, sizeBytes, version, mtimeMs, segmentSizeBytes };
  return {
    record: { ...plain, segmented: true, replicaCount: record?.replicaCount ?? 1 },
    state: record ? 'outdated' : 'not-loaded',
  };
}

/** Collects segments until a question is worth asking, and sums up the answers by file. */
class Asking {
  readonly unanswered = new Set<PeerId>();
  readonly #options: CheckOptions;
  #spots: { readonly file: FileSum; readonly key: SegmentKey; readonly lengthBytes: number }[] = [];
  #files: FileSum[] = [];

  constructor(options: CheckOptions) {
    this.#options = options;
    const { members, isReachable } = options.placement;
    for (const peer of members) if (!isReachable(peer)) this.unanswered.add(peer);
  }

  /** Files that are done with this. */
  async add(found: Found): Promise<readonly CheckedFile[]> {
    const file = new FileSum(found);
    this.#files.push(file);
    const { path, version, segmentSizeBytes, sizeBytes } = found.record;
    for (let index = 0; index * segmentSizeBytes < sizeBytes; index += 1) {
      const lengthBytes = Math.min(segmentSizeBytes, sizeBytes - index * segmentSizeBytes);
      this.#spots.push({ file, key: { path, version, segmentSizeBytes, index }, lengthBytes });
      if (this.#spots.length >= KEYS_MAX_COUNT) await this.#ask();
    }
    if (this.#files.length >= KEYS_MAX_COUNT) return this.finish();
    // Why a prefix: files are told in order, those without segments, too.
    const [pending] = this.#spots;
    return this.#take(pending ? this.#files.indexOf(pending.file) : this.#files.length);
  }

  async finish(): Promise<readonly CheckedFile[]> {
    await this.#ask();
    return this.#take(this.#files.length);
  }

  #take(count: number): readonly CheckedFile[] {
    return this.#files.splice(0, count).map((file) => file.result());
  }

  async #ask(): Promise<void> {
    const spots = this.#spots;
    this.#spots = [];
    if (spots.length === 0) return;
    const { network, placement } = this.#options;
    const keys = spots.map(({ key }) => key);
    const copies = new Uint16Array(spots.length);
    const ask = async (peer: PeerId): Promise<void> => {
      const held = await network.holds(peer, keys).catch(() => undefined);
      if (!held) this.unanswered.add(peer);
      for (const [position, { file, lengthBytes }] of spots.entries()) {
        if (held?.[position] !== true) continue;
        copies[position] = (copies[position] ?? 0) + 1;
        file.addAt(peer, lengthBytes);
      }
    };
    await Promise.all(placement.members.filter((peer) => placement.isReachable(peer)).map(ask));
    for (const [position, { file, lengthBytes }] of spots.entries()) {
      file.addCopies(copies[position] ?? 0, lengthBytes);
    }
  }
}

class FileSum {
  readonly #found: Found;
  readonly #replicaBytes: number[];
  readonly #peerBytes = new Map<PeerId, number>();

  constructor(found: Found) {
    this.#found = found;
    this.#replicaBytes = Array.from({ length: found.record.replicaCount }, () => 0);
  }

  addAt(peer: PeerId, bytes: number): void {
    this.#peerBytes.set(peer, (this.#peerBytes.get(peer) ?? 0) + bytes);
  }

  addCopies(count: number, bytes: number): void {
    for (let copy = 0; copy < count; copy += 1)
      this.#replicaBytes[copy] = (this.#replicaBytes[copy] ?? 0) + bytes;
  }

  result(): CheckedFile {
    const { record, state } = this.#found;
    const { path, sizeBytes } = record;
    const peerBytes = Object.fromEntries(this.#peerBytes);
    return { path, sizeBytes, state, replicaBytes: this.#replicaBytes, peerBytes };
  }
}

class Totals {
  readonly #path: string;
  #files = 0;
  #sizeBytes = 0;
  #residentFiles = 0;
  readonly #states = { loaded: 0, outdated: 0, 'not-loaded': 0, gone: 0, unchecked: 0 };
  readonly #replicaBytes: number[] = [];
  readonly #peerBytes = new Map<PeerId, number>();

  constructor(path: string) {
    this.#path = path;
  }

  add({ sizeBytes, state, replicaBytes, peerBytes }: CheckedFile): void {
    this.#files += 1;
    this.#sizeBytes += sizeBytes;
    this.#states[state] += 1;
    if ((replicaBytes[0] ?? 0) === sizeBytes) this.#residentFiles += 1;
    for (const [copy, bytes] of replicaBytes.entries())
      this.#replicaBytes[copy] = (this.#replicaBytes[copy] ?? 0) + bytes;
    for (const [peer, bytes] of Object.entries(peerBytes) as [PeerId, number][])
      this.#peerBytes.set(peer, (this.#peerBytes.get(peer) ?? 0) + bytes);
  }

  report(unanswered: readonly PeerId[], storeError: string | undefined): CheckReport {
    return {
      path: this.#path,
      files: this.#files,
      sizeBytes: this.#sizeBytes,
      residentFiles: this.#residentFiles,
      residentBytes: this.#replicaBytes[0] ?? 0,
      states: this.#states,
      replicaBytes: this.#replicaBytes,
      peerBytes: Object.fromEntries(this.#peerBytes),
      unanswered,
      ...(storeError !== undefined && { storeError }),
    };
  }
}
