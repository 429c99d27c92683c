/** Thousands of readers that take their time hold little, and many that do not lose nothing. */
import test from 'ava';
import { keyOf, openSmallStore, storeBytes, temporaryFolder } from '../support/fixtures.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const SEGMENT_BYTES = 3 * MIB;
const READER_COUNT = 200;

test('read room: what slow readers hold is bounded, and the next one reads in large chunks', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openSmallStore(folder.path, {
    directories: [{ path: folder.path, capacityBytes: 8 * MIB }],
    regionSizeBytes: 4 * MIB,
  });
  t.teardown(() => store.close());
  const bytes = Buffer.alloc(
    SEGMENT_BYTES,
    'more than a block, and no block is like the one before; ',
  );
  await storeBytes(store, keyOf(0), bytes);
  const open = async (): Promise<AsyncIterator<Uint8Array>> => {
    const reader = await store.open(keyOf(0));
    if (!reader) throw new Error('the segment is not resident');
    t.teardown(() => {
      reader.close();
    });
    return reader.read(0, SEGMENT_BYTES)[Symbol.asyncIterator]();
  };
  const slow = await Promise.all(Array.from({ length: READER_COUNT }, open));
  const first = await Promise.all(
    slow.map(async (each) => (await each.next()).value as Uint8Array),
  );
  t.is(first[0]?.length, MIB);
  const heldBytes = first.reduce((sum, chunk) => sum + chunk.length, 0);
  t.log(`${READER_COUNT} readers hold ${(heldBytes / MIB).toFixed(1)} MiB`);
  t.true(heldBytes <= 64 * MIB + READER_COUNT * 64 * KIB, `${heldBytes}`);

  // Small chunks are the same bytes.
  const [late] = slow.slice(-1);
  const pieces = first.slice(-1);
  for (let step = await late?.next(); step?.done === false; step = await late?.next()) {
    pieces.push(step.value);
  }
  t.true(Buffer.concat(pieces).equals(bytes));

  for (const each of slow) await each.return?.();
  t.is(((await (await open()).next()).value as Uint8Array).length, MIB);
});
