/**
 * The list of a job's failed files on the leader's disk: one path per line as Alluxio writes it,
 * and beside it the reasons as JSON lines. Bounded memory: lines are appended in order, in groups.
 */
import { appendFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { whenDescriptorsAllow } from '../../base/descriptors.ts';
import type { JobId } from '../../base/ids.ts';
import type { Logger } from '../../base/logger.ts';
import type { FailureSink } from '../job-driver.ts';
import type { FailedFile } from '../job-status.ts';

/** Failures that wait for the disk; what comes on top is counted in the log, not kept. */
const WAITING_MAX_COUNT = 100_000;

export class FailureFile implements FailureSink {
  readonly #path: string;
  readonly #logger: Logger;
  #waiting: FailedFile[] = [];
  #writing = false;

  constructor(dataDir: string, jobId: JobId, logger: Logger) {
    this.#path = failureListPath(dataDir, jobId);
    this.#logger = logger;
  }

  append(failure: FailedFile): void {
    if (this.#waiting.length >= WAITING_MAX_COUNT) {
      this.#logger.warn('failed file not listed, the disk is too slow', { path: failure.path });
      return;
    }
    this.#waiting.push(failure);
    void this.#write();
  }

  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      while (this.#waiting.length > 0) {
        const group = this.#waiting;
        this.#waiting = [];
        await append(this.#path, group.map(({ path }) => `${oneLine(path)}\n`).join(''));
        await append(
          `${this.#path}.reasons`,
          group.map((one) => `${JSON.stringify(one)}\n`).join(''),
        );
      }
    } catch (error) {
      this.#logger.error('list of failed files not written', { reason: (error as Error).message });
    } finally {
      this.#writing = false;
    }
  }
}

function append(path: string, text: string): Promise<void> {
  return whenDescriptorsAllow(() => appendFile(path, text), pause);
}

export function failureListPath(dataDir: string, jobId: JobId): string {
  return join(dataDir, 'job_results', 'load', jobId);
}

/** A key may hold line breaks; the list has one line a file. */
function oneLine(path: string): string {
  return path.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}
