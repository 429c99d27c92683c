import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import { SegmentLoader } from '../../src/data/segment-loader.ts';
import { newMutes } from '../data/support.ts';
import { copyHere } from '../../src/node/copy-here.ts';
import { segmentKeyOf } from '../../src/cache/segment-store.ts';
import { recordOf } from '../repair/support/world.ts';
import { idOf, RecordingLogger } from './support/fakes.ts';

const SEGMENT_BYTES = 1000;

function world(lacking: readonly number[] = []) {
  const store = new MemorySegmentStore({ capacityBytes: 1_000_000, crc32c: nativeCrc32c });
  const filled: string[] = [];
  const loader = new SegmentLoader({
    store,
    mutes: newMutes(),
    logger: silentLogger,
    plane: {
      fill: async ({ source, extent }) => {
        if (source.kind === 'ufs') throw new Error('the under store was asked');
        filled.push(`${source.endpoint} ${source.key.index} ${source.lengthBytes}`);
        if (lacking.includes(source.key.index)) throw new RingloadError('not_found', 'gone');
        const bytes = new Uint8Array(source.lengthBytes);
        await store.write(extent, 0, bytes);
        const crc32c = nativeCrc32c(bytes);
        const blockCrc32c = Uint32Array.of(crc32c);
        const { lengthBytes } = source;
        return { crc32c, blockCrc32c, lengthBytes, receivedBytes: lengthBytes };
      },
      close: () => Promise.resolve(),
    },
  });
  const logger = new RecordingLogger();
  const endpointOf = (peer: string) => (peer === idOf('b') ? 'http://b' : undefined);
  const clock = new ManualClock();
  const told = { copiedCount: 0 };
  const onCopied = (): void => {
    told.copiedCount += 1;
  };
  const options = {
    ...{ loader, endpointOf, deadlineMs: 300_000, clock, logger, onCopied },
    mayStore: () => true,
  };
  return { store, filled, logger, options, told };
}

const record = recordOf('/f', { sizeBytes: 7_500, segmentSizeBytes: SEGMENT_BYTES });
const sources = [idOf('a'), idOf('b')];

for (let count = 1; count <= 8; count += 1) {
  test(`copy: an order of ${count} segments is done in full`, async (t) => {
    const { store, filled, options } = world();
    const indexes = Array.from({ length: count }, (_unused, index) => index);
    t.is(await copyHere(options, { record, indexes, sources }), count);
    t.is(filled.length, count);
    for (const index of indexes) t.truthy(await store.lookup(segmentKeyOf(record, index)));
  });
}

test('copy: the last segment is as long as the file is', async (t) => {
  const { filled, options } = world();
  await copyHere(options, { record, indexes: [0, 7], sources });
  t.deepEqual(filled, ['http://b 0 1000', 'http://b 7 500']);
});

test('copy: what is here already counts and is not copied again', async (t) => {
  const { filled, options, told } = world();
  await copyHere(options, { record, indexes: [1], sources });
  t.is(await copyHere(options, { record, indexes: [0, 1], sources }), 2);
  t.is(filled.length, 2);
  t.is(told.copiedCount, 2);
});

test('copy: a segment that cannot be copied does not stop the rest, and is told', async (t) => {
  const { options, logger, told } = world([1]);
  t.is(await copyHere(options, { record, indexes: [0, 1, 2], sources }), 2);
  t.is(told.copiedCount, 2);
  t.like(logger.lines[0]?.fields, { segment: 1, code: 'not_found' });
});

test('copy: without a known endpoint nothing is copied, least of all from the store', async (t) => {
  const { filled, options } = world();
  t.is(await copyHere(options, { record, indexes: [0], sources: [idOf('a')] }), 0);
  t.deepEqual(filled, []);
});
