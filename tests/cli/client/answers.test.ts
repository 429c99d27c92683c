import test from 'ava';
import { clusterView, filePage, jobStatus } from '../../../src/cli/client/answers.ts';
import { statusOf } from '../support/world.ts';

type Json = Record<string, unknown>;

test('jobStatus: accepts what a peer sends, also fields of a newer version', (t) => {
  const value = { ...statusOf(1, 's3://b/p'), invented: { later: true } };
  t.is(jobStatus(value, ''), value as never);
});

test('jobStatus: every required field that is missing or of another type is named', (t) => {
  const whole = statusOf(1, 's3://b/p') as unknown as Json;
  const optional = new Set(['leaderId']);
  for (const name of Object.keys(whole).filter((key) => !optional.has(key))) {
    const { [name]: _dropped, ...rest } = whole;
    t.throws(() => jobStatus(rest, ''), { message: new RegExp(`^${name}\\b.* is not `) }, name);
    t.throws(() => jobStatus({ ...whole, [name]: null }, ''), { message: /is not/ }, name);
  }
});

test('jobStatus: numbers that are none are refused deep inside', (t) => {
  const status = statusOf(1, 's3://b/p');
  const counters = { ...status.counters, loadedBytes: Number.NaN };
  t.throws(() => jobStatus({ ...status, counters }, ''), {
    message: 'counters.loadedBytes is not a number',
  });
  t.throws(() => jobStatus({ ...status, peers: [{}] }, ''), {
    message: 'peers[0].peerId is not a text',
  });
});

test('answers: lists and choices are checked', (t) => {
  t.throws(() => filePage({ files: {} }, ''), { message: 'files is not a list' });
  t.throws(() => clusterView([], ''), { message: 'the answer is not an object' });
  t.throws(() => jobStatus({ ...statusOf(1, 's3://b/p'), state: 'DONE' }, ''), {
    message: /^state is not one of WAITING, /,
  });
});
