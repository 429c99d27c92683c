/** The thread that answers S3 clients: carries their requests, and answers what it knows of. */
import { workerData } from 'node:worker_threads';
import { ChangeMarks } from '../base/change-marks.ts';
import type { AnswerOptions } from '../data/io/serving/answer-messages.ts';
import { Answering } from '../data/io/serving/answering.ts';
import { Authenticator, type AuthenticatorOptions } from '../s3/authenticator.ts';
import { bucketsOf } from '../s3/buckets.ts';
import { newRequestId } from '../s3/common-headers.ts';
import { StandingObjects } from '../s3/standing-objects.ts';
import { systemClock } from './system.ts';

export interface S3ThreadData {
  readonly mounts: readonly string[];
  readonly who: Omit<AuthenticatorOptions, 'wallMs'>;
  readonly marks: SharedArrayBuffer;
  /** As {@link StandingObjects} takes it. */
  readonly distantMaxAgeMs?: number;
}

const { mounts, who, marks, distantMaxAgeMs, ...options } = workerData as AnswerOptions &
  S3ThreadData;
const own = new StandingObjects({
  buckets: bucketsOf(mounts),
  authenticator: new Authenticator({ ...who, wallMs: () => systemClock.wallMs() }),
  marks: new ChangeMarks(marks),
  nowMs: () => systemClock.nowMs(),
  distantMaxAgeMs,
  newRequestId,
});
new Answering(options, own).listen();
