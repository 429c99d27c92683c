import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { createLogger, LOG_LEVELS, type LoggerOptions } from '../../src/obs/logger.ts';

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const log = createLogger({ level: 'debug', format: 'json', destination, ...options });
  const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, parsed };
}

test('logger: a line is one JSON object with level, time, fields and message', (t) => {
  const { log, lines, parsed } = capture({ fields: { peer: 'p1' } });
  log.info('start job', { job: 'j1', count: 3, done: false, missing: undefined });
  t.is(lines.length, 1);
  t.true(lines[0]!.endsWith('}\n'));
  const { ts, ...rest } = parsed()[0]!;
  t.deepEqual(rest, {
    level: 'info',
    peer: 'p1',
    job: 'j1',
    count: 3,
    done: false,
    msg: 'start job',
  });
  t.regex(ts as string, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/);
});

test('logger: each level lets itself and what is more severe through', (t) => {
  for (const [index, level] of LOG_LEVELS.entries()) {
    const { log, parsed } = capture({ level });
    log.debug('d');
    log.info('i');
    log.warn('w');
    log.error('e');
    t.deepEqual(
      parsed().map((line) => line['level']),
      LOG_LEVELS.slice(index, -1),
    );
  }
});

test('logger: the level changes for children too, and unknown ones are refused', (t) => {
  const { log, parsed } = capture({ level: 'warn' });
  const child = log.child({ part: 'raft' });
  child.info('unseen');
  log.setLevel('info');
  child.info('seen');
  t.is(log.level, 'info');
  t.is(parsed().length, 1);
  t.throws(() => log.setLevel('loud'), { instanceOf: RingloadError, message: /'loud', known are/ });
  t.throws(() => capture({ level: 'loud' as 'info' }), { instanceOf: RingloadError });
});

test('logger: children carry the fields of all above them, the nearest wins', (t) => {
  const { log, parsed } = capture({ fields: { peer: 'p', part: 'a' } });
  log.child({ part: 'b', job: 'j' }).child({ job: 'k' }).warn('m', { peer: 'q' });
  t.like(parsed()[0], { peer: 'q', part: 'b', job: 'k' });
});

test('logger: fields cannot take the place of level, time and message', (t) => {
  const { log, parsed } = capture();
  log.error('real', { level: 'x', ts: 'y', msg: 'z' });
  t.like(parsed()[0], { level: 'error', msg: 'real', level_: 'x', ts_: 'y', msg_: 'z' });
});

test('logger: keys with line breaks and quotes stay inside their line', (t) => {
  const path = 's3://b/line\nbreak"\u0000\u{1f600}';
  const { log, lines, parsed } = capture();
  log.info('read', { path });
  t.is(lines[0]!.indexOf('\n'), lines[0]!.length - 1);
  t.is(parsed()[0]!['path'], path);
});

test('logger: plain lines are for people and still one line each', (t) => {
  const { log, lines } = capture({ format: 'plain', fields: { peer: 'p1' } });
  log.warn('slow disk', { path: '/a b\nc', ms: 5, note: '' });
  log.info('bad\nmessage');
  t.regex(lines[0]!, /^\S+Z WARN  slow disk peer=p1 path="\/a b\\nc" ms=5 note=""\n$/);
  t.regex(lines[1]!, /^\S+Z INFO  "bad\\nmessage" peer=p1\n$/);
});

test('logger: secrets reach no line, whatever way they come', (t) => {
  const { log, lines } = capture({
    secrets: ['the-cluster-canary'],
    fields: { apiToken: 'canary' },
  });
  log.info('connect with the-cluster-canary', { error: 'got the-cluster-canary back' });
  log.child({ Authorization: 'Bearer canary' }).warn('request', { sessionToken: 'canary' });
  log.error('failed https://h/b?X-Amz-Signature=canary&X-Amz-Credential=canary&x=1', {
    header: 'authorization: Bearer canary',
    aws: 'AWS4-HMAC-SHA256 Credential=canary/2026/s3, SignedHeaders=host, Signature=canary',
    url: 'http://user:canary@host/',
  });
  t.is(lines.length, 3);
  t.false(lines.join('').includes('canary'));
  t.true(lines[2]!.includes('x=1') && lines[2]!.includes('SignedHeaders=host'));
});

test('logger: very long text is cut', (t) => {
  const { log, parsed } = capture();
  log.info('m', { at: 'x'.repeat(4096), over: 'x'.repeat(4097) });
  t.is((parsed()[0]!['at'] as string).length, 4096);
  t.true((parsed()[0]!['over'] as string).endsWith('x... (1 more)'));
});

/** Logs to stderr in a process of its own, which then ends as `ending` says. */
async function stderrOf(ending: string): Promise<{ lines: string[]; code: unknown }> {
  const module = new URL('../../src/obs/logger.js', import.meta.url).href;
  const script = `const { createLogger } = await import(${JSON.stringify(module)});
    const log = createLogger({ level: 'info', format: 'json' });
    for (let n = 0; n < 2000; n++) log.info('line', { n });
    ${ending}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [output, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { lines: output.split('\n').filter((line) => line.startsWith('{')), code };
}

for (const [title, ending, expectedCode] of [
  ['closes the log', 'log.close();', 0],
  ['just ends', '', 0],
  ['exits at once', 'process.exit(3);', 3],
  ['dies of an exception', "throw new Error('boom');", 1],
] as const) {
  test(`logger: all lines are on stderr when the process ${title}`, async (t) => {
    const { lines, code } = await stderrOf(ending);
    t.is(code, expectedCode);
    // In any order: a write that is under way when the process ends may come behind the rest.
    const numbers = lines.map((line) => (JSON.parse(line) as { n: number }).n);
    t.deepEqual(
      numbers.sort((left, right) => left - right),
      Array.from({ length: 2000 }, (_, n) => n),
    );
  });
}
