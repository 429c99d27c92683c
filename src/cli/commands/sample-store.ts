/** `sample-store`: an S3-compatible store with sample data on this machine, until ^C. */
import { once } from 'node:events';
import { parseBytes } from '../../base/units.ts';
import { type CommandInput, usageError } from '../input.ts';
import type { CliContext } from '../context.ts';

const PORT_DEFAULT = 9000;
const BUCKET_DEFAULT = 'demo';

interface StoreOptions {
  readonly port: number;
  readonly bucket: string;
  readonly bytesPerSecond?: number;
}

export async function runSampleStore(context: CliContext, input: CommandInput): Promise<number> {
  const options = optionsOf(input);
  const stopped = context.interrupt();
  const { startSampleStore } = await import('../../sample/sample-store.ts');
  const { demoObjects } = await import('../../sample/object-set.ts');
  const store = await startSampleStore({ ...options, objects: demoObjects() });
  try {
    const path = `s3://${options.bucket}`;
    if (context.json) await context.terminal.writeJson({ endpoint: store.endpoint, path });
    else await context.terminal.writeLine(`serving ${path} at ${store.endpoint}; ^C ends it`);
    if (!stopped.aborted) await once(stopped, 'abort');
  } finally {
    await store.close();
  }
  return 0;
}

function optionsOf(input: CommandInput): StoreOptions {
  const port = input.integer('port', { min: 0, max: 65_535 }) ?? PORT_DEFAULT;
  const bucket = input.text('bucket') ?? BUCKET_DEFAULT;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw usageError(`--bucket must be 3 to 63 of a-z, 0-9, '-' and '.', not '${bucket}'`);
  }
  const throttle = input.text('throttle');
  return {
    port,
    bucket,
    ...(throttle === undefined ? {} : { bytesPerSecond: rateOf(throttle) }),
  };
}

function rateOf(text: string): number {
  const bytesPerSecond = parseBytes(text);
  if (bytesPerSecond >= 1) return bytesPerSecond;
  throw usageError(`--throttle must be at least one byte per second, not '${text}'`);
}
