/**
 * Loads from SeaweedFS. Its keys are paths of a file system, listed directory by directory, so the
 * odd keys are those of a file system, and an order that S3 does not have must end in a refusal.
 */
import { ObjectSet } from '../../src/sample/object-set.ts';
import { ODD_KEYS } from '../support/odd-keys.ts';
import { requires } from '../support/requires.ts';
import { seaweedFsMissing, startSeaweedFs } from '../support/seaweedfs.ts';
import { testLoads } from './support/load-suite.ts';

const missing = seaweedFsMissing();

/** It takes a backslash for a slash. */
const storable = ODD_KEYS.filter((key) => !key.includes('\\'));

const world = testLoads({
  name: 'seaweedfs',
  missing,
  start: async () => ({ name: 'seaweedfs', ...(await startSeaweedFs()) }),
  oddKeys: storable,
  smallCount: 2_000,
  largeCount: 4,
});

requires(missing)(
  'seaweedfs: a listing that goes by directories is refused where it differs from S3',
  async (t) => {
    const { uploader } = world();
    const keys = ['order/a/1', 'order/a!', 'order/a0'];
    await uploader.putAll([...new ObjectSet(keys.map((key) => [key, 1])).following('')]);
    const job = await world().load({ path: world().path('order') });
    t.is(job.state, 'FAILED');
    t.is(job.failure?.code, 'ufs_bad_response');
    t.regex(job.failure?.message ?? '', /order of their UTF-8 bytes/);
  },
);
