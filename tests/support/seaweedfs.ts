/**
 * SeaweedFS as a second, independent S3 implementation: `weed mini` (master, volume server, filer
 * and S3 gateway in one process) bound to loopback, with a bucket and credentials of its own.
 * `tests/extended/install-seaweedfs.sh` installs the program.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Child, cleanEnvironment } from './child.ts';
import { freePort } from './free-port.ts';
import { tempFolder } from './temp-folder.ts';
import { waitFor } from './wait-for.ts';

const WEED = join(process.cwd(), '.cache/seaweedfs/bin/weed');
/** Each part listens for gRPC that far above its HTTP port. */
const GRPC_OFFSET = 10_000;

export interface SeaweedFs extends AsyncDisposable {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly bucket: string;
  stop(): Promise<void>;
}

/** Why SeaweedFS cannot be started here; undefined when it can. */
export function seaweedFsMissing(): string | undefined {
  return existsSync(WEED) ? undefined : 'SeaweedFS: run tests/extended/install-seaweedfs.sh';
}

export async function startSeaweedFs(bucket = 'demo'): Promise<SeaweedFs> {
  const accessKeyId = 'ringload-test';
  const secretAccessKey = 'ringload-test-secret';
  const folder = await tempFolder('seaweedfs');
  const ports = new Map<string, number>();
  for (const part of ['master', 'volume', 'filer', 's3', 'admin']) {
    ports.set(part, await freePort([GRPC_OFFSET]));
  }
  const s3Port = ports.get('s3') ?? 0;
  const endpoint = `http://127.0.0.1:${s3Port}`;
  const child = await Child.start({
    command: WEED,
    args: [
      'mini',
      `-dir=${folder.path}`,
      '-ip=127.0.0.1',
      '-ip.bind=127.0.0.1',
      ...[...ports].map(([part, port]) => `-${part}.port=${port}`),
      `-s3.localSocket=${join(folder.path, 's3.sock')}`,
      `-filer.localSocket=${join(folder.path, 'filer.sock')}`,
      '-s3.port.iceberg=0',
      '-s3.port.lance=0',
      '-webdav=false',
      '-admin.ui=false',
      '-master.telemetry=false',
    ],
    env: cleanEnvironment({
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      S3_BUCKET: bucket,
    }),
    cwd: folder.path,
  });
  const stop = async (): Promise<void> => {
    await child.stop();
    await folder[Symbol.asyncDispose]();
  };
  try {
    await waitFor(() => bucketAnswers(`${endpoint}/${bucket}`, child), {
      what: `SeaweedFS to serve ${endpoint}/${bucket}`,
      deadlineMs: 60_000,
      context: () => child.logs(),
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint, accessKeyId, secretAccessKey, bucket, stop, [Symbol.asyncDispose]: stop };
}

/** Refusing an unsigned request is what a gateway does that has its bucket and its credentials. */
async function bucketAnswers(url: string, child: Child): Promise<boolean> {
  if (child.exit !== undefined) throw new Error(`weed ended with ${child.exit.code}`);
  const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(2_000) });
  return response.status === 403;
}
