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

test('take over: what was freed is neither taken nor stands against what came since', async (t) => {
  const catalog = new MemoryFileCatalog();
  const isFreed = ({ afterFree = 0 }: { readonly afterFree?: number }): boolean => afterFree < 2;
  const since = { ...early, afterFree: 2 };
  t.deepEqual(await takeOver(catalog, [late], orderOf, isFreed), { taken: [], kept: [] });
  t.is(await catalog.get('/f'), undefined);
  await catalog.putAll([late]);
  t.deepEqual(await takeOver(catalog, [since], orderOf, isFreed), { taken: [since], kept: [] });
  t.deepEqual(await catalog.get('/f'), since);
});

test('take over: what was freed while it was being written is gone', async (t) => {
  const catalog = new MemoryFileCatalog();
  let isWritten = false;
  const { putAll } = catalog;
  catalog.putAll = async (records) => {
    await putAll.call(catalog, records);
    isWritten = true;
  };
  await takeOver(catalog, [late], orderOf, () => isWritten);
  t.is(await catalog.get('/f'), undefined);
});

test('take over: of the same content the word of the later load counts', async (t) => {
  const catalog = new MemoryFileCatalog();
  await catalog.putAll([early]);
  const since = { ...early, afterFree: 3 };
  t.deepEqual(await takeOver(catalog, [since], orderOf), { taken: [since], kept: [] });
  t.deepEqual(await takeOver(catalog, [early], orderOf), { taken: [], kept: [since] });
});
