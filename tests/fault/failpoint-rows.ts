/**
 * The crash points of a load: which step of which peer, and the story that leads past it. Every row
 * is played three times: the peer dies at the first, at a middle and at the last hit.
 */
import { failpointNames, type Failpoint } from '../../src/base/failpoint.ts';

/**
 * `load`: three small jobs and a read of all files. `evict`: three larger ones into a full cache.
 * `stop`: three slow jobs, stopped one by one.
 */
export type Story = 'load' | 'evict' | 'stop';

export interface CrashRow {
  readonly point: Failpoint;
  /** Who dies: the leader, or an owner that does not lead. */
  readonly role: 'leader' | 'owner';
  readonly story: Story;
  /** Kill so much later, while the step waits. */
  readonly afterMs?: number;
}

const leader = (...points: Failpoint[]): CrashRow[] =>
  points.map((point) => ({ point, role: 'leader', story: 'load' }));
const owner = (...points: Failpoint[]): CrashRow[] =>
  points.map((point) => ({ point, role: 'owner', story: 'load' }));
const evicting = (...points: Failpoint[]): CrashRow[] =>
  points.map((point) => ({ point, role: 'owner', story: 'evict' }));

export const LEADER_ROWS: readonly CrashRow[] = [
  ...leader(
    'job.submit.parsed',
    'raft.entries.appended',
    'raft.entries.sent',
    'job.submit.committed',
    'job.drive.begin',
  ),
  // So late that the client has its answer.
  { point: 'job.list.begin', role: 'leader', story: 'load', afterMs: 150 },
  ...leader(
    'job.list.received',
    'job.batch.assigned',
    'job.batch.sent',
    'job.batch.acked',
    'job.results.received',
    'job.checkpoint.made',
    'job.verdict.reached',
    'job.verdict.committed',
    'raft.snapshot.written',
    'raft.snapshot.renamed',
    'raft.log.truncated',
  ),
  { point: 'job.stop.silenced', role: 'leader', story: 'stop' },
  { point: 'job.stop.committed', role: 'leader', story: 'stop' },
];

export const OWNER_ROWS: readonly CrashRow[] = [
  ...owner(
    'fill.get.begin',
    'fill.body.middle',
    'fill.body.complete',
    'cache.data.written',
    'cache.data.synced',
    'cache.record.appended',
    'cache.record.synced',
    'catalog.batch.begin',
    'catalog.batch.written',
    'owner.report.begin',
    'owner.report.sent',
    'cache.read.block',
  ),
  ...evicting(
    'cache.region.opened',
    'cache.region.sealed',
    'cache.segment.copied',
    'cache.region.emptied',
    'cache.region.truncated',
  ),
];

/** Failpoints that no row covers. */
export function uncovered(): readonly Failpoint[] {
  const covered = new Set([...LEADER_ROWS, ...OWNER_ROWS].map(({ point }) => point));
  return failpointNames().filter((name) => !covered.has(name));
}
