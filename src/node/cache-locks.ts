/**
 * Cache directories belong to one process each. The lock of the data directory does not tell: two
 * peers may have data directories of their own and, by mistake, one cache directory.
 */
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { lockLevel } from '../cache/io/open-level.ts';
import type { Closer } from './closer.ts';

/**
 * A directory that cannot be locked for another reason is left to the cache, which does without it.
 * @throws data_dir_locked
 */
export async function lockCacheDirectories(
  paths: readonly string[],
  closer: Closer,
  logger: Logger,
): Promise<void> {
  for (const path of paths) {
    try {
      const lock = await lockLevel(path, 'cache directory');
      closer.add('lock of a cache directory', () => lock.close());
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code === 'data_dir_locked') throw error;
      logger.warn('cannot lock a cache directory', { path, reason: error.message });
    }
  }
}
