/** What a node is made from; everything else follows from the configuration. */
import type { Logger } from '../base/logger.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Metrics } from '../obs/metrics.ts';

export interface NodeOptions {
  readonly loaded: LoadedConfig;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Environment variables, for mounts that name theirs. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Aborted: a peer that still waits to join gives up, and does not start. */
  readonly giveUp: AbortSignal;
}
