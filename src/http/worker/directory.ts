/** What Alluxio's clients are told of paths: status and direct children, from the under store. */
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { UfsObject } from '../../ufs/under-store.ts';
import type { FileService, FileStat } from '../services.ts';
import { statusObject } from './status-object.ts';
import type { WorkerServices } from './services.ts';

const PAGE_MAX_COUNT = 1000;
/** Entries of one answer: it is built in memory. */
const ENTRY_MAX_COUNT = 100_000;
/** Files of a listing whose cached part is counted; of more it is told as none. */
const COUNTED_MAX_COUNT = 32;

export class Directory {
  readonly #files: FileService;
  readonly #worker: WorkerServices;

  constructor(files: FileService, worker: WorkerServices) {
    this.#files = files;
    this.#worker = worker;
  }

  /** @throws ufs_not_found, path_not_mounted */
  async status(path: string): Promise<object> {
    const file = await this.#stat(path);
    if (file) return this.#fileStatus(file, await this.#cachedPercent(path));
    if (await this.#isDirectory(path)) return this.#directoryStatus(path);
    throw new RingloadError('ufs_not_found', `${path} does not exist`);
  }

  /** Of a directory its children, of a file the file. @throws ufs_not_found, path_not_mounted */
  async list(path: string): Promise<readonly object[]> {
    const { files, directories } = await this.#children(path);
    if (files.length + directories.length === 0) return [await this.status(path)];
    const isCounted = files.length <= COUNTED_MAX_COUNT;
    const statuses = await Promise.all(
      files.map(async (file) =>
        this.#fileStatus(file, isCounted ? await this.#cachedPercent(file.path) : 0),
      ),
    );
    return [...directories.map((each) => this.#directoryStatus(each)), ...statuses];
  }

  async #stat(path: string): Promise<FileStat | undefined> {
    if (this.#worker.mounts.includes(path)) return undefined;
    try {
      return await this.#files.stat(path);
    } catch (thrown) {
      if (toRingloadError(thrown).code === 'ufs_not_found') return undefined;
      throw thrown;
    }
  }

  async #isDirectory(path: string): Promise<boolean> {
    if (this.#worker.mounts.includes(path)) return true;
    const { objects } = await this.#worker.list({ root: path, limit: 1 });
    return objects.length > 0;
  }

  /** One request for each page of files, and one for each directory, whatever lies below it. */
  async #children(path: string): Promise<{ files: UfsObject[]; directories: string[] }> {
    const files: UfsObject[] = [];
    const directories: string[] = [];
    const below = `${path}/`;
    // Why from the path on: an object of its name is no child of it.
    for (let after = path; ;) {
      const page = await this.#worker.list({ root: path, after, limit: PAGE_MAX_COUNT });
      let skipTo: string | undefined;
      for (const object of page.objects) {
        const slash = object.path.indexOf('/', below.length);
        if (slash < 0) files.push(object);
        else if (!object.path.startsWith(`${directories.at(-1) ?? '\0'}/`)) {
          directories.push(object.path.slice(0, slash));
        }
        skipTo = slash < 0 ? object.path : `${object.path.slice(0, slash + 1)}\u{10ffff}`;
      }
      if (page.done)
        return { files: files.filter(({ path: each }) => each !== below), directories };
      if (files.length + directories.length > ENTRY_MAX_COUNT) {
        const message = `${path} has more than ${ENTRY_MAX_COUNT} entries: list it page by page through S3`;
        throw new RingloadError('payload_too_large', message);
      }
      after = skipTo ?? page.cursor ?? after;
    }
  }

  /** Of its segments, those that lie on some peer. */
  async #cachedPercent(path: string): Promise<number> {
    try {
      const { segments } = await this.#files.placement(path);
      if (segments.length === 0) return 100;
      const resident = segments.filter(({ residentOn }) => residentOn.length > 0).length;
      return Math.floor((100 * resident) / segments.length);
    } catch {
      return 0;
    }
  }

  #fileStatus({ path, sizeBytes, mtimeMs, version }: UfsObject, cachedPercent: number): object {
    return statusObject({
      ...{ path, sizeBytes, mtimeMs, version, cachedPercent, isDirectory: false },
      alluxioPath: this.#worker.alluxioPathOf(path) ?? path,
    });
  }

  #directoryStatus(path: string): object {
    return statusObject({
      ...{ path, sizeBytes: 0, mtimeMs: 0, version: '', cachedPercent: 0, isDirectory: true },
      alluxioPath: this.#worker.alluxioPathOf(path) ?? path,
    });
  }
}
