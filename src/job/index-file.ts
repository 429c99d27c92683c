/**
 * The list of paths that an index file is: one a line, UTF-8. Blank lines and those that begin
 * with `#` say nothing; a trailing `/` and a carriage return are dropped.
 *
 * The file is read in the version that the job was submitted with, by every leader and in every
 * pass: a list that changes meanwhile would let files be lost or counted twice.
 */
import { RingloadError } from '../base/errors.ts';
import type { RangeRequest, UnderStore } from '../ufs/under-store.ts';
import { rootOfLine } from './index-line.ts';
import { PathList } from './path-list.ts';
import { INDEX_MAX_BYTES, JOB_LIMITS, type IndexPin } from './spec.ts';

/** @throws ufs_*: ufs_changed when it is another version now. */
export async function readIndex(
  store: UnderStore,
  path: string,
  { version, sizeBytes }: IndexPin,
  signal: AbortSignal,
): Promise<PathList> {
  const list = new PathList();
  const lines = new LineCutter((line) => {
    const root = rootOfLine(line);
    if (root !== undefined) list.add(root);
  });
  const request: RangeRequest = { path, version, sizeBytes, offset: 0, length: sizeBytes };
  if (sizeBytes > 0) {
    for await (const chunk of store.readRange(request, signal)) lines.take(chunk);
  }
  lines.end();
  return list;
}

/**
 * The version that a job is submitted with.
 * @throws ufs_*, invalid_argument when there is nothing in it, or too much
 */
export async function pinIndex(
  store: UnderStore,
  path: string,
  signal: AbortSignal,
): Promise<IndexPin> {
  const { version, sizeBytes } = await store.stat(path, signal);
  if (sizeBytes === 0) throw refused(path, 'is empty');
  if (sizeBytes > INDEX_MAX_BYTES) {
    throw refused(path, `has ${sizeBytes} bytes: at most ${INDEX_MAX_BYTES} are read`);
  }
  return { version, sizeBytes };
}

/** Lines out of chunks; of one that no path can be as long as, only so much that this shows. */
class LineCutter {
  readonly #decoder = new TextDecoder();
  readonly #onLine: (line: string) => void;
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  take(chunk: Uint8Array): void {
    this.#cut(this.#decoder.decode(chunk, { stream: true }));
  }

  end(): void {
    this.#cut(`${this.#decoder.decode()}\n`);
  }

  #cut(text: string): void {
    const lines = text.split('\n');
    const last = lines.pop() ?? '';
    for (const line of lines) {
      this.#onLine(shortened(this.#rest + line));
      this.#rest = '';
    }
    this.#rest = shortened(this.#rest + last);
  }
}

function shortened(line: string): string {
  const maxLength = JOB_LIMITS.pathMaxBytes + 2;
  if (line.length <= maxLength) return line;
  // Why not in the midst of a character: half of one is another one when it was encoded.
  return line.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '');
}

function refused(path: string, rule: string): RingloadError {
  return new RingloadError('invalid_argument', `index file ${path} ${rule}`);
}
