/** The stages of crash stories. */
import { type Asserts, expectBytes } from './expect.ts';
import { SEGMENT_BYTES, type Stage, type StageOptions } from './stage.ts';

/** Short batches, checkpoints, logs and regions: few bytes pass every point several times. */
export const CRASH_STAGE = {
  failpoints: true,
  // So large that nothing is evicted: what is not there was never there.
  cacheCapacity: '512MiB',
  env: {
    RINGLOAD_CACHE_REGION_SIZE_BYTES: '1MiB',
    // Patient: who is starved for a moment goes on leading, and hits what its leader hits.
    RINGLOAD_RAFT_TICK_MS: 100,
    RINGLOAD_RAFT_SNAPSHOT_EVERY_ENTRIES: 5,
    RINGLOAD_LOAD_CHECKPOINT_INTERVAL_MS: 100,
    RINGLOAD_LOAD_BATCH_SIZE: 4,
  },
} satisfies StageOptions;

/** Caches so small that each job of an `evict` story evicts. */
export const FULL_STAGE = { ...CRASH_STAGE, cacheCapacity: '16MiB' } satisfies StageOptions;

/** Fills every cache with what was read since, so that whatever comes next evicts and moves. */
export async function fillCaches(t: Asserts, stage: Stage): Promise<void> {
  const data = stage.addFiles({ count: 36, sizeBytes: 16 * SEGMENT_BYTES });
  await (await stage.load(data)).succeeds();
  await expectBytes(t, stage, data.keys);
}
