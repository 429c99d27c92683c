/**
 * Mounts: which prefixes of which under stores this cluster may touch, and how each is reached.
 *
 * The table is the only way from a path to a store, and it matches by path segment, so nothing
 * outside a configured mount is ever contacted. Endpoints and credentials come from here alone,
 * never from a request; credentials are named by reference and never held in a config value.
 */
import { RingloadError } from '../base/errors.ts';
import { canonicalRoot, isAtOrBelow, parsePath } from './path.ts';
import type { UnderStore, UnderStores } from './under-store.ts';

/** Where the credentials of a mount come from. Without one: the standard AWS chain. */
export type CredentialSource =
  /** Requests are not signed: public buckets. */
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'env';
      readonly accessKeyIdName: string;
      readonly secretAccessKeyName: string;
      readonly sessionTokenName?: string;
    }
  /** Each file holds one value; surrounding white space is dropped. Read again when refused. */
  | {
      readonly kind: 'file';
      readonly accessKeyIdPath: string;
      readonly secretAccessKeyPath: string;
      readonly sessionTokenPath?: string;
    };

/** Deadlines, budgets and bounds of the traffic to one mount. */
export interface UfsLimits {
  /** TCP connect. */
  readonly connectTimeoutMs: number;
  /** From sending a request to its last header byte, TLS handshake and queueing included. */
  readonly requestTimeoutMs: number;
  /** A whole listing page or stat, body included. */
  readonly listTimeoutMs: number;
  /** A whole readRange, counting only time spent waiting for the store, retries included. */
  readonly readTimeoutMs: number;
  /** A body must bring `throughputMinBytes` in each window of waiting this long. */
  readonly throughputWindowMs: number;
  readonly throughputMinBytes: number;
  /** Retries of one call; a readRange gets one more for every 16 MiB. */
  readonly retryMaxCount: number;
  /** First back-off, doubled by every retry and jittered; four times as long when throttled. */
  readonly retryDelayMs: number;
  readonly retryDelayMaxMs: number;
  /** Sockets to the endpoint; further requests queue inside their request timeout. */
  readonly connectionMaxCount: number;
}

export const UFS_DEFAULT_LIMITS: UfsLimits = {
  connectTimeoutMs: 3_000,
  requestTimeoutMs: 20_000,
  listTimeoutMs: 60_000,
  readTimeoutMs: 600_000,
  throughputWindowMs: 10_000,
  throughputMinBytes: 64 * 1024,
  retryMaxCount: 4,
  retryDelayMs: 100,
  retryDelayMaxMs: 5_000,
  connectionMaxCount: 128,
};

export interface MountConfig {
  /** Prefix that may be read: `s3://bucket`, `s3://bucket/prefix` or `file:///directory`. */
  readonly path: string;
  /** `http(s)://host[:port]`; absent: AWS_ENDPOINT_URL_S3 and what else the AWS chain knows. */
  readonly endpoint?: string;
  /** Absent: the AWS chain, then us-east-1. */
  readonly region?: string;
  /** Absent: true when an endpoint is set, as S3-compatible servers expect. */
  readonly forcePathStyle?: boolean;
  readonly credentials?: CredentialSource;
  /**
   * `verify` (default): checksums of whole objects that the store sends, or that its listing says
   * it has, are checked. `thorough`: every object of several segments is asked for its checksum,
   * and single-part ETags are checked as the MD5 that they are, which costs 1.4 s of CPU per GB.
   * `ignore`: for stores that send composite multipart checksums as if they covered the object.
   */
  readonly responseChecksums?: 'verify' | 'thorough' | 'ignore';
  /** `through`: S3 clients may write, and what they write goes to the store. Default: refused. */
  readonly writes?: 'refused' | 'through';
  readonly limits?: Partial<UfsLimits>;
}

/**
 * Checks one mount and returns it with its canonical path.
 * @throws config_invalid naming the mount and the rule.
 */
export function checkMount(mount: MountConfig): MountConfig {
  const path = canonicalMountPath(mount.path);
  if (mount.endpoint !== undefined) checkEndpoint(path, mount.endpoint);
  for (const [name, value] of Object.entries(mount.limits ?? {})) {
    const smallest = name === 'retryMaxCount' || name === 'throughputMinBytes' ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < smallest) {
      throw invalid(path, `limits.${name} is ${value}, expected a whole number from ${smallest}`);
    }
  }
  return { ...mount, path };
}

export interface MountedStore {
  readonly path: string;
  readonly store: UnderStore;
}

/** Longest matching prefix wins, so a mount may lie inside another. */
export class MountTable implements UnderStores {
  readonly mounts: readonly string[];
  readonly #longestFirst: readonly MountedStore[];

  /** @throws config_invalid for a malformed or repeated path. */
  constructor(mounted: readonly MountedStore[]) {
    const entries = mounted.map(({ path, store }) => ({ path: canonicalMountPath(path), store }));
    this.mounts = entries.map(({ path }) => path);
    for (const [index, path] of this.mounts.entries()) {
      if (this.mounts.indexOf(path) !== index) throw invalid(path, 'is configured twice');
    }
    this.#longestFirst = entries.toSorted((a, b) => b.path.length - a.path.length);
  }

  storeOf(path: string): UnderStore {
    parsePath(path);
    const found = this.#longestFirst.find((mounted) => isAtOrBelow(mounted.path, path));
    if (found) return found.store;
    const known = this.mounts.length === 0 ? 'none is configured' : this.mounts.join(', ');
    throw new RingloadError('path_not_mounted', `${path} lies outside every mount: ${known}`, {
      details: { path },
    });
  }

  async close(): Promise<void> {
    const stores = new Set(this.#longestFirst.map(({ store }) => store));
    await Promise.all([...stores].map((store) => store.close()));
  }
}

function canonicalMountPath(text: string): string {
  try {
    return canonicalRoot(text);
  } catch (thrown) {
    throw new RingloadError('config_invalid', `mount: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

function checkEndpoint(path: string, endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw invalid(path, 'its endpoint is not of the form http(s)://host[:port]');
  }
  // The text is not repeated below: what is refused may be a password.
  if (url.username !== '' || url.password !== '') {
    throw invalid(path, 'its endpoint carries credentials, which belong into `credentials`');
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw invalid(path, 'its endpoint has a path, query or fragment');
  }
}

function invalid(path: string, rule: string): RingloadError {
  return new RingloadError('config_invalid', `mount ${path}: ${rule}`);
}
