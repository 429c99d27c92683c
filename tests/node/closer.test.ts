import test from 'ava';
import { Closer } from '../../src/node/closer.ts';
import { RecordingLogger } from './support/fakes.ts';

test('closer: closes in reverse, one after the other, and once', async (t) => {
  const closer = new Closer(new RecordingLogger());
  const trace: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    closer.add(name, async () => {
      trace.push(`close ${name}`);
      await new Promise(setImmediate);
      trace.push(`closed ${name}`);
    });
  }
  await Promise.all([closer.close(), closer.close()]);
  await closer.close();
  t.deepEqual(
    trace,
    ['c', 'b', 'a'].flatMap((name) => [`close ${name}`, `closed ${name}`]),
  );
});

test('closer: a part that fails, in whatever way, does not keep the others open', async (t) => {
  const logger = new RecordingLogger();
  const closer = new Closer(logger);
  const closed: string[] = [];
  closer.add('first', () => void closed.push('first'));
  closer.add('rejects', () => Promise.reject(new Error('busy')));
  closer.add('throws', () => {
    throw new Error('broken');
  });
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what if
  closer.add('rejects with nothing', () => Promise.reject(undefined));
  closer.add('last', () => void closed.push('last'));
  await closer.close();
  t.deepEqual(closed, ['last', 'first']);
  t.deepEqual(
    logger.lines.map(({ fields }) => [fields?.['part'], fields?.['reason']]),
    [
      ['rejects with nothing', 'undefined'],
      ['throws', 'broken'],
      ['rejects', 'busy'],
    ],
  );
});

test('closer: a part that hangs is given up after its deadline', async (t) => {
  t.timeout(30_000);
  const logger = new RecordingLogger();
  const closer = new Closer(logger);
  const closed: string[] = [];
  closer.add('first', () => void closed.push('first'));
  closer.add('hangs', () => new Promise(() => undefined));
  await closer.close();
  t.deepEqual(closed, ['first']);
  t.is(logger.lines[0]?.fields?.['part'], 'hangs');
});
