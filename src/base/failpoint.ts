/**
 * Failpoints: named steps at which tests let a peer die, stop for a while, or fail. Calling one does
 * nothing unless the process was started for it (`src/node/failpoints.ts` sets the hook).
 */

/** Every step, with what is done and what is not when it is reached. */
const STEPS = {
  'job.submit.committed': 'a submit is committed, the client has no answer',
  'job.drive.begin': 'a driver of the job is about to start on the leader',
  'job.list.received': 'a page of the listing has come, none of it is taken in',
  'job.batch.sent': 'tasks are on their way to an owner, which has not acknowledged',
  'job.batch.acked': 'the owner has acknowledged tasks, the run does not know',
  'job.results.received': 'results of an owner have come, none is taken in',
  'job.verdict.committed': 'the verdict is committed, the driver still runs',
  'job.stop.silenced': 'a stopped run is silenced on the leader, owners are not told',
  'job.stop.committed': 'a stop is committed, the client has no answer',
  'raft.entries.appended': 'entries are durable in the own log, no other member has them',
  'raft.entries.sent': 'entries are on their way to the others, nothing of the turn is applied',
  'raft.snapshot.written': 'a new log is durable under its temporary name',
  'raft.snapshot.renamed': 'the new log has its name, the directory is not synced',
  'raft.log.truncated': 'the old log is removed',
  'fill.body.middle': 'a part of the body has come',
  'fill.body.complete': 'the whole body is written, nothing is synced',
  'cache.region.opened': 'the files of a new region exist, its header is not written',
  'cache.region.sealed': 'the new region is open, the one before it is sealed',
  'cache.region.emptied': 'what a region held is moved or evicted in memory, its records stand',
  'cache.region.truncated': 'the records of a region are cut off, that is not synced',
  'cache.data.written': 'bytes of a segment are written into the region',
  'cache.data.synced': 'the data of a group is synced, no record of it is written',
  'cache.record.appended': 'the records of a group are appended, not synced',
  'cache.record.synced': 'the records of a group are durable and not in effect',
  'cache.segment.copied': 'the bytes of a moved segment are in their new place, no record is',
  'cache.read.block': 'a block of a segment is read and about to be handed out',
  'catalog.batch.begin': 'a batch of file records is planned, not written',
  'catalog.batch.written': 'a batch of file records is durable, nobody knows',
  'owner.report.sent': 'results are on their way to the leader, which has not answered',
} as const satisfies Readonly<Record<string, string>>;

/** Steps that can be held up as well, while everything else goes on. */
const PAUSES = {
  'job.submit.parsed': 'a submit is checked, nothing is proposed',
  'job.list.begin': 'the first page of a pass is about to be asked for',
  'job.batch.assigned': 'tasks are given to an owner, not sent',
  'job.checkpoint.made': 'a checkpoint is made, not proposed',
  'job.verdict.reached': 'the verdict is known, not proposed',
  'fill.get.begin': 'a segment has its place, its source is not asked',
  'owner.report.begin': 'results are durable, not sent',
} as const satisfies Readonly<Record<string, string>>;

export type Step = keyof typeof STEPS;
export type Pause = keyof typeof PAUSES;
export type Failpoint = Step | Pause;

/** Acts on a step; the promise is that of a pause. @throws when the step is to fail. */
export type FailpointHook = (name: Failpoint) => Promise<void> | undefined;

let hook: FailpointHook | undefined;

export function setFailpointHook(next: FailpointHook | undefined): void {
  hook = next;
}

/** Whether somebody wants to know: a step on another thread is told to this one only then. */
export function areFailpointsArmed(): boolean {
  return hook !== undefined;
}

export function isFailpoint(name: string): name is Failpoint {
  return Object.hasOwn(STEPS, name) || isPause(name);
}

export function isPause(name: string): name is Pause {
  return Object.hasOwn(PAUSES, name);
}

export function failpointNames(): readonly Failpoint[] {
  return [...Object.keys(STEPS), ...Object.keys(PAUSES)] as Failpoint[];
}

/** The step is reached. */
export function failpoint(name: Step): void {
  void hook?.(name);
}

/** The step is reached; while the promise lasts it is held up. Undefined: go on at once. */
export function pausePoint(name: Pause): Promise<void> | undefined {
  return hook?.(name);
}
