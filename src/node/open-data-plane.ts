/** How bytes come into the cache: lane threads, streams, and the limits that both keep to. */
import type { Bandwidth } from '../data/bandwidth.ts';
import type { DataPlane } from '../data/data-plane.ts';
import type { DemandCount } from '../data/demand-count.ts';
import { DirectChoice, probeDirectory } from '../data/io/lanes/direct-choice.ts';
import { LaneDataPlane } from '../data/io/lanes/lane-data-plane.ts';
import { LaneThreads } from '../data/io/lanes/lane-threads.ts';
import type { PeerCopyOptions } from '../data/io/lanes/peer-copy.ts';
import { StreamDataPlane } from '../data/io/stream-data-plane.ts';
import { LimitedDataPlane } from '../data/limited-data-plane.ts';
import type { PeerSegments } from '../data/peer-segments.ts';
import { AHEAD_WRITE_MAX_COUNT, WriteTurns } from '../data/write-turns.ts';
import type { SlowDown } from '../data/slow-down.ts';
import type { FileSegmentStore } from '../cache/io/file-segment-store.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import type { Closer } from './closer.ts';
import type { DescriptorShares } from './descriptor-shares.ts';
import type { NodeOptions } from './node-options.ts';
import { systemClock } from './system.ts';

export interface DataPlaneParts {
  readonly store: FileSegmentStore;
  readonly stores: UnderStores;
  readonly client: PeerSegments;
  readonly peers: PeerCopyOptions;
  readonly descriptors: DescriptorShares;
  readonly bandwidth: Bandwidth;
  readonly demands: DemandCount;
  readonly slowDown: SlowDown;
  readonly closer: Closer;
}

/** Of the connections that lanes may have: what readers wait for is seldom much at once. */
const READERS_SOCKET_SHARE = 1 / 4;

/** Lanes with streams behind them, or streams alone; within the limits either way. */
export function openDataPlane(options: NodeOptions, parts: DataPlaneParts): DataPlane {
  const { store, stores, client, peers, descriptors, bandwidth, slowDown, closer } = parts;
  const turns = new WriteTurns(() => parts.demands.value > 0, AHEAD_WRITE_MAX_COUNT);
  const streams = new StreamDataPlane({ stores, peers: client, writer: store, turns });
  const { loaded, logger, metrics } = options;
  const { lanes, ufs } = loaded.config;
  if (lanes.threadCount === 0) return new LimitedDataPlane(streams, bandwidth, slowDown);
  const { threadCount, directIo } = lanes;
  const laneMaxCount = Math.ceil(ufs.connectionMaxCount / threadCount);
  const readerSockets = Math.ceil(descriptors.lanes * READERS_SOCKET_SHARE);
  const socketMaxCount = {
    readers: Math.ceil(readerSockets / threadCount),
    loads: Math.ceil((descriptors.lanes - readerSockets) / threadCount),
  };
  const openFileMaxCount = Math.ceil(descriptors.regionFiles / (2 * threadCount));
  const plane = new LaneDataPlane({
    threads: new LaneThreads({
      ...{ threadCount, directIo, laneMaxCount, socketMaxCount, openFileMaxCount },
      bandwidth: bandwidth.memory,
      demands: parts.demands.memory,
      logger,
    }),
    ...{ streams, stores, placer: store, peers },
    direct: measureDirectories(options, closer),
    onFallback: (source) => {
      metrics.fillFallback(source);
    },
  });
  return new LimitedDataPlane(plane, bandwidth, slowDown);
}

/** The peer does not wait for it: until a directory is measured it is written directly. */
function measureDirectories({ loaded, logger }: NodeOptions, closer: Closer): DirectChoice {
  const { cache, lanes } = loaded.config;
  const direct = new DirectChoice({
    logger,
    probe: (directory) => probeDirectory(directory, systemClock),
  });
  if (lanes.directIo === 'auto') {
    const measured = direct.measure(cache.directories.map(({ path }) => path));
    closer.add('probe of direct I/O', () => measured);
  }
  return direct;
}
