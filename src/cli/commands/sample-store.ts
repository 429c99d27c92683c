/** `sample-store`: an S3-compatible store with sample data on this machine, until ^C. */
import { once } from 'node:events';
import { RingloadError } from '../../base/errors.ts';
import { parseBytes } from '../../base/units.ts';
import { type CommandInput, usageError } from '../command.ts';
import type { CliContext } from '../context.ts';

const PORT_DEFAULT = 9000;
const BUCKET_DEFAULT = 'demo';

interface SampleStore {
  readonly endpoint: string;
  close(): Promise<void>;
}

interface SampleStoreOptions {
  readonly port: number;
  readonly bucket: string;
  readonly throttleBps?: number;
}

export async function runSampleStore(context: CliContext, input: CommandInput): Promise<number> {
  const options = optionsOf(input);
  const stopped = context.interrupt();
  const startSampleStore = await loadStarter();
  const store = await startSampleStore(options);
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

function optionsOf(input: CommandInput): SampleStoreOptions {
  const port = input.integer('port', { min: 0, max: 65_535 }) ?? PORT_DEFAULT;
  const bucket = input.text('bucket') ?? BUCKET_DEFAULT;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw usageError(`--bucket must be 3 to 63 of a-z, 0-9, '-' and '.', not '${bucket}'`);
  }
  const throttle = input.text('throttle');
  return {
    port,
    bucket,
    ...(throttle === undefined ? {} : { throttleBps: parseBytes(throttle) }),
  };
}

/** Loaded by name, so that no other command pays for it. */
async function loadStarter(): Promise<(options: SampleStoreOptions) => Promise<SampleStore>> {
  const specifier: string = '../../sample/sample-store.ts';
  const module = (await import(specifier)) as { readonly startSampleStore?: unknown };
  if (typeof module.startSampleStore !== 'function') {
    throw new RingloadError('internal', 'this installation has no sample store');
  }
  return module.startSampleStore as (options: SampleStoreOptions) => Promise<SampleStore>;
}
