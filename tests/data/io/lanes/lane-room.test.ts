import test from 'ava';
import { type LaneHolder, LaneRoom } from '../../../../src/data/io/lanes/lane-room.ts';

/** An endpoint with so many idle lanes, which gives their places back when they close. */
class Endpoint implements LaneHolder {
  startCount = 0;
  idleCount: number;
  readonly #room: () => LaneRoom;

  constructor(idleCount: number, room: () => LaneRoom) {
    this.idleCount = idleCount;
    this.#room = room;
  }
  closeIdle(): boolean {
    if (this.idleCount === 0) return false;
    this.idleCount--;
    this.#room().giveBack();
    return true;
  }
  startWaiting(): void {
    this.startCount++;
  }
}

test('lane room: when all are taken, an idle lane of any endpoint makes way', (t) => {
  const endpoints: Endpoint[] = [];
  const room = new LaneRoom(2, () => endpoints);
  endpoints.push(new Endpoint(0, () => room), new Endpoint(1, () => room));
  t.deepEqual([room.take(), room.take(), room.take()], [true, true, true]);
  t.is(endpoints[1]?.idleCount, 0);
  t.false(room.take(), 'all are busy');
});

test('lane room: a lane that closes lets the orders of all endpoints try again', async (t) => {
  const endpoints: Endpoint[] = [];
  const room = new LaneRoom(1, () => endpoints);
  endpoints.push(new Endpoint(0, () => room), new Endpoint(0, () => room));
  t.deepEqual([room.take(), room.take()], [true, false]);
  room.giveBack();
  await Promise.resolve();
  t.deepEqual(
    endpoints.map(({ startCount }) => startCount),
    [1, 1],
  );
  t.true(room.take());
});
