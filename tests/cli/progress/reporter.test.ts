import test from 'ava';
import { PLAIN_INTERVAL_MS, ProgressReporter } from '../../../src/cli/progress/reporter.ts';
import { type JobStatus, ZERO_COUNTERS } from '../../../src/job/job-status.ts';
import { specOf, statusOf } from '../support/world.ts';

const MIB = 1024 * 1024;

class Sink {
  readonly lines: string[] = [];
  readonly drawn: string[] = [];
  readonly isInteractive: boolean;
  readonly colorAllowed = false;
  stderrColumns = 80;

  constructor(isInteractive: boolean) {
    this.isInteractive = isInteractive;
  }

  message(text: string): void {
    this.lines.push(text);
  }

  draw(text: string): void {
    this.drawn.push(text);
  }
}

function loaded(mib: number, overrides: Partial<JobStatus> = {}): JobStatus {
  return statusOf(1, 's3://b/p', {
    listingDone: true,
    counters: {
      ...ZERO_COUNTERS,
      listedFiles: 100,
      loadedFiles: mib,
      listedBytes: 100 * MIB,
      loadedBytes: mib * MIB,
    },
    ...overrides,
  });
}

test('reporter: without a screen a line every ten seconds, and at once when the state changes', (t) => {
  const sink = new Sink(false);
  const reporter = new ProgressReporter(sink);
  for (let second = 0; second <= 20; second++) reporter.update(loaded(second), second * 1000);
  reporter.update(loaded(20, { state: 'VERIFYING' }), 20_500);
  t.deepEqual(sink.lines, [
    'RUNNING 0%, 0 B/100 MiB, 0/100 files, ETA -',
    'RUNNING 10%, 10.0 MiB/100 MiB, 10/100 files, 1.00 MiB/s, ETA 1m30s',
    'RUNNING 20%, 20.0 MiB/100 MiB, 20/100 files, 1.00 MiB/s, ETA 1m20s',
    'VERIFYING 20%, 20.0 MiB/100 MiB, 20/100 files, 975 KiB/s, ETA 1m24s',
  ]);
  t.deepEqual(sink.drawn, []);
  t.is(PLAIN_INTERVAL_MS, 10_000);
});

test('reporter: on a screen one line is rewritten, and cleared before a message', (t) => {
  const sink = new Sink(true);
  const reporter = new ProgressReporter(sink);
  reporter.update(loaded(10), 0);
  sink.stderrColumns = 30;
  reporter.update(loaded(20), 1000);
  reporter.interject('hello');
  reporter.clear();
  t.deepEqual(sink.drawn, [
    '\r\u001b[KRUNNING [==>                       ] 10%  10.0 MiB/100 MiB  10/100 files  ETA -',
    '\r\u001b[KRUNNING 20%  20.0 MiB/100 MiB',
    '\r\u001b[K',
  ]);
  t.deepEqual(sink.lines, ['hello']);
});

test('reporter: counters that fall back to a checkpoint give no negative and no inflated rate', (t) => {
  const sink = new Sink(false);
  const reporter = new ProgressReporter(sink);
  reporter.update(loaded(50), 0);
  reporter.update(loaded(60), 10_000);
  reporter.update(loaded(40), 20_000);
  reporter.update(loaded(42), 30_000);
  t.deepEqual(
    sink.lines.map((line) => /[\d.]+ \w+\/s/.exec(line)?.[0]),
    [undefined, '1.00 MiB/s', undefined, '205 KiB/s'],
  );
});

test('reporter: while nobody answers the last figures stay, with a note', (t) => {
  const sink = new Sink(true);
  const reporter = new ProgressReporter(sink);
  reporter.outage('waiting for the cluster', 0);
  t.deepEqual(sink.drawn, []);
  reporter.update(loaded(10), 0);
  reporter.outage('waiting for the cluster', 1000);
  t.regex(sink.drawn.at(-1) ?? '', /10%.*waiting for the cluster$/);
});

test('reporter: metadata-only loads and empty jobs are counted in files, never NaN', (t) => {
  const sink = new Sink(false);
  const reporter = new ProgressReporter(sink);
  const spec = specOf('s3://b/p', { metadataOnly: true });
  reporter.update(loaded(0, { spec }), 0);
  reporter.update(loaded(50, { spec, state: 'VERIFYING' }), 1000);
  reporter.update(loaded(0, { counters: ZERO_COUNTERS }), 2000);
  reporter.update(loaded(0, { counters: ZERO_COUNTERS, state: 'SUCCEEDED' }), 3000);
  t.deepEqual(sink.lines, [
    'RUNNING 0%, 0 B/100 MiB, 0/100 files, ETA -',
    'VERIFYING 50%, 50.0 MiB/100 MiB, 50/100 files, 50 files/s, ETA 1s',
    'RUNNING 0%, 0 B/0 B, 0/0 files, ETA -',
    'SUCCEEDED 100%, 0 B/0 B, 0/0 files, 0 B/s',
  ]);
});

test('reporter: 100% is shown only for a job that succeeded', (t) => {
  const sink = new Sink(false);
  const reporter = new ProgressReporter(sink);
  reporter.update(loaded(100), 0);
  reporter.update(loaded(100, { state: 'FAILED' }), 1);
  reporter.update(loaded(100, { state: 'SUCCEEDED' }), 2);
  t.deepEqual(
    sink.lines.map((line) => /\d+%/.exec(line)?.[0]),
    ['99%', '99%', '100%'],
  );
});
