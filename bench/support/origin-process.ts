/** The process behind `origin.ts`: BUCKET PREFIX COUNT SIZE_BYTES [ETAG]; prints its endpoint. */
import { once } from 'node:events';
import { NumberedObjects } from '../../src/sample/object-set.ts';
import { type Interceptor, startSampleStore } from '../../src/sample/sample-store.ts';

const [bucket = '', prefix = '', count, sizeBytes, etag] = process.argv.slice(2);
const objects = new NumberedObjects({ prefix, count: Number(count), sizeBytes: Number(sizeBytes) });

/** Listings tell the ETag that another server gives to all objects. */
const withEtag: Interceptor = async (request, proceed) => {
  const reply = proceed();
  if (request.operation !== 'list' || etag === undefined) return reply;
  const pieces: Uint8Array[] = [];
  for await (const piece of reply.body) pieces.push(piece);
  const xml = Buffer.concat(pieces)
    .toString()
    .replaceAll(/<ETag>[^<]*<\/ETag>/g, `<ETag>&quot;${etag}&quot;</ETag>`);
  const body = Buffer.from(xml);
  return {
    ...reply,
    headers: { ...reply.headers, 'content-length': `${body.length}` },
    body: [body],
  };
};

await using store = await startSampleStore({ bucket, objects, intercept: withEtag });
console.log(store.endpoint);
await once(process, 'SIGTERM');
