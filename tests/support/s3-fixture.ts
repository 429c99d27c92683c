/** An S3 store with short deadlines in front of a faulty origin. */
import { inspect } from 'node:util';

import type { Clock } from '../../src/base/clock.ts';
import { RingloadError, toWireError } from '../../src/base/errors.ts';
import { ObjectSet } from '../../src/sample/object-set.ts';
import { S3UnderStore } from '../../src/ufs/io/s3-under-store.ts';
import type { MountConfig, UfsLimits } from '../../src/ufs/mounts.ts';
import type { RangeRequest, UfsObject } from '../../src/ufs/under-store.ts';
import { FaultyOrigin } from './faulty-origin.ts';
import { LaneReader } from './lane-reader.ts';
import { ufsDependencies } from './ufs-dependencies.ts';

/** How bytes come: through the SDK's stream, or through lanes. */
export type ReadWay = 'stream' | 'lanes';

/** Quick retries, but no deadline that a busy machine could miss. */
export const PATIENT_LIMITS: UfsLimits = {
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  listTimeoutMs: 20_000,
  readTimeoutMs: 60_000,
  throughputWindowMs: 20_000,
  throughputMinBytes: 8 * 1024,
  retryMaxCount: 3,
  retryDelayMs: 2,
  retryDelayMaxMs: 20,
  // So few that any leaked socket blocks what follows.
  connectionMaxCount: 2,
};

/** For faults that only a deadline ends. */
export const SHORT_LIMITS: UfsLimits = {
  ...PATIENT_LIMITS,
  connectTimeoutMs: 500,
  requestTimeoutMs: 500,
  listTimeoutMs: 700,
  throughputWindowMs: 400,
};

/** Must never appear in anything a store says. */
export const CANARY_KEY = 'AKIACANARYCANARY';
export const CANARY_SECRET = 'canarysecretcanarysecret';

/** `credentials: undefined` leaves them to the standard AWS chain. */
export interface MountOverrides extends Omit<Partial<MountConfig>, 'credentials'> {
  readonly credentials?: MountConfig['credentials'] | undefined;
}

const CANARY_CREDENTIALS = {
  kind: 'env',
  accessKeyIdName: 'CANARY_KEY',
  secretAccessKeyName: 'CANARY_SECRET',
} as const;

export class S3Fixture implements AsyncDisposable {
  readonly signal = new AbortController().signal;
  readonly origin: FaultyOrigin;
  readonly store: S3UnderStore;
  readonly root = `s3://${FaultyOrigin.BUCKET}`;
  /** Present: {@link read} goes through lanes. */
  readonly lanes: LaneReader | undefined;

  private constructor(origin: FaultyOrigin, store: S3UnderStore, lanes: LaneReader | undefined) {
    this.origin = origin;
    this.store = store;
    this.lanes = lanes;
  }

  static async open(
    sizes: Readonly<Record<string, number>> = {},
    overrides: MountOverrides = {},
    options: { readonly way?: ReadWay; readonly clock?: Clock } = {},
  ): Promise<S3Fixture> {
    const origin = await FaultyOrigin.start(new ObjectSet(Object.entries(sizes)));
    const env = { CANARY_KEY, CANARY_SECRET };
    const { credentials, ...mount } = { credentials: CANARY_CREDENTIALS, ...overrides };
    const config: MountConfig = {
      path: `s3://${FaultyOrigin.BUCKET}`,
      endpoint: origin.endpoint,
      region: 'us-east-1',
      ...(credentials && { credentials }),
      ...mount,
      limits: { ...PATIENT_LIMITS, ...mount.limits },
    };
    const lanes = options.way === 'lanes' ? await LaneReader.open() : undefined;
    const store = new S3UnderStore(config, ufsDependencies(env, options.clock));
    return new S3Fixture(origin, store, lanes);
  }

  stat(key: string): Promise<UfsObject> {
    return this.store.stat(`${this.root}/${key}`, this.signal);
  }

  async read(object: UfsObject, offset = 0, length = object.sizeBytes): Promise<Buffer> {
    const { path, version, sizeBytes } = object;
    const request: RangeRequest = { path, version, sizeBytes, offset, length };
    if (this.lanes) return this.lanes.read(this.store, request, this.signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.store.readRange(request, this.signal)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.lanes?.[Symbol.asyncDispose]();
    await this.origin[Symbol.asyncDispose]();
  }
}

/** The RingloadError of a call; anything else, and any secret in it, is thrown. */
export async function failureOf(call: Promise<unknown>): Promise<RingloadError> {
  let thrown: unknown;
  try {
    await call;
  } catch (caught) {
    thrown = caught;
  }
  if (!(thrown instanceof RingloadError)) throw new Error(`not classed: ${inspect(thrown)}`);
  const told =
    inspect(thrown, { depth: 10, showHidden: true }) + JSON.stringify(toWireError(thrown));
  for (const secret of [CANARY_KEY, CANARY_SECRET, 'AWS4-HMAC', 'Signature=']) {
    if (told.includes(secret)) throw new Error(`an error tells ${secret}`);
  }
  return thrown;
}
