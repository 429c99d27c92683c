/**
 * Files of a job that no catalogue knows any more: the listing of the under store, less what the
 * catalogues know, less what was written after the job. Both come in order of paths and are merged
 * page by page.
 */
import type { FileRecord } from '../cache/file-catalog.ts';
import { compareUtf8 } from '../cache/utf8-order.ts';
import type { UfsObject } from '../ufs/under-store.ts';
import type { MergedCatalogue } from './merged-catalogue.ts';
import type { VerifiedJob } from './verified-job.ts';

/** @throws ufs_* */
export async function* lostFiles(
  job: VerifiedJob,
  catalogue: MergedCatalogue,
  listing: AsyncIterable<UfsObject>,
): AsyncGenerator<FileRecord> {
  const known = catalogue.files();
  let next = await known.next();
  for await (const object of listing) {
    while (!next.done && compareUtf8(next.value.path, object.path) < 0) next = await known.next();
    if (!next.done && next.value.path === object.path) continue;
    if (object.mtimeMs > job.endedAtMs || !job.accepts(object)) continue;
    const { segmentSizeBytes, segmented, replicaCount, id: loadedBy } = job;
    yield { ...object, segmentSizeBytes, segmented, replicaCount, loadedBy };
  }
}
