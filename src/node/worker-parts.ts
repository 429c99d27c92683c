/** The port for Alluxio's Python clients. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { DescriptorGate } from '../base/descriptors.ts';
import type { Logger } from '../base/logger.ts';
import { createHttpApp } from '../http/app.ts';
import { answerClientError, SERVER_OPTIONS } from '../http/server.ts';
import type { HttpServices } from '../http/services.ts';
import type { UfsInfo, WorkerServices } from '../http/worker/services.ts';
import { bucketsOf } from '../s3/buckets.ts';
import type { MountConfig } from '../ufs/mounts.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import type { Closer } from './closer.ts';
import { closerOf, listen, portOf } from './listen.ts';
import type { OpenedLocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';

const DRAIN_GRACE_MS = 5000;

type Context = NodeOptions & {
  readonly local: OpenedLocalParts;
  readonly services: HttpServices;
  readonly closer: Closer;
  readonly logger: Logger;
};

/** `http://host:port`; undefined when the port stays closed. @throws address_in_use */
export async function openWorkerPort(context: Context): Promise<string | undefined> {
  const { loaded, local, services, closer, logger, metrics } = context;
  const { worker, peer, http } = loaded.config;
  if (!worker.enabled) return undefined;
  const server = createServer({
    ...SERVER_OPTIONS,
    headersTimeout: http.headersTimeoutMs,
    requestTimeout: http.requestTimeoutMs,
  });
  server.on('clientError', answerClientError);
  const gate = new DescriptorGate(local.descriptors.clientGate);
  server.on('connection', (socket) => {
    if (gate.enter(socket) === 'use') return;
    metrics.connectionRefused('worker');
    socket.destroy();
  });
  const doors: WorkerServices = {
    ...pathsOf(local.stores),
    mounts: local.stores.mounts,
    ufsInfo: () => ufsInfoOf(loaded.config.ufs.mounts, worker.tellCredentials),
    missingStatus: worker.missingStatus === 'internal' ? 500 : 404,
    port: () => portOf(server),
  };
  const app = createHttpApp(services, {
    logger,
    port: 'worker',
    worker: doors,
    version: context.version,
    onExchange: (exchange) => {
      metrics.httpRequest(exchange);
    },
  });
  const answer = app.callback();
  server.on('request', (request, response) => void answer(request, response));
  const close = closerOf(server, DRAIN_GRACE_MS);
  await listen(server, peer.host, worker.port);
  closer.add('worker port', close);
  const shown = peer.host.includes(':') ? `[${peer.host}]` : peer.host;
  return `http://${shown}:${String(portOf(server))}`;
}

/** Paths as the S3 endpoint serves them, and back. */
export function pathsOf(
  stores: UnderStores,
): Pick<WorkerServices, 'list' | 'alluxioPathOf' | 'pathOf'> {
  const buckets = [...bucketsOf(stores.mounts).values()];
  return {
    list: (request) => stores.storeOf(request.root).list(request, new AbortController().signal),
    alluxioPathOf: (path) => {
      for (const { name, mounts } of buckets) {
        for (const { base } of mounts) {
          if (path === base.slice(0, -1)) return `/${name}`;
          if (path.startsWith(base)) return `/${name}/${path.slice(base.length)}`;
        }
      }
      return undefined;
    },
    pathOf: (alluxioPath) => {
      const [, name = '', key = ''] = /^\/([^/]*)(?:\/([\s\S]*))?$/.exec(alluxioPath) ?? [];
      const base = buckets.find((bucket) => bucket.name === name)?.mounts[0]?.base;
      if (base === undefined) return undefined;
      return key === '' ? base.slice(0, -1) : `${base}${key}`;
    },
  };
}

async function ufsInfoOf(
  mounts: readonly MountConfig[],
  tellsCredentials: boolean,
): Promise<ReadonlyMap<string, UfsInfo>> {
  const { alluxioPathOf } = pathsOf({
    mounts: mounts.map(({ path }) => path),
    storeOf: () => {
      throw new Error('nothing is read');
    },
  });
  const sorted = [...mounts].sort((left, right) => right.path.length - left.path.length);
  const entries = sorted.map(async (mount): Promise<[string, UfsInfo]> => {
    const access = tellsCredentials ? await credentialsOf(mount) : undefined;
    return [
      mount.path,
      {
        alluxioPath: alluxioPathOf(mount.path) ?? mount.path,
        endpoint: mount.endpoint ?? '',
        accessKey: access?.accessKey ?? '',
        secretKey: access?.secretKey ?? '',
      },
    ];
  });
  return new Map(await Promise.all(entries));
}

/** Those that the mount names; what the AWS chain finds is not handed on. */
async function credentialsOf({
  credentials,
}: MountConfig): Promise<{ accessKey: string; secretKey: string } | undefined> {
  if (credentials?.kind === 'file') {
    const [accessKey, secretKey] = await Promise.all(
      [credentials.accessKeyIdPath, credentials.secretAccessKeyPath].map(async (path) =>
        (await readFile(path, 'utf8')).trim(),
      ),
    );
    return { accessKey: accessKey ?? '', secretKey: secretKey ?? '' };
  }
  if (credentials?.kind !== 'env') return undefined;
  const { env } = process;
  const accessKey = env[credentials.accessKeyIdName] ?? '';
  return { accessKey, secretKey: env[credentials.secretAccessKeyName] ?? '' };
}
