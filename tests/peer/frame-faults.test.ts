/**
 * What a network between peers may do to whole frames. They are sealed and numbered: one that is
 * lost, repeated, moved or of yesterday ends the link that it comes over, and nothing else.
 */
import test, { type ExecutionContext } from 'ava';
import { type Fate, FrameProxy } from './support/frame-proxy.ts';
import { isLinked, SECRET, SocketWorld, type TestPeer } from './support/world.ts';

interface Scene {
  readonly world: SocketWorld;
  readonly caller: TestPeer;
  readonly called: Awaited<ReturnType<SocketWorld['start']>>;
  /** Linked with the called peer directly. */
  readonly bystander: TestPeer;
  readonly proxy: FrameProxy;
  /** What the called peer was asked. */
  readonly asked: unknown[];
}

/** A caller linked through the proxy; every peer knows the secret. */
function story(title: string, run: (t: ExecutionContext, scene: Scene) => Promise<void>): void {
  test(`frames: ${title}`, async (t) => {
    const world = new SocketWorld({
      secrets: [SECRET],
      limits: { pingIntervalMs: 60_000, deadAfterMs: 120_000 },
    });
    const called = await world.start({ name: 'called' });
    const proxy = await FrameProxy.to(called.address);
    try {
      const caller = await world.start({ name: 'caller' });
      const bystander = await world.start({ name: 'bystander' });
      const asked: unknown[] = [];
      called.network.onRequest('echo', (_from, payload) => {
        asked.push(payload);
        return Promise.resolve(payload);
      });
      caller.network.setPeers([{ id: called.id, address: proxy.address }]);
      bystander.network.setPeers([called]);
      await world.until(
        'the links',
        () => isLinked(called, caller) && isLinked(caller, called) && isLinked(bystander, called),
      );
      await run(t, { world, caller, called, bystander, proxy, asked });
    } finally {
      await proxy.close();
      await world.close();
    }
  });
}

const ask = (from: TestPeer, to: TestPeer, payload: unknown): Promise<unknown> =>
  from.network.request(to.id, 'echo', payload, 20_000);

/** The first frame passes, the next ones are held and come in another order. */
function swapped(): Fate {
  let held: Buffer | undefined;
  return (frame) => {
    if (held === undefined) {
      held = frame;
      return [];
    }
    const both = [frame, held];
    held = undefined;
    return both;
  };
}

function once(fate: Fate): Fate {
  let isDone = false;
  return (frame) => {
    if (isDone) return [frame];
    isDone = true;
    return fate(frame);
  };
}

const FATES: readonly (readonly [string, (old: Buffer) => Fate])[] = [
  ['two frames that change places', swapped],
  ['a frame that comes twice', () => once((frame) => [frame, frame])],
  ['a frame that is lost', () => once(() => [])],
  ['a frame that was recorded on an earlier link', (old) => once((frame) => [old, frame])],
  ['a frame that goes back behind the next one', (old) => once((frame) => [frame, old])],
];

for (const [title, fateOf] of FATES) {
  story(`${title} ends that link only, and nothing is done twice`, async (t, scene) => {
    const { world, caller, called, bystander, proxy, asked } = scene;
    t.is(await ask(caller, called, 'before'), 'before');
    const recorded = proxy.seen.at(-1);
    if (!recorded) throw new Error('no frame came by');
    const isEarlier = title.includes('earlier');
    if (isEarlier) {
      // The recording is of a link that is over: the called peer takes another one for it.
      proxy.fate = once(() => []);
      await Promise.allSettled([ask(caller, called, 'lost'), ask(caller, called, 'late')]);
      await world.until('a new link', () => isLinked(called, caller) && isLinked(caller, called));
      asked.length = 1;
    }
    const badBefore = called.network.counters.badFrames;
    const opened = bystander.network.links()[0]?.generation;
    proxy.fate = fateOf(recorded);
    const spoilt = await Promise.allSettled(
      ['one', 'two', 'three'].map((each) => ask(caller, called, each)),
    );
    await world.until('the end of the link', () => called.network.counters.badFrames > badBefore);
    proxy.fate = (frame) => [frame];
    await world.until('a new link', () => isLinked(called, caller) && isLinked(caller, called));
    t.true(
      spoilt.some(({ status }) => status === 'rejected'),
      'the link went on',
    );
    t.is(called.network.counters.badFrames, badBefore + 1);
    t.deepEqual(asked, [...new Set(asked)], 'a request was handled twice');
    t.is(await ask(caller, called, 'after'), 'after');
    t.is(await ask(bystander, called, 'aside'), 'aside');
    t.is(bystander.network.links()[0]?.generation, opened);
    t.is((bystander.network as typeof called.network).counters.linksOpened, 1);
  });
}

story(
  'frames in single bytes, late and held up, arrive whole over the same link',
  async (t, scene) => {
    const { caller, called, proxy } = scene;
    proxy.inBytes = true;
    const payloads = Array.from({ length: 30 }, (_unused, number) => 'x'.repeat(number * 37));
    const answers = await Promise.all(payloads.map((payload) => ask(caller, called, payload)));
    t.deepEqual(answers, payloads);
    t.is(called.network.counters.badFrames, 0);
    t.is(called.network.counters.linksOpened, 2, 'one each');
  },
);
