import test from 'ava';
import { WriteGatherer } from '../../../../src/data/io/lanes/write-gatherer.ts';

/** A disk that writes nothing before it is told to. */
class SlowDisk {
  readonly calls: { readonly position: number; readonly text: string }[] = [];
  #pending: { resolve: () => void; reject: (error: Error) => void }[] = [];

  readonly write = (buffers: readonly Uint8Array[], position: number): Promise<void> => {
    this.calls.push({ position, text: Buffer.concat(buffers).toString() });
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }));
  };

  async answer(error?: Error): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    for (const { resolve, reject } of pending) {
      if (error) reject(error);
      else resolve();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('gatherer: the first write goes at once, what comes meanwhile goes together', async (t) => {
  const disk = new SlowDisk();
  const gatherer = new WriteGatherer(disk.write);
  const writes = [
    gatherer.write(Buffer.from('aa'), 0),
    gatherer.write(Buffer.from('cc'), 4),
    gatherer.write(Buffer.from('bb'), 2),
    gatherer.write(Buffer.from('ff'), 10),
  ];
  t.deepEqual(disk.calls, [{ position: 0, text: 'aa' }]);
  await disk.answer();
  t.deepEqual(disk.calls.slice(1), [
    { position: 2, text: 'bbcc' },
    { position: 10, text: 'ff' },
  ]);
  await disk.answer();
  await Promise.all(writes);
  t.is(disk.calls.length, 3);
});

test('gatherer: pieces stay below a mebibyte', async (t) => {
  const disk = new SlowDisk();
  const gatherer = new WriteGatherer(disk.write);
  const size = 400 * 1024;
  const writes = Array.from({ length: 5 }, (_, number) =>
    gatherer.write(Buffer.alloc(size), number * size),
  );
  await disk.answer();
  t.deepEqual(
    disk.calls.map(({ position, text }) => [position / size, text.length / size]),
    [
      [0, 1],
      [1, 2],
      [3, 2],
    ],
  );
  await disk.answer();
  await Promise.all(writes);
});

test('gatherer: a failure is told to those of its piece, and the next piece is written', async (t) => {
  const disk = new SlowDisk();
  const gatherer = new WriteGatherer(disk.write);
  const first = t.throwsAsync(gatherer.write(Buffer.from('a'), 0), { message: 'no disk' });
  const second = gatherer.write(Buffer.from('b'), 1);
  await disk.answer(new Error('no disk'));
  await first;
  await disk.answer();
  await t.notThrowsAsync(second);
});
