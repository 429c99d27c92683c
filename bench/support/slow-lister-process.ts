/** The origin behind `listing.ts`: BUCKET PREFIX COUNT SIZE_BYTES PAGE_MS; prints its endpoint. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { NumberedObjects } from '../../src/sample/object-set.ts';
import { startSampleStore } from '../../src/sample/sample-store.ts';

const [bucket = '', prefix = '', count, sizeBytes, pageMs] = process.argv.slice(2);

await using store = await startSampleStore({
  bucket,
  objects: new NumberedObjects({ prefix, count: Number(count), sizeBytes: Number(sizeBytes) }),
  intercept: async (request, proceed) => {
    await delay(Number(pageMs));
    return proceed(request);
  },
});
console.log(store.endpoint);
await once(process, 'SIGTERM');
