import test from 'ava';
import { silentLogger } from '../../../src/base/logger.ts';
import { routesOf } from '../../../src/http/app.ts';
import { fakeServices, TestServer } from '../fake-services.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, unknown>>;
  readonly components: { readonly schemas: Record<string, unknown> };
}

async function documentOf(server: TestServer): Promise<Document> {
  return (await (await fetch(`${server.url}/openapi.json`)).json()) as Document;
}

const isDialect = (path: string): boolean =>
  path === '/v1/load' || path === '/health' || path.startsWith('/api/');

test('openapi: every route of the own API is described, and nothing else', async (t) => {
  await using server = await TestServer.start();
  const described = Object.entries((await documentOf(server)).paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served = routesOf(fakeServices(), { logger: silentLogger })
    .map((route) => route.replace(/:(\w+)/g, '{$1}'))
    .filter((route) => !isDialect(route.split(' ')[1] ?? ''));
  t.true(served.length > 15);
  const withoutHead = (routes: readonly string[]): string[] =>
    routes.filter((route) => !route.startsWith('HEAD ')).sort();
  t.deepEqual(withoutHead(described), withoutHead(served));
  t.true(described.every((route) => served.includes(route)));
});

test('openapi: every reference leads to a schema', async (t) => {
  await using server = await TestServer.start();
  const document = await documentOf(server);
  t.is(document.openapi, '3.1.0');
  const refs = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)];
  t.true(refs.length > 20);
  for (const [, name] of refs) t.truthy(document.components.schemas[name ?? ''], name);
});

test('openapi: a job status of the services has the described members', async (t) => {
  await using server = await TestServer.start();
  await fetch(`${server.url}/v1/load?path=s3://b/p&opType=submit`, { method: 'POST' });
  const schemas = (await documentOf(server)).components.schemas as Record<
    string,
    { properties: Record<string, unknown>; required: string[] }
  >;
  const check = (name: string, value: object | undefined): void => {
    const schema = schemas[name];
    const names = Object.keys(value ?? {});
    t.deepEqual(
      names.filter((member) => !(member in (schema?.properties ?? {}))),
      [],
    );
    t.deepEqual(
      schema?.required.filter((member) => !names.includes(member)),
      [],
    );
  };
  const job = server.services.jobs.jobs[0];
  check('JobStatus', job);
  check('JobSpec', job?.spec);
  check('JobCounters', job?.counters);
  check('Cluster', await server.services.cluster.view());
  check('Self', server.services.cluster.self());
});
