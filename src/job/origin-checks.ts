/**
 * The files of one pass and the checksums that the under store has of them: asked for before owners
 * fetch, compared when all is stored; what does not match is forgotten, and fetched once more.
 */
import type { WireError } from '../base/errors.ts';
import type { ObjectChecksum, UfsObject } from '../ufs/under-store.ts';
import type { FileRun } from './file-run.ts';
import { OriginCheck } from './origin-check.ts';
import type { RunEffect } from './run-events.ts';

export interface OriginChecksOptions {
  readonly segmentSizeBytes: number;
  /** Objects that earlier passes found not to match their checksums; added to. */
  readonly corrupt: Set<string>;
  readonly emit: (effect: RunEffect) => void;
  readonly refetch: (file: FileRun) => void;
  readonly fail: (file: FileRun, error: WireError) => void;
}

export class OriginChecks {
  readonly #options: OriginChecksOptions;
  /** Files whose checksum the under store is asked for, by path. */
  readonly #asked = new Map<string, FileRun>();
  /** Files that owners are told to forget, by path. */
  readonly #discarding = new Map<string, FileRun>();

  constructor(options: OriginChecksOptions) {
    this.#options = options;
  }

  /** Why the file is not to be loaded: an earlier pass found that it matches nothing. */
  corruptionOf(file: FileRun): WireError | undefined {
    const { corrupt } = this.#options;
    const isCorrupt = corrupt.size > 0 && corrupt.has(nameOf(file.object));
    return isCorrupt ? corruptError(file) : undefined;
  }

  /** Owners have to know which sum is wanted before they fetch: the store is asked first. */
  awaitsChecksum(file: FileRun): boolean {
    const { object } = file;
    const isWanted = object.mayHaveChecksum === true && file.unitCount > 1;
    if (!isWanted || file.isChecksumTold || file.openedCount > 0) return false;
    this.#asked.set(object.path, file);
    this.#options.emit({ kind: 'ask-checksum', object });
    return true;
  }

  /** @returns the file that waited for it. */
  takeChecksum(answer: {
    path: string;
    version: string;
    found: ObjectChecksum | undefined;
  }): FileRun | undefined {
    const file = this.#asked.get(answer.path);
    if (file?.object.version !== answer.version) return undefined;
    this.#asked.delete(answer.path);
    file.isChecksumTold = true;
    if (answer.found) file.check = new OriginCheck(answer.found, file.object.sizeBytes);
    return file;
  }

  /** All of the file is stored: false when it is not what the under store has. */
  isSound(file: FileRun): boolean {
    const { check } = file;
    if (check?.verdict() !== 'mismatch') return true;
    // The answers to its last tasks are waited for: none may come after what follows.
    if (file.inflightCount > 0 || file.discardCount > 0) return false;
    this.#discard(file);
    if (file.isRefetched) {
      this.#options.corrupt.add(nameOf(file.object));
      this.#options.fail(file, corruptError(file));
    } else {
      file.isRefetched = true;
      if (file.discardCount === 0) this.#options.refetch(file);
    }
    return false;
  }

  /** What owners hold of the file is not to be served, and does not count as held. */
  #discard(file: FileRun): void {
    const { path, version, sizeBytes } = file.object;
    const { segmentSizeBytes } = this.#options;
    const discarded = { path, version, sizeBytes, segmentSizeBytes };
    file.discardCount = file.held.length;
    this.#discarding.set(path, file);
    for (const { owner: to } of file.held) {
      this.#options.emit({ kind: 'discard', to, file: discarded });
    }
    file.held = [];
  }

  /** @returns the file once every owner has forgotten it. */
  takeDiscarded(path: string): FileRun | undefined {
    const file = this.#discarding.get(path);
    if (!file) return undefined;
    file.discardCount -= 1;
    if (file.discardCount > 0) return undefined;
    this.#discarding.delete(path);
    return file;
  }
}

function nameOf({ path, version }: UfsObject): string {
  return `${version}\0${path}`;
}

function corruptError({ object, check }: FileRun): WireError {
  const sum = check?.algorithm ?? 'checksum';
  return { code: 'ufs_corrupt', message: `${object.path} does not match its ${sum}` };
}
