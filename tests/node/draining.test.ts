import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { LoadRequest } from '../../src/data/segment-loader.ts';
import { newMutes } from '../data/support.ts';
import { DrainAwareCatalog, DrainAwareLoader } from '../../src/node/draining.ts';
import { recordOf } from '../repair/support/world.ts';
import { idOf } from './support/fakes.ts';

const BYTES = new Uint8Array(1000).fill(7);
const REQUEST: LoadRequest = {
  key: { path: 's3://b/f', version: 'v1', segmentSizeBytes: 1000, index: 0 },
  lengthBytes: 1000,
  fileSizeBytes: 1000,
  peerEndpoints: ['http://owner'],
  allowUfs: true,
};

/** @param holders endpoints that have the segment; the under store always has it. */
function loaderWith(holders: readonly string[]) {
  const store = new MemorySegmentStore({ capacityBytes: 1_000_000, crc32c: nativeCrc32c });
  const tried: string[] = [];
  const crc32c = nativeCrc32c(BYTES);
  const loader = new DrainAwareLoader({
    store,
    mutes: newMutes(),
    logger: silentLogger,
    plane: {
      fill: async ({ source, extent }) => {
        const name = source.kind === 'ufs' ? 'ufs' : source.endpoint;
        tried.push(name);
        if (name !== 'ufs' && !holders.includes(name)) throw new RingloadError('not_found', name);
        await store.write(extent, 0, BYTES);
        const blockCrc32c = Uint32Array.of(crc32c);
        return { crc32c, blockCrc32c, lengthBytes: 1000, receivedBytes: 1000 };
      },
      close: () => Promise.resolve(),
    },
  });
  const load = (given: Partial<LoadRequest> = {}) =>
    loader.load({ ...REQUEST, ...given }, new AbortController().signal);
  return { loader, tried, load };
}

test('draining: without members that drain a load is as it was asked for', async (t) => {
  const { tried, load } = loaderWith([]);
  await load();
  t.deepEqual(tried, ['http://owner', 'ufs']);
});

test('draining: members that drain are asked after the owners, before the under store', async (t) => {
  const { loader, tried, load } = loaderWith(['http://leaver']);
  loader.drainingEndpoints = () => ['http://other', 'http://leaver'];
  await load();
  t.deepEqual(tried, ['http://owner', 'http://other', 'http://leaver']);
});

test('draining: nobody is asked twice', async (t) => {
  const { loader, tried, load } = loaderWith([]);
  loader.drainingEndpoints = () => ['http://owner'];
  await load();
  t.deepEqual(tried, ['http://owner', 'ufs']);
});

test('draining: a copy that names its sources, and a reload, ask nobody else', async (t) => {
  const { loader, tried, load } = loaderWith(['http://owner']);
  loader.drainingEndpoints = () => ['http://leaver'];
  await load({ allowUfs: false });
  await load({ reload: true, peerEndpoints: [] });
  t.deepEqual(tried, ['http://owner', 'ufs']);
});

function catalogWith(at: Record<string, ReturnType<typeof recordOf> | 'error' | undefined>) {
  const catalog = new MemoryFileCatalog();
  const asked: string[] = [];
  const aware = new DrainAwareCatalog({
    catalog,
    drainingPeers: () => Object.keys(at).map(idOf),
    recordAt: (peer) => {
      asked.push(peer);
      const found = at[peer.slice('peer-'.length)];
      return found === 'error' ? Promise.reject(new Error('away')) : Promise.resolve(found);
    },
  });
  return { catalog, aware, asked };
}

test('draining: a record is found here first, then at members that drain', async (t) => {
  const record = recordOf('/f');
  const { catalog, aware, asked } = catalogWith({ a: 'error', b: undefined, c: record });
  t.is(await aware.get('/f'), record);
  t.deepEqual(asked, ['a', 'b', 'c'].map(idOf));
  await aware.putAll([{ ...record, version: 'v2' }]);
  t.is((await aware.get('/f'))?.version, 'v2');
  t.is(asked.length, 3);
  t.is(await aware.count(), 1);
  t.is((await aware.scan({ root: '', limit: 10 })).length, 1);
  await aware.delete('/f');
  t.is(await catalog.get('/f'), undefined);
});

test('draining: a record that nobody has is a miss', async (t) => {
  const { aware } = catalogWith({ a: undefined, b: 'error' });
  t.is(await aware.get('/f'), undefined);
});
