/**
 * Every route of the OpenAPI document, with requests that fast-check draws and shrinks: never a
 * fault of ours, never a value that was not meant to be told. SEED=n and ROUNDS=n replay a run.
 */
import { Agent } from 'node:http';
import test from 'ava';
import fc from 'fast-check';
import { openApiDocument } from '../../src/http/own/openapi.ts';
import { TestServer } from './fake-services.ts';
import { faultOf, type OpenApi, requestsOf, send } from './request-arbitrary.ts';

const seed = Number(process.env['SEED'] ?? 20_263);
const numRuns = Number(process.env['ROUNDS'] ?? 1_200);

test(`fuzz: ${numRuns} requests over all of the API's routes get answers, seed ${seed}`, async (t) => {
  t.timeout(60_000);
  await using server = await TestServer.start();
  server.services.files.files.set('s3://b/p', { bytes: Buffer.from('0123456789') });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => {
    agent.destroy();
  });
  const document = openApiDocument('1') as unknown as OpenApi;
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(requestsOf(document), async (request) => {
      const answer = await send(server.url, request, agent);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      const fault = faultOf(request, answer);
      if (fault !== undefined) throw new Error(`${fault}: ${answer.body.slice(0, 300)}`);
    }),
    { seed, numRuns },
  );
  t.log(JSON.stringify([...statuses].sort()));
  for (const status of [200, 202, 400, 404, 405]) {
    t.true((statuses.get(status) ?? 0) > 2, `the mix reaches ${status}`);
  }
});
