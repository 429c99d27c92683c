import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError, toRingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { Opening, WayQueue, type Way } from '../../src/read/opening.ts';
import { settle } from '../data/support.ts';

class Door {
  readonly name: string;
  isClosed = false;

  constructor(name: string) {
    this.name = name;
  }

  close(): void {
    this.isClosed = true;
  }
}

/** Ways on virtual time, and what became of them. */
class Ways {
  readonly clock = new ManualClock();
  readonly asked: string[] = [];
  readonly left: string[] = [];
  readonly silent: string[] = [];
  readonly opened: Door[] = [];
  readonly abort = new AbortController();
  hedges = 1;
  isHopeless = (_code: ErrorCode): boolean => false;

  /** Answers after `ms`, with an error where one is given; never for Infinity. */
  way(
    name: string,
    { ms, code, ...changes }: { ms: number; code?: ErrorCode } & Partial<Way<Door>>,
  ): Way<Door> {
    return {
      patienceMs: 2000,
      isAlike: true,
      onSilent: () => {
        this.silent.push(name);
        return false;
      },
      open: (signal, onAsked) => {
        this.asked.push(`${name} at ${this.clock.nowMs()}`);
        onAsked();
        return new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => {
            this.left.push(name);
            reject(signal.reason as Error);
          });
          if (ms === Infinity) return;
          this.clock.setTimer(ms, () => {
            if (code !== undefined) {
              reject(new RingloadError(code, name));
              return;
            }
            const door = new Door(name);
            this.opened.push(door);
            resolve(door);
          });
        });
      },
      ...changes,
    };
  }

  async open(...ways: Way<Door>[]): Promise<string> {
    const opening = new Opening<Door>({
      clock: this.clock,
      ways: new WayQueue(ways[Symbol.iterator]()),
      signal: this.abort.signal,
      hedgeAfterMs: 50,
      takeHedge: () => this.hedges-- > 0,
      onFailed: ({ code }) => this.isHopeless(code),
      failure: new RingloadError('ufs_bad_response', 'no way at all'),
    });
    let outcome: string | undefined;
    opening.first().then(
      ({ name }) => (outcome = `${name} at ${this.clock.nowMs()}`),
      (error: unknown) => (outcome = `${toRingloadError(error).code} at ${this.clock.nowMs()}`),
    );
    for (let tick = 0; tick < 4000 && outcome === undefined; tick++) {
      await settle();
      if (outcome === undefined) this.clock.advance(10);
    }
    return outcome ?? 'nothing';
  }
}

test('opening: one that answers in its time is the only one asked', async (t) => {
  const ways = new Ways();
  t.is(await ways.open(ways.way('a', { ms: 40 }), ways.way('b', { ms: 1 })), 'a at 40');
  ways.clock.advance(10_000);
  t.deepEqual(ways.asked, ['a at 0']);
  t.deepEqual(ways.left, []);
});

test('opening: a second one is asked when the first is late; the loser is given up', async (t) => {
  const ways = new Ways();
  t.is(await ways.open(ways.way('a', { ms: 500 }), ways.way('b', { ms: 20 })), 'b at 70');
  t.deepEqual(ways.asked, ['a at 0', 'b at 50']);
  t.deepEqual(ways.left, ['a']);

  const other = new Ways();
  t.is(await other.open(other.way('a', { ms: 60 }), other.way('b', { ms: 20 })), 'a at 60');
  t.deepEqual(other.left, ['b']);
});

test('opening: without means for it, or where the next one is of another kind, none is', async (t) => {
  const ways = new Ways();
  ways.hedges = 0;
  t.is(await ways.open(ways.way('a', { ms: 500 }), ways.way('b', { ms: 20 })), 'a at 500');
  const other = new Ways();
  const fill = other.way('fill', { ms: 20, isAlike: false });
  t.is(await other.open(other.way('a', { ms: 500 }), fill), 'a at 500');
  t.deepEqual(other.asked, ['a at 0']);
});

test('opening: a failure gives way to the next at once, the last one is told', async (t) => {
  const ways = new Ways();
  const gone = { ms: 10, code: 'not_found' } as const;
  t.is(await ways.open(ways.way('a', gone), ways.way('b', { ms: 20 })), 'b at 30');
  const other = new Ways();
  const broken = { ms: 10, code: 'peer_unreachable' } as const;
  t.is(await other.open(other.way('a', gone), other.way('b', broken)), 'peer_unreachable at 20');
  t.is(await new Ways().open(), 'ufs_bad_response at 0');
});

test('opening: what no other way can mend ends it', async (t) => {
  const ways = new Ways();
  ways.isHopeless = (code) => code === 'ufs_changed';
  const changed = { ms: 10, code: 'ufs_changed' } as const;
  t.is(await ways.open(ways.way('a', changed), ways.way('b', { ms: 20 })), 'ufs_changed at 10');
  t.deepEqual(ways.asked, ['a at 0']);
});

test('opening: silence gives way to the next one after its patience', async (t) => {
  const ways = new Ways();
  ways.hedges = 0;
  t.is(await ways.open(ways.way('a', { ms: Infinity }), ways.way('b', { ms: 20 })), 'b at 2020');
  t.deepEqual(ways.silent, ['a']);
  t.deepEqual(ways.left, ['a']);
});

test('opening: who was silent is waited for after all when nobody else has it', async (t) => {
  const ways = new Ways();
  ways.hedges = 0;
  const broken = { ms: 10, code: 'ufs_unavailable', isAlike: false } as const;
  const outcome = await ways.open(ways.way('a', { ms: 9000 }), ways.way('store', broken));
  t.is(outcome, 'a at 9000');
  t.deepEqual(ways.asked, ['a at 0', 'store at 2000']);
});

test('opening: patience begins when the question goes out', async (t) => {
  const ways = new Ways();
  ways.hedges = 0;
  const late = ways.way('a', { ms: 0 });
  const waits: Way<Door> = {
    ...late,
    open: (signal, onAsked) =>
      new Promise((resolve) => {
        ways.clock.setTimer(5000, () => {
          resolve(late.open(signal, onAsked));
        });
      }),
  };
  t.is(await ways.open(waits, ways.way('b', { ms: 20 })), 'a at 5000');
});

test('opening: who gives up gives all of them up, and what opens later is closed', async (t) => {
  const ways = new Ways();
  const stubborn: Way<Door> = {
    isAlike: true,
    open: () =>
      new Promise((resolve) => {
        ways.clock.setTimer(500, () => {
          const door = new Door('stubborn');
          ways.opened.push(door);
          resolve(door);
        });
      }),
  };
  ways.clock.setTimer(100, () => {
    ways.abort.abort(new RingloadError('cancelled', 'the reader stopped'));
  });
  t.is(await ways.open(stubborn, ways.way('b', { ms: Infinity })), 'cancelled at 100');
  ways.clock.advance(1000);
  await settle();
  t.deepEqual(ways.left, ['b']);
  t.deepEqual(
    ways.opened.map(({ isClosed }) => isClosed),
    [true],
  );
  t.is(await ways.open(ways.way('c', { ms: 1 })), 'cancelled at 1100');
});

test('opening: one that is slow, and not silent, is waited for', async (t) => {
  const ways = new Ways();
  ways.hedges = 0;
  let askedCount = 0;
  const slow = ways.way('a', { ms: 5000, onSilent: () => ++askedCount < 10 });
  t.is(await ways.open(slow, ways.way('b', { ms: 20 })), 'a at 5000');
  t.is(askedCount, 2);
  t.deepEqual(ways.asked, ['a at 0']);
});
