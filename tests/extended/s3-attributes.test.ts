/** What objects carry beside their bytes is answered by every peer while the under store is away. */
import { get, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import test from 'ava';
import { MIB } from '../../src/base/units.ts';
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import { Stage } from '../fault/stage.ts';

const ATTRIBUTES = {
  'content-type': 'image/png',
  'cache-control': 'max-age=60',
  'content-disposition': 'attachment; filename="a b.png"',
  'content-language': 'de',
  expires: 'Thu, 01 Dec 2033 16:00:00 GMT',
  'x-amz-meta-author': 'M=C3=BCller',
  'x-amz-meta-long': 'x'.repeat(1900),
};

interface Got {
  readonly status: number;
  readonly attributes: Partial<typeof ATTRIBUTES>;
  readonly sum: string;
}

async function getObject(peer: Peer, key: string, headers = {}): Promise<Got> {
  const url = `${peer.s3Url}/origin/${key}`;
  const response = await new Promise<{
    status: number;
    headers: IncomingHttpHeaders;
    body: Buffer;
  }>((resolve, reject) => {
    get(url, { agent: false, headers }, (answer) => {
      buffer(answer).then((body) => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
      }, reject);
    }).once('error', reject);
  });
  const told = Object.keys(ATTRIBUTES).map((name) => [name, response.headers[name]]);
  const attributes = Object.fromEntries(told) as Partial<typeof ATTRIBUTES>;
  return { status: response.status, attributes, sum: sha256(response.body) };
}

for (const [way, env] of [
  ['lanes', {}],
  ['streams', { RINGLOAD_LANES_THREAD_COUNT: '0' }],
] as const) {
  test.serial(
    `attributes: every peer answers them without the under store, and after a restart (${way})`,
    async (t) => {
      await using stage = await Stage.open({
        env: { ...env, RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: 2 * MIB },
      });
      const { cluster, origin } = stage;
      stage.script({ operation: 'get', action: { kind: 'headers', set: ATTRIBUTES } });
      const data = stage.addFiles({ count: 6, sizeBytes: 100_000 });
      const large = stage.addFiles({ count: 1, sizeBytes: 9 * MIB + 5 });
      for (const files of [data, large])
        await (await stage.load(files, { replicas: 2 })).succeeds();
      const keys = [...data.keys, ...large.keys].filter((key) => !key.endsWith('/empty'));
      t.is(origin.countOf('head'), 0, 'asked for apart');
      await origin[Symbol.asyncDispose]();

      const expectAll = async (peers: readonly Peer[], what: string): Promise<void> => {
        for (const key of keys) {
          const expected = { status: 200, attributes: ATTRIBUTES, sum: origin.expectedSha256(key) };
          for (const peer of peers) {
            t.deepEqual(await getObject(peer, key), expected, `${key} at ${peer.index}, ${what}`);
          }
        }
      };
      const [first, second, third] = cluster.peers;
      if (!first || !second || !third) throw new Error('a cluster has three peers');
      await expectAll(cluster.peers, 'all up');
      const [key = ''] = keys;
      const { status, attributes } = await getObject(second, key, {
        'x-amz-checksum-mode': 'ENABLED',
      });
      t.deepEqual({ status, attributes }, { status: 200, attributes: ATTRIBUTES });
      await second.restart();
      await second.waitReady();
      await expectAll([second], 'after a restart');
      await first.kill();
      await expectAll([second, third], 'with one peer gone');
    },
  );
}
