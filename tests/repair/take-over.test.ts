import test from 'ava';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { takeOver } from '../../src/repair/take-over.ts';
import { loadedBy, recordOf } from './support/world.ts';

const orderOf = (job: string): number | undefined => ({ early: 0, late: 1 })[job];
const early = recordOf('/f', { version: 'v1', mtimeMs: 9, ...loadedBy('early') });
const late = recordOf('/f', { version: 'v2', mtimeMs: 3, ...loadedBy('late') });

test('take over: what is unknown is stored', async (t) => {
  const catalog = new MemoryFileCatalog();
  t.deepEqual(await takeOver(catalog, [early], orderOf), { taken: [early], kept: [] });
  t.deepEqual(await catalog.get('/f'), early);
});

test('take over: an older record changes nothing, and the newer one is told', async (t) => {
  const catalog = new MemoryFileCatalog();
  await catalog.putAll([late]);
  t.deepEqual(await takeOver(catalog, [early], orderOf), { taken: [], kept: [late] });
  t.deepEqual(await catalog.get('/f'), late);
});

test('take over: a newer record replaces, though its modification time is older', async (t) => {
  const catalog = new MemoryFileCatalog();
  await catalog.putAll([early]);
  t.deepEqual(await takeOver(catalog, [late], orderOf), { taken: [late], kept: [] });
  t.deepEqual(await catalog.get('/f'), late);
});

test('take over: what is known already is neither news nor refused', async (t) => {
  const catalog = new MemoryFileCatalog();
  await catalog.putAll([early]);
  t.deepEqual(await takeOver(catalog, [{ ...early }], orderOf), { taken: [], kept: [] });
});

test('take over: more copies are taken, fewer are told to be more', async (t) => {
  const catalog = new MemoryFileCatalog();
  const three = { ...early, replicaCount: 3 };
  await catalog.putAll([early]);
  t.deepEqual(await takeOver(catalog, [three], orderOf), { taken: [three], kept: [] });
  t.deepEqual(await takeOver(catalog, [early], orderOf), { taken: [], kept: [three] });
});
