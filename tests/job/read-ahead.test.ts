/** Listings ahead of what is asked for, against the plain listing of the same store. */
import test from 'ava';
import { SeededRandom, randomInt, type Random } from '../../src/base/random.ts';
import { ReadAhead, type PageRequest } from '../../src/job/read-ahead.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { comparePaths } from '../../src/ufs/path.ts';
import type { ListPage } from '../../src/ufs/under-store.ts';
import { ODD_KEYS } from '../support/odd-keys.ts';

const ROOT = 's3://b/d';
const never = new AbortController().signal;
const BYTES = new Uint8Array(1);

/** A store whose calls take turns of their own, and may fail. */
class SlowStore {
  readonly store = new MemoryUnderStore();
  callCount = 0;
  runningCount = 0;
  runningMaxCount = 0;
  listedCount = 0;
  turns: () => number = () => 1;
  /** Runs while a call is under way, before the store looks. */
  meanwhile: () => void = () => undefined;

  async list(request: PageRequest): Promise<ListPage> {
    this.callCount += 1;
    this.runningMaxCount = Math.max(this.runningMaxCount, ++this.runningCount);
    try {
      for (let turn = this.turns(); turn > 0; turn--) await Promise.resolve();
      this.meanwhile();
      const page = await this.store.list({ root: ROOT, ...request }, never);
      this.listedCount += page.objects.length;
      return page;
    } finally {
      this.runningCount -= 1;
    }
  }

  ahead(isKeyed = true): ReadAhead {
    return new ReadAhead({ root: ROOT, isKeyed, list: (request) => this.list(request) });
  }
}

/** All paths as a pass takes them; a failed page is asked for again from the same place. */
async function listAll(pages: ReadAhead, limit: number, after?: string): Promise<string[]> {
  const paths: string[] = [];
  let cursor = after;
  for (let failedCount = 0; failedCount < 1_000;) {
    let page: ListPage;
    try {
      page = await pages.next(cursor, limit);
    } catch {
      failedCount += 1;
      continue;
    }
    if (page.objects.length > limit) throw new Error('a page is larger than asked for');
    paths.push(...page.objects.map(({ path }) => path));
    cursor = page.cursor;
    if (page.done) return paths;
  }
  throw new Error('the listing has no end');
}

/** Names of several kinds, side by side or in folders: numbers, hashes, dates, odd ones, any text. */
function drawKeys(random: Random): string[] {
  const count = randomInt(random, 300);
  const digits = 1 + randomInt(random, 6);
  const hex = (length: number): string =>
    Array.from({ length }, () => randomInt(random, 16).toString(16)).join('');
  const text = (): string =>
    Array.from({ length: 1 + randomInt(random, 6) }, () =>
      String.fromCodePoint(
        [0x20, 0x41, 0x30, 0x2f, 0x7f, 0xe9, 0xd7ff, 0xe000, 0xffff, 0x1f600][
          randomInt(random, 10)
        ]! + randomInt(random, 3),
      ),
    ).join('');
  const kinds: ((number: number) => string)[] = [
    (number) => `part-${String(number).padStart(digits, '0')}`,
    (number) => `f${number}/${hex(4)}.bin`,
    (number) => `dt=2026-${String(1 + (number % 12)).padStart(2, '0')}/${hex(8)}`,
    () => hex(12),
    () => `${text()}x`,
    (number) => `${ODD_KEYS[number % ODD_KEYS.length]}${number > ODD_KEYS.length ? hex(2) : ''}`,
  ];
  const used = kinds.filter(() => random.next() < 0.5);
  const keys = new Set<string>();
  for (let number = 0; number < count; number++) {
    const kind = used[randomInt(random, Math.max(1, used.length))] ?? (() => hex(6));
    keys.add(kind(number));
  }
  return [...keys];
}

const seed = Number(process.env['READ_AHEAD_SEED'] ?? Date.now() % 1e9);
const ROUNDS = 400;

test('read ahead: gives what the plain listing gives, whatever the keys, delays and failures', async (t) => {
  t.log(`READ_AHEAD_SEED=${seed}`);
  const random = new SeededRandom(seed);
  let parallelCount = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const slow = new SlowStore();
    for (const key of drawKeys(random)) slow.store.put(`${ROOT}/${key}`, BYTES);
    if (random.next() < 0.2) slow.store.put(ROOT, BYTES);
    if (random.next() < 0.2) slow.store.put(`${ROOT}0`, BYTES);
    const limit = 1 + randomInt(random, 40);
    const failShare = random.next() < 0.3 ? 0.1 : 0;
    const plain = await listAll(slow.ahead(false), limit);
    slow.turns = () => randomInt(random, 30);
    slow.meanwhile = () => {
      if (random.next() < failShare) throw new Error('a planned failure');
    };
    const pages = slow.ahead();
    t.deepEqual(await listAll(pages, limit), plain, `round ${round}`);
    // Once more, as another pass does, and from the middle, as another leader does.
    t.deepEqual(await listAll(pages, limit), plain, `round ${round}, again`);
    const middle = plain[randomInt(random, Math.max(1, plain.length))];
    if (middle !== undefined) {
      const rest = plain.filter((path) => comparePaths(path, middle) > 0);
      t.deepEqual(await listAll(slow.ahead(), limit, middle), rest, `round ${round}, resumed`);
    }
    if (slow.runningMaxCount > 1) parallelCount += 1;
    // The eight, and the first page of a listing that begins before the last one's are back.
    t.true(slow.runningMaxCount <= 9);
  }
  t.log(`${parallelCount} of ${ROUNDS} listings had calls side by side`);
  t.true(parallelCount > ROUNDS / 4);
});

test('read ahead: keys that come and go are listed once or not at all, all others once', async (t) => {
  t.log(`READ_AHEAD_SEED=${seed}`);
  const random = new SeededRandom(seed + 1);
  for (let round = 0; round < ROUNDS; round++) {
    const slow = new SlowStore();
    const keys = drawKeys(random).map((key) => `${ROOT}/${key}`);
    const fickle = new Set(keys.filter(() => random.next() < 0.3));
    for (const key of keys) if (random.next() < 0.7 || !fickle.has(key)) slow.store.put(key, BYTES);
    slow.turns = () => randomInt(random, 30);
    const changing = [...fickle];
    slow.meanwhile = () => {
      const key = changing[randomInt(random, changing.length + 1)];
      if (key !== undefined && !slow.store.delete(key)) slow.store.put(key, BYTES);
    };
    const listed = await listAll(slow.ahead(), 1 + randomInt(random, 40));
    const ascending = listed.every(
      (path, index) => index === 0 || comparePaths(path, listed[index - 1] ?? '') > 0,
    );
    t.true(ascending, `round ${round}: in order, none twice`);
    const steady = keys.filter((key) => !fickle.has(key)).sort(comparePaths);
    t.deepEqual(
      listed.filter((path) => !fickle.has(path)),
      steady,
      `round ${round}`,
    );
  }
});

const numbered = (count: number): SlowStore => {
  const slow = new SlowStore();
  for (let number = 0; number < count; number++) {
    slow.store.put(`${ROOT}/part-${String(number).padStart(8, '0')}`, BYTES);
  }
  return slow;
};

test('read ahead: a long listing has eight calls under way, a page or so for each', async (t) => {
  const slow = numbered(10_000);
  t.is((await listAll(slow.ahead(), 100)).length, 10_000);
  t.is(slow.runningMaxCount, 8);
  t.true(slow.callCount <= 1.5 * 100, `${slow.callCount} calls`);
});

test('read ahead: hashed names are found as evenly as numbers', async (t) => {
  const slow = new SlowStore();
  const random = new SeededRandom(7);
  for (let number = 0; number < 10_000; number++) {
    const name = randomInt(random, 2 ** 31)
      .toString(16)
      .padStart(8, '0');
    slow.store.put(`${ROOT}/${name}.bin`, BYTES);
  }
  await listAll(slow.ahead(), 100);
  t.is(slow.runningMaxCount, 8);
  t.true(slow.callCount <= 1.6 * 100, `${slow.callCount} calls`);
});

test('read ahead: what is not taken is not listed without end', async (t) => {
  const slow = numbered(10_000);
  const pages = slow.ahead();
  await pages.next(undefined, 100);
  for (let turn = 0; turn < 2_000; turn++) await Promise.resolve();
  t.is(slow.runningCount, 0);
  t.true(slow.listedCount <= 11 * 100, `${slow.listedCount} objects`);
});

test('read ahead: a listing of one page is one call', async (t) => {
  const slow = numbered(50);
  t.is((await listAll(slow.ahead(), 100)).length, 50);
  t.is(slow.callCount, 1);
});

test('read ahead: folders that end where others begin cost few calls more than the plain listing', async (t) => {
  const slow = new SlowStore();
  for (let folder = 0; folder < 40; folder++) {
    for (let number = 0; number < 250; number++) {
      slow.store.put(
        `${ROOT}/${String.fromCharCode(97 + (folder % 26))}${folder}-x/${number}`,
        BYTES,
      );
    }
  }
  const plainCalls = 100;
  await listAll(slow.ahead(), 100);
  t.true(slow.callCount <= 3 * plainCalls, `${slow.callCount} calls`);
});

test('read ahead: an empty listing can be asked for again, and so can the end of any', async (t) => {
  const empty = new SlowStore().ahead();
  for (let time = 0; time < 3; time++) t.true((await empty.next(undefined, 100)).done);
  const pages = numbered(50).ahead();
  const { cursor } = await pages.next(undefined, 100);
  for (let time = 0; time < 3; time++) t.is((await pages.next(cursor, 100)).objects.length, 0);
});

test('read ahead: a store without keys is asked for one page after another, when it is wanted', async (t) => {
  const slow = numbered(1_000);
  const pages = slow.ahead(false);
  await pages.next(undefined, 100);
  t.is(slow.callCount, 1);
  t.is((await listAll(pages, 100)).length, 1_000);
  t.is(slow.runningMaxCount, 1);
});

test('read ahead: a failure is told when its page is wanted, not before', async (t) => {
  const slow = numbered(1_000);
  const pages = slow.ahead();
  slow.meanwhile = () => {
    if (slow.callCount > 1) throw new Error('a planned failure');
  };
  const first = await pages.next(undefined, 100);
  t.is(first.objects.length, 100);
  await t.throwsAsync(pages.next(first.cursor, 100), { message: 'a planned failure' });
  slow.meanwhile = () => undefined;
  const second = await pages.next(first.cursor, 100);
  t.is(second.objects[0]?.path, `${ROOT}/part-00000100`);
});
