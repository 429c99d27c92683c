/** A job in the list and progress answers of Alluxio Enterprise. */
import type { JobStatus } from '../job/job-status.ts';

/** The progress object of Enterprise 3.6; empty members are omitted. */
export function progressObject(status: JobStatus): object {
  const { spec, counters } = status;
  return {
    id: status.id,
    startTime: new Date(status.createdAtMs).toISOString().replace('Z', '+00:00'),
    state: status.state,
    ...(status.failure === undefined ? {} : { errorMessage: status.failure }),
    ...(status.failedFilesSavedTo === undefined
      ? {}
      : { failedFileListPath: status.failedFilesSavedTo }),
    ...(spec.index === undefined ? { paths: spec.paths ?? [spec.path] } : { index: spec.path }),
    ...(spec.alias === undefined ? {} : { alias: spec.alias }),
    skipIfExists: spec.skipIfExists,
    loadMetadataOnly: spec.metadataOnly,
    verify: spec.verify,
    ...(spec.bandwidthBps === undefined ? {} : { bandwidth: spec.bandwidthBps }),
    timeElapsedMilliseconds: Math.floor(status.elapsedMs),
    loadedBytes: counters.replicaBytes,
    skippedBytes: counters.skippedBytes,
    ...(status.listingDone ? { totalBytes: counters.listedBytes * spec.replicaCount } : {}),
    loadedNonEmptyFiles: counters.replicaFiles,
    failedFiles: counters.failedFiles,
    scannedFiles: counters.listedFiles,
  };
}
