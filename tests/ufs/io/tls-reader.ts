/**
 * Reads one object through each endpoint that it is given, and prints what came of it as one line
 * of JSON: a process of its own, since NODE_EXTRA_CA_CERTS is read at the start.
 */
import { S3UnderStore } from '../../../src/ufs/io/s3-under-store.ts';
import { failureOf, PATIENT_LIMITS } from '../../support/s3-fixture.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const [bucket = '', key = '', ...endpoints] = process.argv.slice(2);
const { signal } = new AbortController();
const path = `s3://${bucket}/${key}`;

async function outcomeOf(endpoint: string): Promise<unknown> {
  const store = new S3UnderStore(
    {
      path: `s3://${bucket}`,
      endpoint,
      credentials: { kind: 'anonymous' },
      limits: PATIENT_LIMITS,
    },
    ufsDependencies(),
  );
  const reading = (async () => {
    const object = await store.stat(path, signal);
    const chunks: Uint8Array[] = [];
    const request = { ...object, offset: 0, length: object.sizeBytes };
    for await (const chunk of store.readRange(request, signal)) chunks.push(chunk);
    return Buffer.concat(chunks).toString('base64');
  })();
  try {
    return { bytes: await reading };
  } catch {
    const { code, message } = await failureOf(reading);
    return { code, message };
  } finally {
    await store.close();
  }
}

const outcomes: unknown[] = [];
for (const endpoint of endpoints) outcomes.push(await outcomeOf(endpoint));
console.log(JSON.stringify(outcomes));
