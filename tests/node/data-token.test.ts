import test from 'ava';
import { clusterId } from '../../src/base/ids.ts';
import { dataToken } from '../../src/node/data-token.ts';

const [one, other] = ['1', '2'].map((end) =>
  clusterId(`c0000000-0000-4000-8000-00000000000${end}`),
);

test('data token: is the same on every peer, and another for another secret or cluster', (t) => {
  const token = dataToken('a long secret', one ?? clusterId(''));
  // Pinned: peers of different versions have to agree on it.
  t.is(token, dataToken('a long secret', clusterId('c0000000-0000-4000-8000-000000000001')));
  t.not(token, dataToken('another secret', one ?? clusterId('')));
  t.not(token, dataToken('a long secret', other ?? clusterId('')));
  t.regex(token, /^[\w-]{43}$/);
  t.false(token.includes('secret'));
});
