/** `ringload serve`: one peer in one process, from signal to exit code. */
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { readMountEnv } from '../config/env-source.ts';
import type { LoadedConfig } from '../config/load.ts';
import { createLogger } from '../obs/logger.ts';
import { createMetrics } from '../obs/metrics.ts';
import { armFailpoints } from './failpoints.ts';
import { createNode } from './node.ts';

/** Exit code of a peer that stopped itself because a part of it failed. */
const FAILED_EXIT_CODE = 70;

/**
 * Runs a peer until it is told to stop or fails. @throws what keeps it from starting.
 * @param failpoints orders for {@link armFailpoints}
 */
export async function runNode(
  loaded: LoadedConfig,
  version: string,
  failpoints?: string,
): Promise<number> {
  // Why: the SDK would print a notice about Node versions into the output of the peer.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const { level, format } = loaded.config.log;
  const logger = createLogger({ level, format, secrets: loaded.secrets.values() });
  armFailpoints(failpoints, logger);
  const metrics = createMetrics({ version });
  metrics.watch({ log: () => logger });
  const giveUp = new AbortController();
  const givenUp = new RingloadError('cancelled', 'told to stop before it had joined a cluster');
  const stopped = stopSignal();
  void stopped.then(() => {
    giveUp.abort(givenUp);
  });
  try {
    await using node = await createNode({
      loaded,
      logger,
      metrics,
      env: readMountEnv(loaded.config.ufs.mounts),
      version,
      giveUp: giveUp.signal,
    });
    logger.info('ready to serve', {
      peer: node.peerId,
      cluster: node.clusterId,
      rest: `http://${node.restAddress}`,
      data: node.dataEndpoint,
      ...(node.s3Endpoint !== undefined && { s3: node.s3Endpoint }),
      ...(node.workerAddress !== undefined && { worker: node.workerAddress }),
      version,
    });
    const removed = node.removed.then(() => 'removed from the cluster');
    const end = await Promise.race([stopped, node.failed, removed]);
    if (end instanceof Error) {
      const error = toRingloadError(end);
      logger.error('stopping after a failure', { code: error.code, reason: error.message });
      // Why: to start again would not help against a copy of the data directory.
      return error.code === 'data_dir_foreign' ? error.exitCode : FAILED_EXIT_CODE;
    }
    logger.info('stopping', { reason: end });
    return 0;
  } catch (thrown) {
    // Why: a peer that is told to stop while it waits to join does as it was told.
    if (thrown !== givenUp) throw thrown;
    logger.info('stopping', { reason: givenUp.message });
    return 0;
  } finally {
    metrics.close();
    logger.close();
  }
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal);
      });
    }
  });
}
