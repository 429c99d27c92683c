/**
 * A fast S3 origin in a process of its own: `count` virtual objects of one size. It costs next to
 * nothing per byte, needs no disk, and its CPU time is not that of whoever loads from it.
 */
import { join } from 'node:path';
import { Child, cleanEnvironment } from '../../tests/support/child.ts';
import { waitFor } from '../../tests/support/wait-for.ts';

export interface OriginOptions {
  readonly count: number;
  readonly sizeBytes: number;
}

export interface Origin extends OriginOptions, AsyncDisposable {
  readonly endpoint: string;
  readonly pid: number;
  /** Of object `number`, 0-based. */
  keyOf(number: number): string;
  /** As `--mount` takes it. */
  readonly mount: string;
}

export const ORIGIN_BUCKET = 'bench';
const PREFIX = 'object-';
const DIGITS = 10;

export async function startOrigin({ count, sizeBytes }: OriginOptions): Promise<Origin> {
  const child = await Child.start({
    command: process.execPath,
    args: [
      join(import.meta.dirname, 'origin-process.js'),
      ...[ORIGIN_BUCKET, PREFIX, String(count), String(sizeBytes)],
    ],
    env: cleanEnvironment(),
  });
  const endpoint = await waitFor(() => /^http:\S+$/m.exec(child.logs())?.[0], {
    what: 'the origin to listen',
    context: () => child.logs(),
  });
  return {
    count,
    sizeBytes,
    endpoint,
    pid: child.pid,
    keyOf: (number) => PREFIX + String(number).padStart(DIGITS, '0'),
    mount: `s3://${ORIGIN_BUCKET},endpoint=${endpoint},region=us-east-1,credentials=anonymous`,
    [Symbol.asyncDispose]: async () => {
      await child.stop();
    },
  };
}
