import test from 'ava';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../../support/odd-keys.ts';
import { TestServer } from '../fake-services.ts';

const KEYS = [...ODD_KEYS, ...S3_ONLY_ODD_KEYS];

test('files: every key is found under its own name', async (t) => {
  await using server = await TestServer.start();
  const { files } = server.services;
  for (const [index, key] of KEYS.entries()) {
    files.files.set(`s3://b/${key}`, { bytes: Buffer.from(`content ${index}`) });
  }
  for (const [index, key] of KEYS.entries()) {
    const path = `s3://b/${key}`;
    const query = `path=${encodeURIComponent(path)}`;
    const stat = await fetch(`${server.url}/v1/files?${query}`);
    t.like(await stat.json(), { path, source: 'catalog' }, key);
    const content = await fetch(`${server.url}/v1/files/content?${query}`);
    t.is(await content.text(), `content ${index}`, key);
  }
});

test('files: metadata, bytes with a Range, 404 for what is not there', async (t) => {
  await using server = await TestServer.start();
  server.services.files.files.set('s3://b/f', { bytes: Buffer.from('0123456789') });
  const url = `${server.url}/v1/files?path=s3://b/f`;
  t.like(await (await fetch(url)).json(), { sizeBytes: 10, version: '"etag-1"' });
  const bytes = await fetch(url, { headers: { Range: 'bytes=2-4' } });
  t.deepEqual([bytes.status, await bytes.text()], [206, '234']);
  t.is(
    (await fetch(url, { headers: { Range: 'bytes=0--2' } })).headers.get('content-type'),
    'application/json',
  );
  t.is((await fetch(url, { method: 'HEAD', headers: { Range: 'bytes=2-4' } })).status, 200);
  const missing = await fetch(`${server.url}/v1/files?path=s3://b/none`);
  t.is(missing.status, 404);
  t.like(await missing.json(), { code: 'ufs_not_found' });
  for (const query of [
    '',
    'path=',
    'path=nope',
    'path=s3://b/f&x=1',
    'path=s3://b/f&path=s3://b/g',
  ]) {
    t.is((await fetch(`${server.url}/v1/files?${query}`)).status, 400, query);
  }
});

test('files: listing passes its bounds on and refuses others', async (t) => {
  await using server = await TestServer.start();
  const { files } = server.services;
  for (const name of ['1', '2', '3'])
    files.files.set(`s3://b/d/${name}`, { bytes: Buffer.alloc(1) });
  const list = async (query: string): Promise<{ files: { path: string }[]; next?: string }> =>
    (await (await fetch(`${server.url}/v1/files/list?${query}`)).json()) as never;
  const first = await list('root=s3://b/d/&limit=2');
  t.deepEqual(
    first.files.map((file) => file.path),
    ['s3://b/d/1', 's3://b/d/2'],
  );
  const second = await list(`root=s3://b/d&limit=2&after=${encodeURIComponent(first.next ?? '')}`);
  t.deepEqual(
    second.files.map((file) => file.path),
    ['s3://b/d/3'],
  );
  t.is(second.next, undefined);
  t.is(files.calls.at(-1), 'list s3://b/d after s3://b/d/2 limit 2');
  for (const bad of ['0', '1001', '-1', 'x', '1.5', '']) {
    const answer = await fetch(`${server.url}/v1/files/list?root=s3://b/d&limit=${bad}`);
    t.is(answer.status, 400, bad);
  }
  t.is((await fetch(`${server.url}/v1/files/list`)).status, 400);
});

test('files: placement tells where segments are', async (t) => {
  await using server = await TestServer.start();
  server.services.files.files.set('s3://b/f', { bytes: Buffer.from('x') });
  const answer = await fetch(`${server.url}/v1/files/placement?path=s3://b/f`);
  t.like(await answer.json(), { segments: [{ index: 0, lengthBytes: 1 }] });
});
