/**
 * What objects carry beside their bytes, remembered by version.
 *
 * A look at the under store tells it for nothing, and so does the fetch of an object's first byte:
 * then it stands in the file's record. Otherwise it is asked for once; while the under store does
 * not answer, such files are served without: the bytes do not wait for it.
 */
import { withTimeout, type Clock } from '../base/clock.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { FoundFile } from '../read/file-reader.ts';
import type { UfsObject } from '../ufs/under-store.ts';

export interface AttributeBookOptions {
  /** Absent: nothing is asked for. */
  readonly stat?: (path: string, signal: AbortSignal) => Promise<UfsObject>;
  readonly clock: Clock;
}

interface Entry {
  readonly version: string;
  readonly attributes: ObjectAttributes;
}

/** About a kilobyte each. */
const ENTRY_MAX_COUNT = 20_000;
const ASK_TIMEOUT_MS = 2_000;
/** After a question without an answer nobody asks for so long. */
const REST_MS = 10_000;

export class AttributeBook {
  readonly #options: AttributeBookOptions;
  /** By path, the longest unused first. */
  readonly #entries = new Map<string, Entry>();
  readonly #asked = new Map<string, Promise<void>>();
  #restsUntilMs = -Infinity;

  constructor(options: AttributeBookOptions) {
    this.#options = options;
  }

  /** Undefined: not known now. */
  async of(found: FoundFile, wantsChecksums = false): Promise<ObjectAttributes | undefined> {
    const { path, version, attributes } = found;
    if (attributes && (!wantsChecksums || tellsChecksums(found, attributes))) {
      if (found.source === 'ufs') this.#remember(path, { version, attributes });
      return attributes;
    }
    if (this.#entries.get(path)?.version !== version) await this.#askOnce(path);
    const entry = this.#entries.get(path);
    if (entry?.version !== version) return attributes;
    this.#remember(path, entry);
    return entry.attributes;
  }

  /** Somebody wrote it: the same bytes may carry something else now. */
  forget(path: string): void {
    this.#entries.delete(path);
  }

  #askOnce(path: string): Promise<void> {
    const { stat, clock } = this.#options;
    // Only the keys of S3 carry anything.
    if (!stat || !path.startsWith('s3://') || clock.nowMs() < this.#restsUntilMs) {
      return Promise.resolve();
    }
    const before = this.#asked.get(path);
    if (before) return before;
    const asking = this.#ask(path, stat).finally(() => this.#asked.delete(path));
    this.#asked.set(path, asking);
    return asking;
  }

  async #ask(path: string, stat: NonNullable<AttributeBookOptions['stat']>): Promise<void> {
    const { clock } = this.#options;
    try {
      const asking = (signal: AbortSignal): Promise<UfsObject> => stat(path, signal);
      const { version, attributes = [] } = await withTimeout(clock, ASK_TIMEOUT_MS, asking);
      this.#remember(path, { version, attributes });
    } catch {
      this.#restsUntilMs = clock.nowMs() + REST_MS;
    }
  }

  #remember(path: string, entry: Entry): void {
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > ENTRY_MAX_COUNT && oldest !== undefined) this.#entries.delete(oldest);
  }
}

/** Whether checksums that are not among the attributes are none of the object's. */
export function tellsChecksums(found: FoundFile, attributes: ObjectAttributes): boolean {
  const { source, sizeBytes, segmentSizeBytes } = found;
  // Why the size: of an object that was fetched in ranges the answers told none.
  if (source === 'ufs' || sizeBytes <= segmentSizeBytes) return true;
  return attributes.some(([name]) => name.startsWith('x-amz-checksum-'));
}
