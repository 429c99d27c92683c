/** How far readers trust what is known of a file, by rules of freshness. */
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import type { Freshness } from '../../src/base/path-rule.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { bytesOf, collect, PATH, ReadWorld } from './support.ts';

class FreshWorld extends ReadWorld {
  statCount = 0;

  constructor(freshness: Freshness | undefined, metadataMaxAgeMs = 0) {
    super(undefined, {
      freshnessOf: () => freshness,
      metadataMaxAgeMs,
    });
    this.under.onCall = ({ operation }) => {
      if (operation === 'stat') this.statCount += 1;
    };
  }

  async load(bytes: Uint8Array): Promise<FileRecord> {
    const record = await this.file(bytes, ['me', 'p2']);
    for (let index = 0; index * 10 < bytes.length; index += 1) {
      await this.hold('me', record, index, bytes);
    }
    return record;
  }

  async bytes(): Promise<Uint8Array> {
    return collect((await this.reader.read(PATH)).body);
  }
}

const OLD = bytesOf(25, 1);
const NEW = bytesOf(25, 2);

test('freshness: what is immutable is served as it was loaded, and nobody is asked', async (t) => {
  const world = new FreshWorld('immutable', 1000);
  await world.load(OLD);
  world.under.put(PATH, NEW);
  t.deepEqual(await world.bytes(), OLD);
  t.is(world.statCount, 0);
});

test('freshness: with always each read asks for the version, and gets the one of then', async (t) => {
  const world = new FreshWorld({ revalidateAfterMs: 0 });
  await world.load(OLD);
  t.deepEqual(await world.bytes(), OLD);
  t.is(world.under.readBytes, 0, 'the version is the cached one: no byte is read');
  world.under.put(PATH, NEW);
  t.deepEqual(await world.bytes(), NEW);
  t.deepEqual(await world.bytes(), NEW);
  t.is(world.under.readBytes, 25, 'and the new version is read through once');
  t.is(world.statCount, 3);
  world.under.delete(PATH);
  const gone = await t.throwsAsync(world.bytes(), { instanceOf: RingloadError });
  t.is(gone.code, 'ufs_not_found');
});

test('freshness: stat and open cost one question together', async (t) => {
  const world = new FreshWorld({ revalidateAfterMs: 0 });
  await world.load(OLD);
  const found = await world.reader.stat(PATH);
  const range = await world.reader.open(found, { offset: 3, length: 9 });
  t.deepEqual(await collect(range.body), OLD.slice(3, 12));
  t.is(world.statCount, 1);
});

test('freshness: after the time of the rule, and not before, the store is asked again', async (t) => {
  const world = new FreshWorld({ revalidateAfterMs: 1000 });
  await world.load(OLD);
  t.deepEqual(await world.bytes(), OLD);
  world.under.put(PATH, NEW);
  world.clock.advance(999);
  t.deepEqual(await world.bytes(), OLD);
  t.is(world.statCount, 1);
  world.clock.advance(1);
  t.deepEqual(await world.bytes(), NEW);
  t.is(world.statCount, 2);
});

test('freshness: what cannot be validated is not served, unless it is immutable', async (t) => {
  for (const freshness of ['immutable', { revalidateAfterMs: 1000 }] as const) {
    const world = new FreshWorld(freshness);
    await world.load(OLD);
    await world.bytes();
    world.under.onCall = () => {
      throw new RingloadError('ufs_unavailable', 'away');
    };
    t.deepEqual(await world.bytes(), OLD);
    world.clock.advance(1000);
    if (freshness === 'immutable') t.deepEqual(await world.bytes(), OLD);
    else {
      const error = await t.throwsAsync(world.bytes(), { instanceOf: RingloadError });
      t.is(error.code, 'ufs_unavailable');
    }
  }
});

test('freshness: what is skipped passes the caches by, both ways', async (t) => {
  const world = new FreshWorld('skip');
  await world.load(OLD);
  t.deepEqual(await world.bytes(), OLD);
  t.is(world.under.readBytes, 25, 'although it lies in the cache');
  world.under.put(PATH, NEW);
  const range = await world.reader.read(PATH, { offset: 20, length: 5 });
  t.deepEqual(await collect(range.body), NEW.slice(20));
  t.is(world.peer('me').store.usage().segmentCount, 3, 'nothing was stored');
  t.deepEqual(world.served, []);
});

test('freshness: an answer is as old as its question', async (t) => {
  const world = new FreshWorld({ revalidateAfterMs: 1000 });
  await world.load(OLD);
  world.under.onCall = ({ operation }) => {
    if (operation !== 'stat') return;
    world.statCount += 1;
    if (world.statCount === 1) world.clock.advance(900);
  };
  await world.bytes();
  world.clock.advance(100);
  await world.bytes();
  t.is(world.statCount, 2);
});

test('metadata: of a file that was never loaded, size and absence are remembered for a while', async (t) => {
  const world = new FreshWorld(undefined, 1000);
  await t.throwsAsync(world.bytes(), { message: /does not exist/ });
  await t.throwsAsync(world.bytes(), { message: /no object/ });
  t.is(world.statCount, 1);
  world.under.put(PATH, OLD);
  world.clock.advance(1000);
  t.deepEqual(await world.bytes(), OLD);
  t.deepEqual(await world.bytes(), OLD);
  t.is(world.statCount, 2);
  world.reader.forget(PATH);
  await world.bytes();
  t.is(world.statCount, 3);
});

test('metadata: a version that is remembered and gone is looked up anew, not an error', async (t) => {
  const world = new FreshWorld(undefined, 60_000);
  world.under.put(PATH, OLD);
  await world.reader.stat(PATH);
  world.under.put(PATH, NEW);
  t.deepEqual(await world.bytes(), NEW);
  t.is((await world.reader.stat(PATH)).version, 'v2');
});

test('freshness: where all is said to be immutable, a file that was never loaded is asked about once', async (t) => {
  const world = new FreshWorld('immutable', 1000);
  world.under.put(PATH, OLD);
  for (let day = 0; day < 5; day += 1) {
    t.deepEqual(await world.bytes(), OLD);
    world.clock.advance(86_400_000);
  }
  t.is(world.statCount, 1, 'one question to the store for all reads');
  t.is(world.under.readBytes, OLD.length, 'and one body');
  world.under.put(PATH, NEW);
  t.deepEqual(await world.bytes(), OLD, 'as it was cached');
  world.reader.forgetBelow('s3://b');
  t.deepEqual(await world.bytes(), NEW, 'a free has it looked up anew');
  t.is(world.statCount, 2);
});

test('freshness: what is immutable and cached no more is looked up anew, and absence is not for ever', async (t) => {
  const world = new FreshWorld('immutable', 1000);
  await t.throwsAsync(world.bytes(), { message: /does not exist/ });
  world.under.put(PATH, OLD);
  await t.throwsAsync(world.bytes(), { message: /no object/ });
  world.clock.advance(1000);
  await world.reader.stat(PATH);
  world.under.put(PATH, NEW);
  t.deepEqual(await world.bytes(), NEW, 'no byte of the old version is cached');
  t.is(world.statCount, 3);
});

test('freshness: an answer that was under way when its path was freed is not remembered', async (t) => {
  const world = new FreshWorld('immutable', 1000);
  world.under.put(PATH, OLD);
  world.under.onCall = ({ operation }) => {
    if (operation !== 'stat') return;
    world.statCount += 1;
    world.clock.advance(1);
    if (world.statCount === 1) world.reader.forgetBelow(PATH);
  };
  await world.reader.stat(PATH);
  await world.reader.stat(PATH);
  t.is(world.statCount, 2);
});

/** `FRESH_SEED=n` replays one history. */
const given = process.env['FRESH_SEED'];
const first = given === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(given);
const count = given === undefined ? 150 : 1;

test('freshness: no read is older than its rule allows, and none mixes versions', async (t) => {
  for (let seed = first; seed < first + count; seed += 1) {
    const random = new SeededRandom(seed);
    const pick = (bound: number): number => randomInt(random, bound);
    const maxAgeMs = [0, 50, 200][pick(3)] ?? 0;
    const world = new FreshWorld({ revalidateAfterMs: maxAgeMs });
    /** When each version stopped being the current one. */
    const replacedMs = new Map<string, number>();
    const contents = new Map<string, Uint8Array>();
    let current = '';
    const write = async (): Promise<void> => {
      const bytes = bytesOf(5 + pick(40), pick(250));
      replacedMs.set(current, world.clock.nowMs());
      current = world.under.put(PATH, bytes).version;
      contents.set(current, bytes);
      if (pick(2) === 0) return;
      const record = {
        ...{ path: PATH, sizeBytes: bytes.length, version: current, mtimeMs: 0 },
        ...{ segmentSizeBytes: 10, segmented: true, replicaCount: 2 },
      };
      await world.peer('me').catalog.putAll([record]);
      if (pick(2) === 0) await world.hold('me', record, 0, bytes);
    };
    await write();
    for (let step = 0; step < 30; step += 1) {
      world.clock.advance(pick(60));
      if (pick(3) === 0) await write();
      const askedMs = world.clock.nowMs();
      const { record, body } = await world.reader.read(PATH);
      const where = `FRESH_SEED=${seed}, step ${step}`;
      t.deepEqual(await collect(body), contents.get(record.version), where);
      const endMs = replacedMs.get(record.version) ?? Infinity;
      t.true(maxAgeMs === 0 ? record.version === current : endMs > askedMs - maxAgeMs, where);
    }
  }
});
