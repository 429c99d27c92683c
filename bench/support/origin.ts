/**
 * A fast S3 origin in processes of its own: `count` objects of one size, anonymous.
 *
 * Where nginx is installed it serves the objects, from memory, and a lister beside it answers
 * ListObjectsV2; elsewhere the sample store does both, at a part of the speed.
 */
import { rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { CertificateAuthority } from '../../tests/support/certificates.ts';
import { Child, cleanEnvironment } from '../../tests/support/child.ts';
import { waitFor } from '../../tests/support/wait-for.ts';
import { fastFolder, isNginxInstalled, linkFiles, type Nginx, startNginx } from './nginx.ts';

export interface OriginOptions {
  readonly count: number;
  readonly sizeBytes: number;
  /** Over TLS; needs nginx. */
  readonly tls?: boolean;
  /** MB/s of each connection at most; with nginx only. */
  readonly rateMbps?: number;
  /** Default {@link ORIGIN_BUCKET}. */
  readonly bucket?: string;
}

export interface Origin extends OriginOptions, AsyncDisposable {
  readonly endpoint: string;
  /** What serves it, for the report. */
  readonly server: string;
  readonly pids: readonly number[];
  /** Certificate of its authority, PEM. */
  readonly caCert?: string;
  /** Of object `number`, 0-based. */
  keyOf(number: number): string;
  /** As `--mount` takes it. */
  readonly mount: string;
}

export const ORIGIN_BUCKET = 'bench';
const PREFIX = 'object-';
const DIGITS = 10;
/** Whole seconds: it is in the ETag, which lister and nginx have to agree upon. */
const MODIFIED_S = Date.UTC(2026, 0, 1) / 1000;

export async function startOrigin(options: OriginOptions): Promise<Origin> {
  if (isNginxInstalled()) return nginxOrigin(options);
  if (options.tls === true) throw new Error('an origin with TLS needs nginx, which is missing');
  const store = await startStore(options);
  return {
    ...originOf(options, store.endpoint),
    server: 'the sample store (nginx is not installed)',
    pids: [store.child.pid],
    [Symbol.asyncDispose]: async () => {
      await store.child.stop();
    },
  };
}

async function nginxOrigin(options: OriginOptions): Promise<Origin> {
  const { count, sizeBytes, tls = false, rateMbps, bucket = ORIGIN_BUCKET } = options;
  const folder = await fastFolder();
  let store: Awaited<ReturnType<typeof startStore>> | undefined;
  let nginx: Nginx | undefined;
  const close = async (): Promise<void> => {
    await nginx?.[Symbol.asyncDispose]();
    await store?.child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const names = Array.from({ length: count }, (_, number) => keyOf(number));
    const objects = join(folder, bucket);
    await linkFiles(objects, names, sizeBytes);
    await utimes(join(objects, keyOf(0)), MODIFIED_S, MODIFIED_S);
    const { size } = await stat(join(objects, keyOf(0)));
    store = await startStore(options, `${MODIFIED_S.toString(16)}-${size.toString(16)}`);
    const authority = tls ? new CertificateAuthority() : undefined;
    nginx = await startNginx({
      root: folder,
      ...(rateMbps !== undefined && { rateMbps }),
      forwarded: {
        paths: ['/', `/${bucket}`, `/${bucket}/`],
        to: store.endpoint,
      },
      ...(authority && { tls: authority.issue({ names: ['localhost', '127.0.0.1'] }) }),
    });
    return {
      ...originOf(options, nginx.endpoint.replace('https://127.0.0.1', 'https://localhost')),
      server: `nginx, from ${folder.startsWith('/dev/shm') ? 'memory' : 'the page cache'}`,
      pids: await nginx.pids(),
      ...(authority && { caCert: authority.cert }),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function originOf(options: OriginOptions, endpoint: string) {
  const { bucket = ORIGIN_BUCKET } = options;
  const mount = `s3://${bucket},endpoint=${endpoint},region=us-east-1,credentials=anonymous`;
  return { ...options, endpoint, mount, keyOf };
}

function keyOf(number: number): string {
  return PREFIX + String(number).padStart(DIGITS, '0');
}

/** @param etag the one that all objects have; absent: one for each of them */
async function startStore(
  { count, sizeBytes, bucket = ORIGIN_BUCKET }: OriginOptions,
  etag?: string,
) {
  const child = await Child.start({
    command: process.execPath,
    args: [
      join(import.meta.dirname, 'origin-process.js'),
      ...[bucket, PREFIX, String(count), String(sizeBytes)],
      ...(etag === undefined ? [] : [etag]),
    ],
    env: cleanEnvironment(),
  });
  const endpoint = await waitFor(() => /^http:\S+$/m.exec(child.logs())?.[0], {
    what: 'the origin to listen',
    context: () => child.logs(),
  });
  return { child, endpoint };
}
