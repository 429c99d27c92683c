/** The public exports of the package: the client of a cluster, and what its answers look like. */
export { type ErrorCode, ERROR_TABLE, RingloadError } from './base/errors.ts';
export type { SubmitAnswer } from './cli/client/answers.ts';
export { RingloadClient, type SubmitRequest } from './cli/client/client.ts';
export type { ClientOptions } from './cli/client/peer-caller.ts';
export type { FileRecord } from './cache/file-catalog.ts';
export type { ClusterView, FilePlacement, FileStat, MemberView } from './http/services.ts';
export type { JobState, JobStatus } from './job/job-status.ts';
