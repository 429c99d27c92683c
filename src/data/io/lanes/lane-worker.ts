/**
 * A lane thread: owns sockets, buffers and file descriptors, and does what it is ordered. It knows
 * neither segments nor jobs. Orders come and reports go in groups, since each message has a price.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { DirectEndpoint } from '../../../ufs/under-store.ts';
import { BandwidthBuckets } from '../../bandwidth-buckets.ts';
import { NICENESS, stepBack } from '../step-back.ts';
import { DemandCount } from '../../demand-count.ts';
import { WriteTurns } from '../../write-turns.ts';
import { DemandPause } from './demand-pause.ts';
import { LaneLimit } from './lane-limit.ts';
import type { FromLanes, LaneCrew, LaneRequest, LaneThreadOptions } from './lane-orders.ts';
import { LaneRoom } from './lane-room.ts';
import { LaneSet } from './lane-set.ts';
import { PageBuffers } from './page-buffers.ts';
import { TargetFiles } from './target-files.ts';

const CHECK_MS = 250;

const options = workerData as LaneThreadOptions & { readonly crew: LaneCrew };
stepBack(NICENESS[options.crew]);
const sets = new Map<string, LaneSet>();
const room = new LaneRoom(options.socketMaxCount, () => sets.values());
const pause = new DemandPause(new DemandCount(options.demands), () => performance.now());
const turns = new WriteTurns(() => pause.isOn, options.writeMaxCount);
const parts = {
  buffers: new PageBuffers(),
  files: new TargetFiles(
    options.directIo,
    options.openFileMaxCount,
    options.crew === 'loads' ? turns : undefined,
  ),
  bandwidth: new BandwidthBuckets(options.bandwidth),
  pause,
  nowMs: () => performance.now(),
  tell,
};
let reports: FromLanes[] = [];

parentPort?.on('message', (requests: readonly LaneRequest[]) => {
  for (const request of requests) {
    if (request.kind === 'cancel') {
      [...sets.values()].some((set) => set.cancel(request.id));
    } else if (request.kind === 'hurry') {
      const { id } = request;
      if ([...sets.values()].some((set) => set.recall(id))) tell({ kind: 'recalled', id });
      else [...sets.values()].some((set) => set.hurry(id));
    } else if (request.kind === 'follow') {
      [...sets.values()].some((set) => set.follow(request.id, request.trail));
    } else {
      setOf(request.order.request.endpoint).run(request.order, tell);
    }
  }
});

setInterval(() => {
  const nowMs = parts.nowMs();
  for (const [name, set] of sets) {
    set.check(nowMs);
    if (set.isUnused) sets.delete(name);
  }
}, CHECK_MS).unref();

function tell(report: FromLanes): void {
  if (reports.length === 0) {
    setImmediate(() => {
      parentPort?.postMessage(reports);
      reports = [];
    });
  }
  reports.push(report);
}

function setOf(endpoint: DirectEndpoint): LaneSet {
  const name = `${endpoint.address} ${endpoint.port} ${endpoint.tls?.serverName ?? ''}`;
  let set = sets.get(name);
  if (!set) {
    const maxCount = Math.min(options.laneMaxCount, endpoint.laneMaxCount ?? Infinity);
    set = new LaneSet(endpoint, new LaneLimit(maxCount), { ...parts, room });
    sets.set(name, set);
  }
  return set;
}
