import test from 'ava';
import { renderBar } from '../../../src/cli/progress/bar.ts';
import type { ProgressView } from '../../../src/cli/progress/view.ts';

const VIEW: ProgressView = {
  state: 'RUNNING',
  fraction: 0.565,
  bytes: '70.6 MiB/125 MiB',
  files: '565/1,000 files',
  rate: '25.3 MiB/s',
  eta: 'ETA 2s',
  peers: '3 peers',
  failed: '',
  note: '',
};

const plain = (view: ProgressView, columns: number, frame = 0): string =>
  renderBar(view, { columns, color: false, frame });

test('bar: shows everything where there is room', (t) => {
  t.is(
    plain(VIEW, 140),
    'RUNNING [================>             ] 56%  70.6 MiB/125 MiB  565/1,000 files  25.3 MiB/s  ETA 2s  3 peers',
  );
});

test('bar: leaves out what matters least as the screen gets narrow', (t) => {
  t.deepEqual(
    [100, 80, 60, 45, 30, 12, 8, 1].map((columns) => plain(VIEW, columns)),
    [
      'RUNNING [===========>         ] 56%  70.6 MiB/125 MiB  565/1,000 files  25.3 MiB/s  ETA 2s  3 peers',
      'RUNNING 56%  70.6 MiB/125 MiB  565/1,000 files  25.3 MiB/s  ETA 2s  3 peers',
      'RUNNING 56%  70.6 MiB/125 MiB  25.3 MiB/s  ETA 2s',
      'RUNNING 56%  70.6 MiB/125 MiB  25.3 MiB/s',
      'RUNNING 56%  70.6 MiB/125 MiB',
      'RUNNING 56%',
      'RUNNING',
      'R',
    ],
  );
});

test('bar: never reaches the last column, at any width and fill', (t) => {
  for (let columns = 1; columns <= 200; columns++) {
    for (const fraction of [undefined, 0, 0.005, 0.5, 0.99, 1]) {
      const view = { ...VIEW, fraction, failed: '7 failed', note: 'waiting for the cluster' };
      const line = plain(view, columns, columns);
      t.true(line.length < Math.max(2, columns), `${columns}: ${line}`);
      t.notRegex(line, /undefined|NaN|Infinity/);
    }
  }
});

test('bar: is full only at 100%', (t) => {
  const barOf = (fraction: number): string | undefined =>
    /\[(.*)\]/.exec(plain({ ...VIEW, fraction }, 140))?.[1];
  t.is(barOf(0), `>${' '.repeat(29)}`);
  t.is(barOf(0.99), `${'='.repeat(29)}>`);
  t.is(barOf(1), '='.repeat(30));
});

test('bar: without a total a mark moves to and fro', (t) => {
  const view = { ...VIEW, fraction: undefined };
  const marks = Array.from({ length: 60 }, (_, frame) => plain(view, 140, frame).indexOf('<=>'));
  t.is(Math.min(...marks), marks[0] ?? -1);
  t.true(marks.every((at, index) => index === 0 || Math.abs(at - (marks[index - 1] ?? 0)) === 1));
});

test('bar: failures and trouble stay when room gets short', (t) => {
  const line = plain({ ...VIEW, failed: '7 failed', note: 'no leader' }, 60);
  t.is(line, 'RUNNING 56%  70.6 MiB/125 MiB  25.3 MiB/s  no leader');
});

test('bar: colours the state and nothing else', (t) => {
  const line = renderBar(VIEW, { columns: 30, color: true, frame: 0 });
  t.is(line, '\u001b[36mRUNNING\u001b[0m 56%  70.6 MiB/125 MiB');
});
