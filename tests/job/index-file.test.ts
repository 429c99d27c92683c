import test from 'ava';
import { pinIndex, readIndex } from '../../src/job/index-file.ts';
import { INDEX_MAX_BYTES } from '../../src/job/spec.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';

const SIGNAL = new AbortController().signal;
const INDEX = 's3://b/lists/today.txt';

async function linesOf(bytes: Uint8Array): Promise<string[]> {
  const store = new MemoryUnderStore();
  store.put(INDEX, bytes);
  const pin = await pinIndex(store, INDEX, SIGNAL);
  return [...(await readIndex(store, INDEX, pin, SIGNAL)).after()];
}

test('index file: lines, blank ones, remarks, carriage returns and slashes at the end', async (t) => {
  const text =
    '\ufeffs3://b/z\n\n# a remark\r\ns3://b/a/\r\ns3://b/k #no remark\ns3://b/ünï\n\r\ns3://b/last';
  t.deepEqual(await linesOf(new TextEncoder().encode(text)), [
    's3://b/a',
    's3://b/k #no remark',
    's3://b/last',
    's3://b/z',
    's3://b/ünï',
  ]);
});

test('index file: a line is whole wherever the chunks are cut, and no line is without an end', async (t) => {
  const paths = Array.from(
    { length: 20_000 },
    (_, n) => `s3://b/dir-${n % 7}/ü-${String(n).padStart(6, '0')}`,
  );
  const bytes = new TextEncoder().encode(`${paths.join('\n')}\n`);
  // Chunks of the store are 64 KiB: some of them end within a character.
  t.true(bytes.length > 3 * 64 * 1024);
  t.deepEqual(await linesOf(bytes), [...paths].sort());
  const [line] = await linesOf(new TextEncoder().encode(`s3://b/${'\u{1f388}'.repeat(200_000)}`));
  t.true((line?.length ?? 0) > 2048 && (line?.length ?? 0) <= 2050);
  t.false(/[\ud800-\udbff]$/.test(line ?? ''));
});

test('index file: empty and oversized ones are refused with the bound, a missing one as such', async (t) => {
  const store = new MemoryUnderStore();
  t.like(await t.throwsAsync(pinIndex(store, INDEX, SIGNAL)), { code: 'ufs_not_found' });
  store.put(INDEX, new Uint8Array());
  t.like(await t.throwsAsync(pinIndex(store, INDEX, SIGNAL)), {
    code: 'invalid_argument',
    message: `index file ${INDEX} is empty`,
  });
  const sizeBytes = INDEX_MAX_BYTES + 1;
  store.stat = () => Promise.resolve({ path: INDEX, sizeBytes, version: 'v', mtimeMs: 0 });
  t.like(await t.throwsAsync(pinIndex(store, INDEX, SIGNAL)), {
    code: 'invalid_argument',
    message: `index file ${INDEX} has ${sizeBytes} bytes: at most ${INDEX_MAX_BYTES} are read`,
  });
});

test('index file: another version than the pinned one is not read', async (t) => {
  const store = new MemoryUnderStore();
  store.put(INDEX, new TextEncoder().encode('s3://b/a\n'));
  const pin = await pinIndex(store, INDEX, SIGNAL);
  store.put(INDEX, new TextEncoder().encode('s3://b/c\n'));
  t.like(await t.throwsAsync(readIndex(store, INDEX, pin, SIGNAL)), { code: 'ufs_changed' });
});
