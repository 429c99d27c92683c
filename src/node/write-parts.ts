/** Writes through peers: who has to hear of them, and what each peer does then. */
import { withTimeout } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { isActiveState, type JobRecord } from '../cluster/job-record.ts';
import type { FileReader } from '../read/file-reader.ts';
import type { WrittenPaths } from '../read/written-paths.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { Closer } from './closer.ts';
import type { ClusterParts } from './form-cluster.ts';
import type { LocalParts } from './local-parts.ts';
import { WriteNews } from './write-news.ts';

const STAT_TIMEOUT_MS = 20_000;

interface Context {
  readonly local: LocalParts;
  readonly cluster: ClusterParts;
  readonly files: FileReader;
  readonly written: WrittenPaths;
  readonly closer: Closer;
  readonly logger: Logger;
}

export function openWriteNews(context: Context): WriteNews {
  const { local, cluster, files, written, closer, logger } = context;
  const { catalog, stores, clock, identity } = local;
  const { self, network, ring, state } = cluster;
  const versionAtStore = async (path: string): Promise<string | undefined> => {
    try {
      const stat = (signal: AbortSignal) => stores.storeOf(path).stat(path, signal);
      return (await withTimeout(clock, STAT_TIMEOUT_MS, stat)).version;
    } catch (thrown) {
      if (toRingloadError(thrown).code === 'ufs_not_found') return undefined;
      throw thrown;
    }
  };
  const news = new WriteNews({
    ...{ self, network, written, catalog, versionAtStore, clock, logger },
    startId: String(identity.generation),
    members: () => ring.readPlacement().members,
    isInUse: (path) => [...state.current.jobs.values()].some((job) => mayLoad(job, path)),
  });
  news.onForget((path) => {
    files.forget(path);
  });
  closer.add('news of writes', () => {
    news.close();
  });
  return news;
}

/** Of what an index file lists nothing is known without reading it. */
function mayLoad({ state, spec }: JobRecord, path: string): boolean {
  if (!isActiveState(state)) return false;
  if (spec.index !== undefined) return true;
  return (spec.paths ?? [spec.path]).some((root) => isAtOrBelow(root, path));
}
