import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { jobId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { DemandCount } from '../../src/data/demand-count.ts';
import { SegmentLoader } from '../../src/data/segment-loader.ts';
import type { Urgency } from '../../src/data/urgency.ts';
import {
  Gate,
  keyOf,
  newMutes,
  newStore,
  requestOf,
  settle,
  TestPlane,
  WAIT_MS,
} from './support.ts';

const fresh = (): AbortSignal => new AbortController().signal;
const fault = (code: ErrorCode): RingloadError => new RingloadError(code, code);

function parts() {
  const store = newStore();
  const plane = new TestPlane(store);
  const clock = new ManualClock();
  const loader = new SegmentLoader({
    ...{ store, plane, mutes: newMutes(clock), logger: silentLogger },
  });
  const meters: string[] = [];
  const meter = (from: string, bytes: number): void => void meters.push(`${from} ${bytes}`);
  return { clock, store, plane, loader, meters, meter };
}

test('segment loader: all who want a segment at once share one fill', async (t) => {
  const { loader, plane, meter, meters } = parts();
  const gate = new Gate();
  plane.before = () => gate.opened;
  const loads = [1, 2, 3].map(() => loader.load(requestOf({ meter }), fresh()));
  await settle();
  gate.open();
  const outcomes = await Promise.all(loads);
  t.deepEqual(plane.asked, ['ufs']);
  t.deepEqual(
    outcomes.map(({ own }) => own),
    [true, false, false],
  );
  t.deepEqual(meters, ['ufs 8']);
  t.is((await loader.load(requestOf(), fresh())).filled, false);
});

test('segment loader: a fill that ends between look-up and start is not repeated', async (t) => {
  const { loader, plane, store } = parts();
  const lookup = store.lookup.bind(store);
  let first = true;
  store.lookup = async (key) => {
    const found = await lookup(key);
    if (first) {
      first = false;
      await loader.load(requestOf(), fresh());
    }
    return found;
  };
  const outcome = await loader.load(requestOf(), fresh());
  t.deepEqual(plane.asked, ['ufs']);
  t.false(outcome.filled);
});

test('segment loader: peers are asked in order, the under store last', async (t) => {
  const { loader, plane } = parts();
  plane.before = (source) => {
    if (source.kind === 'peer') throw fault('not_found');
  };
  await loader.load(requestOf({ peerEndpoints: ['http://a', 'http://b'] }), fresh());
  t.deepEqual(plane.asked, ['http://a', 'http://b', 'ufs']);
});

test('segment loader: who waits for peers leaves the under store alone when one is away', async (t) => {
  const { loader, plane } = parts();
  plane.before = (source) => {
    if (source.kind === 'peer') {
      throw fault(source.endpoint === 'http://a' ? 'peer_unreachable' : 'not_found');
    }
  };
  const request = requestOf({ peerEndpoints: ['http://a', 'http://b'], waitForPeers: true });
  const error = await t.throwsAsync(loader.load(request, fresh()), { instanceOf: RingloadError });
  t.is(error.code, 'peer_unreachable');
  t.deepEqual(plane.asked, ['http://a', 'http://b']);
  await loader.load(requestOf({ peerEndpoints: ['http://b'], waitForPeers: true }), fresh());
  t.is(plane.asked.at(-1), 'ufs', 'a peer that says that it has nothing is no reason to wait');
});

test('segment loader: who may use the under store is not bound by one who may not', async (t) => {
  const { loader, plane } = parts();
  const gate = new Gate();
  plane.before = async (source) => {
    if (source.kind === 'ufs') return;
    await gate.opened;
    throw fault('not_found');
  };
  const peersOnly = loader.load(
    requestOf({ peerEndpoints: ['http://a'], allowUfs: false }),
    fresh(),
  );
  await settle();
  const any = loader.load(requestOf(), fresh());
  await settle();
  gate.open();
  const error = await t.throwsAsync(peersOnly, { instanceOf: RingloadError });
  t.is(error.code, 'not_found');
  t.true((await any).filled);
  t.deepEqual(plane.asked, ['http://a', 'ufs']);
});

test('segment loader: a shared failure reaches everyone as what it is', async (t) => {
  const { loader, plane } = parts();
  const gate = new Gate();
  plane.before = async () => {
    await gate.opened;
    throw fault('ufs_changed');
  };
  const loads = [1, 2].map(() => loader.load(requestOf(), fresh()));
  await settle();
  gate.open();
  for (const load of loads) {
    const error = await t.throwsAsync(load, { instanceOf: RingloadError });
    t.is(error.code, 'ufs_changed');
  }
  t.deepEqual(plane.asked, ['ufs']);
});

test('segment loader: bytes of failed fills are metered, also when the commit fails', async (t) => {
  const { loader, plane, meter, meters, store } = parts();
  plane.before = () => {
    throw fault('ufs_unavailable');
  };
  await t.throwsAsync(loader.load(requestOf({ meter }), fresh()));
  plane.before = () => undefined;
  const reserve = store.reserve.bind(store);
  store.reserve = async (...args) => ({
    ...(await reserve(...args)),
    commit: () => Promise.reject(fault('cache_io')),
  });
  await t.throwsAsync(loader.load(requestOf({ meter }), fresh()));
  t.deepEqual(meters, ['ufs 3', 'ufs 8']);
});

test('segment loader: trouble of our own disk asks no other source', async (t) => {
  const { loader, plane } = parts();
  plane.before = () => {
    throw fault('cache_io');
  };
  await t.throwsAsync(loader.load(requestOf({ peerEndpoints: ['http://a'] }), fresh()));
  t.deepEqual(plane.asked, ['http://a']);
});

test('segment loader: one who leaves does not take the others along', async (t) => {
  const { loader, plane, store } = parts();
  const gate = new Gate();
  plane.before = () => gate.opened;
  const impatient = new AbortController();
  const left = loader.load(requestOf(), impatient.signal);
  const stays = loader.load(requestOf(), fresh());
  await settle();
  impatient.abort(fault('cancelled'));
  await t.throwsAsync(left);
  gate.open();
  t.true((await stays).filled);
  t.is(store.usage().segmentCount, 1);
});

test('segment loader: when all have left the fill ends and its space is free again', async (t) => {
  const { loader, plane, store } = parts();
  let aborted = false;
  plane.before = (_source, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(fault('cancelled'));
      });
    });
  const leaver = new AbortController();
  const left = loader.load(requestOf(), leaver.signal);
  await settle();
  leaver.abort(fault('cancelled'));
  await t.throwsAsync(left);
  await settle();
  t.true(aborted);
  t.is(store.usage().usedBytes, 0);
});

test('segment loader: a fill that everyone left while it waited for room asks no source', async (t) => {
  const { loader, plane, store } = parts();
  const gate = new Gate();
  const reserve = store.reserve.bind(store);
  store.reserve = async (...wanted) => {
    await gate.opened;
    return reserve(...wanted);
  };
  const leaver = new AbortController();
  const request = requestOf({ peerEndpoints: ['http://a'] });
  const left = loader.load(request, leaver.signal);
  await settle();
  leaver.abort(fault('cancelled'));
  await t.throwsAsync(left);
  gate.open();
  await settle();
  t.deepEqual(plane.asked, []);
  t.is(store.usage().usedBytes, 0);
});

test('segment loader: a reload fetches what others loaded, not what this job did', async (t) => {
  const { loader, plane } = parts();
  await loader.load(requestOf({ job: jobId('before') }), fresh());
  const reload = requestOf({ job: jobId('now'), reload: true });
  t.true((await loader.load(reload, fresh())).filled);
  t.false((await loader.load(reload, fresh())).filled);
  t.is(plane.asked.length, 2);
});

test('segment loader: a deep check drops a damaged copy and loads it again', async (t) => {
  const { loader, plane, store } = parts();
  await loader.load(requestOf(), fresh());
  t.false((await loader.load(requestOf({ deepVerify: true }), fresh())).filled);
  store.corrupt(keyOf(), 0);
  t.true((await loader.load(requestOf({ deepVerify: true }), fresh())).filled);
  t.is(plane.asked.length, 2);
});

function segment(index: number, changes: Parameters<typeof requestOf>[0] = {}) {
  return requestOf({ key: keyOf('s3://b/a', index), peerEndpoints: ['http://mute'], ...changes });
}

test('segment loader: a mute peer costs one wait, not one for each segment', async (t) => {
  const { clock, loader, plane } = parts();
  plane.before = ({ kind }) => {
    if (kind === 'peer') throw fault('deadline_exceeded');
  };
  for (const index of [0, 1, 2]) await loader.load(segment(index), fresh());
  t.deepEqual(plane.asked, ['http://mute', 'ufs', 'ufs', 'ufs']);
  // Who must not use the under store hears at once that the peer was not reached.
  const patient = loader.load(segment(3, { waitForPeers: true }), fresh());
  t.is((await t.throwsAsync(patient, { instanceOf: RingloadError })).code, 'deadline_exceeded');
  const other = segment(3, { peerEndpoints: ['http://mute', 'http://b'], waitForPeers: true });
  plane.before = () => undefined;
  t.true((await loader.load(other, fresh())).filled);
  t.is(plane.asked.at(-1), 'http://b', 'the next source is asked in place of the mute one');
  clock.advance(10 * WAIT_MS);
  await loader.load(segment(4), fresh());
  await loader.load(segment(5), fresh());
  t.deepEqual(plane.asked.slice(-2), ['http://mute', 'http://mute'], 'it has answered by now');
});

test('segment loader: one at a time finds out whether a mute peer is back', async (t) => {
  const { clock, loader, plane } = parts();
  const gate = new Gate();
  plane.before = async ({ kind }) => {
    if (kind !== 'peer') return;
    if (plane.asked.filter((name) => name !== 'ufs').length > 1) await gate.opened;
    throw fault('deadline_exceeded');
  };
  await loader.load(segment(0), fresh());
  clock.advance(10 * WAIT_MS);
  const scout = loader.load(segment(1), fresh());
  await settle();
  await loader.load(segment(2), fresh());
  t.deepEqual(plane.asked, ['http://mute', 'ufs', 'http://mute', 'ufs']);
  gate.open();
  await scout;
  await loader.load(segment(3), fresh());
  t.deepEqual(plane.asked.slice(4), ['ufs', 'ufs'], 'it is still mute');
});

test('segment loader: only a wait in vain makes a peer mute', async (t) => {
  const { loader, plane } = parts();
  const codes = ['not_found', 'peer_unreachable', 'segment_corrupt', 'overloaded'] as const;
  for (const [index, code] of codes.entries()) {
    plane.before = ({ kind }) => {
      if (kind === 'peer') throw fault(code);
    };
    await loader.load(segment(index), fresh());
  }
  t.is(plane.asked.filter((name) => name === 'http://mute').length, codes.length);
  // The time of who asks may be up before that of the peer.
  const controller = new AbortController();
  plane.before = () => {
    controller.abort(fault('deadline_exceeded'));
    throw fault('deadline_exceeded');
  };
  await t.throwsAsync(loader.load(segment(8), controller.signal));
  plane.before = () => undefined;
  await loader.load(segment(9), fresh());
  t.is(plane.asked.at(-1), 'http://mute');
});

test('segment loader: a reader that joins what a job has begun makes it urgent, until it ends', async (t) => {
  const { store, plane } = parts();
  const demands = new DemandCount();
  const loader = new SegmentLoader({
    ...{ store, plane, mutes: newMutes(), logger: silentLogger, demands },
  });
  const gate = new Gate();
  let urgency: Urgency | undefined;
  const fill = plane.fill.bind(plane);
  plane.fill = async (command, signal) => {
    ({ urgency } = command);
    await gate.opened;
    return fill(command, signal);
  };
  const { key } = requestOf();
  t.false(loader.isLoading(key));
  const prefetch = loader.load(requestOf({ job: jobId('j') }), fresh());
  await settle();
  t.true(loader.isLoading(key));
  t.deepEqual([urgency?.isUrgent, demands.value], [false, 0]);
  const another = loader.load(requestOf({ job: jobId('k') }), fresh());
  await settle();
  t.deepEqual([urgency?.isUrgent, demands.value], [false, 0], 'another job is in no hurry');
  const repair = loader.load(requestOf({ isRepair: true }), fresh());
  await settle();
  t.deepEqual([urgency?.isUrgent, demands.value], [false, 0], 'nor is repair');
  const reader = loader.load(requestOf(), fresh());
  await settle();
  t.deepEqual([urgency?.isUrgent, demands.value], [true, 1]);
  gate.open();
  t.deepEqual(
    (await Promise.all([prefetch, another, repair, reader])).map(({ own }) => own),
    [true, false, false, false],
  );
  t.deepEqual([loader.isLoading(key), demands.value], [false, 0]);
  await loader.load(requestOf({ key: keyOf('s3://b/b') }), fresh());
  t.deepEqual([urgency?.isUrgent, demands.value], [true, 0]);
});
