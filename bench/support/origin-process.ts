/** The process behind `origin.ts`: BUCKET PREFIX COUNT SIZE_BYTES; prints its endpoint. */
import { once } from 'node:events';
import { NumberedObjects } from '../../src/sample/object-set.ts';
import { startSampleStore } from '../../src/sample/sample-store.ts';

const [bucket = '', prefix = '', count, sizeBytes] = process.argv.slice(2);
const objects = new NumberedObjects({ prefix, count: Number(count), sizeBytes: Number(sizeBytes) });
await using store = await startSampleStore({ bucket, objects });
console.log(store.endpoint);
await once(process, 'SIGTERM');
