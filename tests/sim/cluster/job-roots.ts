/** What jobs of a run load, as roots. */
import type { RecordedSpec } from '../../../src/cluster/job-record.ts';
import { isAtOrBelow } from '../../../src/ufs/path.ts';
import { MOUNT } from './sim-ufs.ts';

type Loaded = Pick<RecordedSpec, 'path' | 'paths' | 'index'>;

/** The one index file of a run: it names all that lies at these roots. */
export const INDEX_PATH = `${MOUNT}/list`;

export function rootsOfJob({ path, paths, index }: Loaded, planned: readonly string[]) {
  if (index !== undefined) return planned;
  return paths ?? [path];
}

export function loads(spec: Loaded, path: string, planned: readonly string[]): boolean {
  return rootsOfJob(spec, planned).some((root) => isAtOrBelow(root, path));
}
