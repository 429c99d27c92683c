/** Whole nodes in this process: real sockets, real files, a `file://` mount, port 0 everywhere. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../../src/config/load.ts';
import type { Environment } from '../../../src/config/env-source.ts';
import { createNode, type Node } from '../../../src/node/node.ts';
import { createMetrics } from '../../../src/obs/metrics.ts';
import { PeerApi } from '../../support/peer-api.ts';
import { waitFor } from '../../support/wait-for.ts';
import { RecordingLogger } from './fakes.ts';

/** Short timers, so that an election takes half a second. */
const FAST: Environment = {
  RINGLOAD_RAFT_TICK_MS: '50',
  RINGLOAD_LIVENESS_PING_INTERVAL_MS: '200',
  RINGLOAD_LIVENESS_LINK_TIMEOUT_MS: '1500',
  RINGLOAD_LIVENESS_SUSPECT_AFTER_MS: '2500',
  RINGLOAD_LIVENESS_DOWN_AFTER_MS: '8000',
  RINGLOAD_CACHE_REGION_SIZE_BYTES: '1MiB',
  RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: '64KiB',
  RINGLOAD_PEER_REST_PORT: '0',
  RINGLOAD_PEER_DATA_PORT: '0',
  RINGLOAD_S3_PORT: '0',
};

export interface TestNode extends AsyncDisposable {
  readonly node: Node;
  readonly api: PeerApi;
  readonly logger: RecordingLogger;
}

export interface TestNodeOptions {
  readonly dataDir: string;
  /** Folder that is mounted. */
  readonly mount: string;
  readonly join?: readonly string[];
  readonly env?: Environment;
  readonly giveUp?: AbortSignal;
}

export async function startNode(options: TestNodeOptions): Promise<TestNode> {
  const { dataDir, mount, join: members = [], giveUp = new AbortController().signal } = options;
  await mkdir(mount, { recursive: true });
  const loaded = await loadConfig({
    env: {
      ...FAST,
      RINGLOAD_PEER_DATA_DIR: dataDir,
      RINGLOAD_PEER_JOIN: members.join(','),
      RINGLOAD_UFS_MOUNTS: `file://${mount}`,
      RINGLOAD_CACHE_DIRECTORIES: `${join(dataDir, 'cache')}=16MiB`,
      ...options.env,
    },
    searchPaths: [],
  });
  const logger = new RecordingLogger();
  const metrics = createMetrics({ version: 'test' });
  try {
    const node = await createNode({ loaded, logger, metrics, env: {}, version: 'test', giveUp });
    return {
      node,
      api: new PeerApi(`http://${node.restAddress}`),
      logger,
      [Symbol.asyncDispose]: async () => {
        await node.stop();
        metrics.close();
      },
    };
  } catch (error) {
    metrics.close();
    throw error;
  }
}

export function ready({ api, logger }: TestNode): Promise<true> {
  return waitFor(async () => api.ready(), {
    what: 'the node to be ready',
    deadlineMs: 30_000,
    context: () => logger.lines.map((line) => JSON.stringify(line)).join('\n'),
  }).then(() => true);
}
