/** One suite for all log storages: each test runs on every implementation. */
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { logIndex, raftId, term } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { openFileLogStorage } from '../../src/raft/io/file-log-storage.ts';
import type { LogImage, LogStorage } from '../../src/raft/log-storage.ts';
import { MemoryLogStorage } from '../../src/raft/memory-log-storage.ts';
import { entry, image, temporaryFolder } from './support.ts';

/** Opens the storage of one place; opening it again is a restart. */
type Reopen = () => Promise<LogStorage>;

const IMPLEMENTATIONS: Record<string, (t: ExecutionContext) => Promise<Reopen>> = {
  memory: () => {
    const storage = new MemoryLogStorage();
    return Promise.resolve(() => Promise.resolve(storage));
  },
  file: async (t) => {
    const folder = await temporaryFolder(t);
    return () => openFileLogStorage(`${folder}/raft`, silentLogger);
  },
};

async function reload(reopen: Reopen): Promise<LogImage | undefined> {
  const storage = await reopen();
  const loaded = await storage.load();
  await storage.close();
  return loaded;
}

const hardState = (stateTerm: number, commit: number, vote?: number) => ({
  term: term(stateTerm),
  vote: vote === undefined ? undefined : raftId(vote),
  commit: logIndex(commit),
});

for (const [name, implementation] of Object.entries(IMPLEMENTATIONS)) {
  const on = (
    title: string,
    body: (t: ExecutionContext, reopen: Reopen) => Promise<void>,
  ): void => {
    test(`${name} log storage: ${title}`, async (t) => {
      await body(t, await implementation(t));
    });
  };

  on('nothing was ever stored', async (t, reopen) => {
    const storage = await reopen();
    t.is(await storage.load(), undefined);
    await storage.close();
  });

  on('an image is given back as it was', async (t, reopen) => {
    const stored = image({ snapshotIndex: 5, entries: [entry(6, 2), entry(7, 3)], commit: 6 });
    const storage = await reopen();
    t.is(await storage.load(), undefined);
    await storage.replaceWith(stored);
    await storage.close();
    t.deepEqual(await reload(reopen), stored);
  });

  on('batches add to the image and overwrite from their first entry on', async (t, reopen) => {
    const storage = await reopen();
    await storage.load();
    await storage.replaceWith(image({ snapshotIndex: 1 }));
    const state = hardState(4, 1, 3);
    const first = [entry(2, 4, 'a'), entry(3, 4, 'b'), entry(4, 4, 'c')];
    await storage.persist({ hardState: state, entries: first, mustSync: true });
    const second = [entry(3, 5, 'd')];
    await storage.persist({ hardState: hardState(5, 2), entries: second, mustSync: true });
    await storage.close();
    const loaded = await reload(reopen);
    t.deepEqual(loaded?.entries, [entry(2, 4, 'a'), entry(3, 5, 'd')]);
    t.deepEqual(loaded?.hardState, hardState(5, 2));
  });

  on('a commit index that needs no sync is kept by an orderly close', async (t, reopen) => {
    const storage = await reopen();
    await storage.load();
    await storage.replaceWith(image({ snapshotIndex: 1, entries: [entry(2, 3)] }));
    await storage.persist({ hardState: hardState(3, 2, 2), entries: [], mustSync: false });
    await storage.close();
    t.deepEqual((await reload(reopen))?.hardState, hardState(3, 2, 2));
  });

  on('an image replaces everything before it, more than once', async (t, reopen) => {
    const storage = await reopen();
    await storage.load();
    for (let snapshotIndex = 1; snapshotIndex < 6; snapshotIndex++) {
      await storage.replaceWith(image({ snapshotIndex, data: `state ${snapshotIndex}` }));
      const entries = [entry(snapshotIndex + 1, 3)];
      const state = hardState(3, snapshotIndex);
      await storage.persist({ hardState: state, entries, mustSync: true });
    }
    await storage.close();
    const loaded = await reload(reopen);
    t.is(loaded?.snapshot.data, 'state 5');
    t.deepEqual(loaded?.entries, [entry(6, 3)]);
  });

  on('strings of any kind survive', async (t, reopen) => {
    const strings = ['', ' ', '\n', '\0', 'ü€😀', '\ud800', '"quoted"', 'x'.repeat(100_000)];
    const storage = await reopen();
    await storage.load();
    await storage.replaceWith(image({ snapshotIndex: 1, data: strings.join('|') }));
    const entries = strings.map((text, at) => entry(at + 2, 3, text));
    await storage.persist({ hardState: hardState(3, 1), entries, mustSync: true });
    await storage.close();
    const loaded = await reload(reopen);
    t.is(loaded?.snapshot.data, strings.join('|'));
    t.deepEqual(loaded?.entries, entries);
  });

  on('entries of every type and the empty image of a joiner survive', async (t, reopen) => {
    const storage = await reopen();
    await storage.load();
    const empty = image({ snapshotIndex: 0, data: '' });
    await storage.replaceWith(empty);
    const entries = [
      { index: 1, term: 1, type: 0, data: null },
      { index: 2, term: 1, type: 2, data: { changes: [{ type: 0, nodeId: '4' }], context: 'c' } },
    ];
    await storage.persist({ hardState: hardState(1, 0), entries, mustSync: true });
    await storage.close();
    const loaded = await reload(reopen);
    t.deepEqual(loaded?.snapshot, empty.snapshot);
    t.deepEqual(loaded?.entries, entries);
  });
}
