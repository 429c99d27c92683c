import test from 'ava';
import { jobId } from '../../src/base/ids.ts';
import { placesOf, queueOf } from '../../src/job/queue.ts';
import { World } from '../cluster/support.ts';

test('queue: who ran before keeps its place, then priority decides, then age', (t) => {
  const w = new World().found('p1');
  w.value(w.submit('low', 's3://b/1', { priority: 'low' }));
  w.value(w.submit('first', 's3://b/2'));
  w.value(w.submit('second', 's3://b/3', { priority: 'medium' }));
  w.value(w.submit('high', 's3://b/4', { priority: 'high' }));
  w.value(w.submit('running', 's3://b/5', { priority: 'low' }));
  w.value(w.checkpoint('running', 1, 1));
  w.value(w.submit('over', 's3://b/6', { priority: 'high' }));
  w.value(w.finish('over', 1, 1, 'SUCCEEDED'));
  const order = ['running', 'high', 'first', 'second', 'low'];
  t.deepEqual(
    queueOf(w.state).map(({ id }) => String(id)),
    order,
  );
  t.deepEqual(
    [...placesOf(w.state, (id) => id === jobId('high'))],
    [
      [jobId('first'), 1],
      [jobId('second'), 2],
      [jobId('low'), 3],
    ],
  );
});
