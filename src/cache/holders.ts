/** Who counts on a record: passes of jobs, one for each job. */
import type { JobId } from '../base/ids.ts';

/** Jobs that load the same files at the same time; what is older has ended long ago. */
const HOLDER_MAX_COUNT = 16;

/** The holders with `holder` among them, in the place of earlier passes of its job. */
export function withHolder(holders: readonly JobId[], holder: JobId): readonly JobId[] {
  const job = jobOf(holder);
  const others = holders.filter((each) => jobOf(each) !== job);
  return [...others, holder].slice(-HOLDER_MAX_COUNT);
}

function jobOf(holder: JobId): string {
  const end = holder.indexOf('/');
  return end < 0 ? holder : holder.slice(0, end);
}
