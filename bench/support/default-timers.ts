/** Undoes the short timers of test clusters: benchmarks measure what users get. */
import { CONFIG_OPTIONS } from '../../src/config/options.ts';

const TIMED = ['raft.tickMs', 'load.checkpointIntervalMs', 'load.retryDelayMs'];

/** For `Cluster.start({ env })`. An empty variable counts as not set. */
export const DEFAULT_TIMERS: Readonly<Record<string, string>> = Object.fromEntries(
  CONFIG_OPTIONS.filter(({ key }) => key.startsWith('liveness.') || TIMED.includes(key)).map(
    ({ envName }) => [envName, ''],
  ),
);
