/** From what the assigner hands out to what travels to an owner. */
import type { Epoch } from '../base/ids.ts';
import type { OwnerBatch } from './assigner.ts';
import type { FileRun } from './file-run.ts';
import type { PassRef, Task, TaskBatch, TaskFile } from './protocol.ts';
import type { JobSpec } from './spec.ts';
import { carriesRecord } from './unit.ts';

/** Attempts in which an owner waits for a source rather than read the under store again. */
const PATIENT_ATTEMPT_COUNT = 2;

export interface BatchContext {
  readonly pass: PassRef;
  readonly epoch: Epoch;
  readonly spec: JobSpec;
  readonly taskRetryMaxCount: number;
  readonly followMinBytes: number;
}

/** Each file is named once, however many of its segments are in the batch. */
export function buildBatch(context: BatchContext, { tasks }: OwnerBatch): TaskBatch {
  const { pass, epoch, spec } = context;
  const files: TaskFile[] = [];
  const positions = new Map<FileRun, number>();
  const positionOf = (file: FileRun): number => {
    const known = positions.get(file);
    if (known !== undefined) return known;
    const { path, version, sizeBytes, mtimeMs } = file.object;
    const position =
      files.push({
        ...{ path, version, sizeBytes, mtimeMs },
        ...(file.check && { sum: file.check.algorithm }),
        ...(file.isRefetched && { isRefetched: true }),
      }) - 1;
    positions.set(file, position);
    return position;
  };
  return {
    ...pass,
    epoch,
    tasks: tasks.map(({ id, attempt, kind, unit, sources }): Task => {
      const { index, length } = unit;
      const record = carriesRecord(unit);
      const follows = kind === 'follow';
      const copy = kind === 'copy' || follows;
      const file = positionOf(unit.file);
      const known = files[file];
      const { attributes } = unit.file.object;
      if (record && known && attributes) files[file] = { ...known, attributes };
      return {
        ...{ id, attempt, file, index, length, record, sources, copy },
        ...(follows && { follows }),
      };
    }),
    files,
    options: {
      segmentSizeBytes: spec.segmentSizeBytes,
      segmented: spec.segmented,
      replicaCount: spec.replicaCount,
      metadataOnly: spec.metadataOnly,
      reload: spec.reload,
      deepVerify: spec.verify && pass.pass > 1,
      // Why the smaller one: the last attempt has to be free to use the under store.
      patientAttemptCount: Math.min(PATIENT_ATTEMPT_COUNT, context.taskRetryMaxCount),
      // Why not of a reload: what the source has from before would be taken for what it fetches.
      ...(spec.replicaCount > 1 && !spec.reload && { followMinBytes: context.followMinBytes }),
      ...(spec.bandwidthBps !== undefined && { bandwidthBps: spec.bandwidthBps }),
    },
  };
}
