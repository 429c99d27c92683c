import test from 'ava';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import { ManualClock } from '../../../src/base/clock.ts';
import { WRITE_STALL_MAX_MS } from '../../../src/http/stream-body.ts';
import { eventually, TestServer, type FakeFile } from '../fake-services.ts';

const PATH = 's3://b/f';

function withFile(server: TestServer, file: Partial<FakeFile> = {}): string {
  server.services.files.files.set(PATH, { bytes: Buffer.from('0123456789'), ...file });
  return `${server.url}/v1/files/content?path=${PATH}`;
}

const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(url, { method, headers });

test('content: a whole file with its headers', async (t) => {
  await using server = await TestServer.start();
  const answer = await get(withFile(server));
  t.is(answer.status, 200);
  t.is(await answer.text(), '0123456789');
  t.like(Object.fromEntries(answer.headers), {
    'content-length': '10',
    'content-type': 'application/octet-stream',
    etag: '"etag-1"',
    'last-modified': 'Tue, 14 Nov 2023 22:13:20 GMT',
    'accept-ranges': 'bytes',
  });
  t.false(answer.headers.has('transfer-encoding'));
});

test('content: ranges, whether the service cuts them or refuses what it cannot give', async (t) => {
  await using server = await TestServer.start();
  const url = withFile(server);
  for (const strict of [false, true]) {
    server.services.files.strict = strict;
    for (const [range, status, body, contentRange] of [
      ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
      ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
      ['bytes=8-', 206, '89', 'bytes 8-9/10'],
      ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
      ['bytes=-3', 206, '789', 'bytes 7-9/10'],
      ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
      ['bytes=0--2', 200, '0123456789', null],
      ['bytes=0-1,3-4', 200, '0123456789', null],
      ['rows=1-2', 200, '0123456789', null],
    ] as const) {
      const answer = await get(url, { Range: range });
      t.deepEqual(
        [answer.status, await answer.text(), answer.headers.get('content-range')],
        [status, body, contentRange],
        range,
      );
      t.is(answer.headers.get('content-length'), String(body.length));
    }
    for (const range of ['bytes=10-', 'bytes=10-12', 'bytes=-0', `bytes=${'9'.repeat(30)}-`]) {
      const answer = await get(url, { Range: range });
      t.is(answer.status, 416, range);
      t.is(answer.headers.get('content-range'), 'bytes */10');
      t.is(answer.headers.get('etag'), null);
      t.like(await answer.json(), { code: 'range_not_satisfiable' });
    }
  }
});

test('content: a plain range costs one look-up', async (t) => {
  await using server = await TestServer.start();
  const url = withFile(server);
  await (await get(url, { Range: 'bytes=2-4' })).arrayBuffer();
  await (await get(url)).arrayBuffer();
  t.deepEqual(server.services.files.calls, [`read ${PATH}`, `read ${PATH}`]);
});

test('content: an empty file is an answer, a range of it is not', async (t) => {
  await using server = await TestServer.start();
  const url = withFile(server, { bytes: Buffer.alloc(0) });
  const answer = await get(url);
  t.deepEqual([answer.status, answer.headers.get('content-length')], [200, '0']);
  t.is(await answer.text(), '');
  const range = await get(url, { Range: 'bytes=0-' });
  t.deepEqual([range.status, range.headers.get('content-range')], [416, 'bytes */0']);
});

test('content: HEAD has the headers and no body, and opens nothing', async (t) => {
  await using server = await TestServer.start();
  const url = withFile(server);
  const answer = await get(url, { Range: 'bytes=2-4' }, 'HEAD');
  t.is(answer.status, 200);
  t.is(answer.headers.get('content-length'), '10');
  t.is(answer.headers.get('etag'), '"etag-1"');
  t.deepEqual(server.services.files.calls, [`stat ${PATH}`]);
  const missing = await get(`${server.url}/v1/files/content?path=s3://b/none`, {}, 'HEAD');
  t.is(missing.status, 404);
});

test('content: preconditions decide before bytes flow', async (t) => {
  await using server = await TestServer.start();
  const url = withFile(server);
  const notModified = await get(url, { 'If-None-Match': '"etag-1"' });
  t.deepEqual([notModified.status, notModified.headers.get('etag')], [304, '"etag-1"']);
  t.is((await get(url, { 'If-None-Match': '"etag-1"' }, 'HEAD')).status, 304);
  t.is((await get(url, { 'If-Match': '"other"' })).status, 412);
  t.is(server.services.files.calls.filter((call) => call.startsWith('read')).length, 0);
  const matched = await get(url, { 'If-Match': '"etag-1"', Range: 'bytes=0-1' });
  t.deepEqual([matched.status, await matched.text()], [206, '01']);
  const stale = await get(url, { 'If-Range': '"other"', Range: 'bytes=0-1' });
  t.deepEqual([stale.status, await stale.text()], [200, '0123456789']);
});

test('content: a file that changes between stat and read is served as one version', async (t) => {
  await using server = await TestServer.start();
  const url = withFile(server);
  const { files } = server.services;
  files.afterStat = () => {
    files.afterStat = () => undefined;
    files.files.set(PATH, { bytes: Buffer.from('abcdef'), version: 'two' });
  };
  const answer = await get(url, { Range: 'bytes=-2' });
  t.deepEqual(
    [answer.status, await answer.text(), answer.headers.get('etag')],
    [206, 'ef', '"two"'],
  );
  let version = 0;
  files.afterStat = () => {
    files.files.set(PATH, { bytes: Buffer.from('abcdef'), version: `v${version++}` });
  };
  const restless = await get(url, { Range: 'bytes=-2' });
  t.is(restless.status, 409);
  t.like(await restless.json(), { code: 'ufs_changed' });
  t.is(files.openCount, 0);
});

test('content: a source that fails at once is a problem', async (t) => {
  await using server = await TestServer.start();
  const answer = await get(withFile(server, { failAfterBytes: 0 }));
  t.is(answer.status, 502);
  t.is(answer.headers.get('etag'), null);
  t.is(answer.headers.get('content-type'), 'application/problem+json');
  t.like(await answer.json(), { code: 'ufs_unavailable' });
});

for (const failAfterBytes of [1000, 9000]) {
  test(`content: a source that fails after ${failAfterBytes} of 10000 bytes cuts the connection`, async (t) => {
    await using server = await TestServer.start();
    const url = withFile(server, { bytes: Buffer.alloc(10_000), failAfterBytes });
    const answer = await get(url);
    t.is(answer.status, 200);
    await t.throwsAsync(answer.arrayBuffer());
    t.is(server.services.files.openCount, 0);
  });
}

test('content: a source of another length than promised never looks whole', async (t) => {
  for (const yielded of [[5], [5, 4], [11], [10, 1], [10, 'throw']] as const) {
    await using server = await TestServer.start();
    const url = withFile(server);
    const { files } = server.services;
    const read = files.read.bind(files);
    files.read = async (path) => ({
      ...(await read(path)),
      body: (async function* () {
        for (const step of yielded) {
          await Promise.resolve();
          if (step === 'throw') throw new Error('checksum of the end failed');
          yield Buffer.alloc(step);
        }
      })(),
    });
    const outcome = await get(url).then(async (answer) =>
      answer.ok
        ? await answer.arrayBuffer().then(
            () => 'whole',
            () => 'cut',
          )
        : 'refused',
    );
    t.not(outcome, 'whole', String(yielded));
  }
});

test('content: a client that leaves closes the source', async (t) => {
  await using server = await TestServer.start();
  let release: () => void = () => undefined;
  const gate = (): Promise<void> => new Promise((resolve) => (release = resolve));
  withFile(server, { bytes: Buffer.alloc(10_000), gate });
  const { files } = server.services;
  const client = request(`${server.url}/v1/files/content?path=${PATH}`);
  client.on('error', () => undefined).end();
  await new Promise<void>((resolve) => {
    client.on('response', (answer) => {
      answer.on('error', () => undefined);
      answer.once('data', () => {
        client.destroy();
        resolve();
      });
    });
  });
  t.is(files.openCount, 1);
  // The source hangs in a wait of its own: it is closed as soon as that ends.
  await eventually('the source is closed', () => {
    release();
    return files.openCount === 0;
  });
});

test('content: a slow client holds the source back', async (t) => {
  await using server = await TestServer.start();
  const bytes = Buffer.alloc(64 * 1024 * 1024, 7);
  let givenCount = 0;
  withFile(server, {
    bytes,
    gate: () => {
      givenCount++;
      return Promise.resolve();
    },
  });
  const chunkSizeBytes = 256 * 1024;
  server.services.files.chunkSizeBytes = chunkSizeBytes;
  const socket = connect(server.port, '127.0.0.1');
  socket.pause();
  socket.write(
    `GET /v1/files/content?path=${PATH} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
  );
  // Standing still: the same count over many turns of the event loop.
  let seen = -1;
  let turns = 0;
  await eventually('the source stands still', () => {
    turns = seen === givenCount && givenCount > 0 ? turns + 1 : 0;
    seen = givenCount;
    return turns > 2000;
  });
  t.true(givenCount * chunkSizeBytes < bytes.length, `${givenCount} chunks were taken`);
  const hash = createHash('sha256');
  let received = Buffer.alloc(0);
  let bodyBytes = 0;
  socket.on('data', (chunk: Buffer) => {
    if (bodyBytes > 0) {
      bodyBytes += chunk.length;
      hash.update(chunk);
      return;
    }
    received = Buffer.concat([received, chunk]);
    const split = received.indexOf('\r\n\r\n');
    if (split === -1) return;
    bodyBytes = received.length - split - 4;
    hash.update(received.subarray(split + 4));
  });
  socket.resume();
  await new Promise((resolve) => socket.on('close', resolve));
  t.is(bodyBytes, bytes.length);
  t.is(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
});

test('content: a client that stops reading is cut off in the end', async (t) => {
  const clock = new ManualClock();
  let timerCount = 0;
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (delayMs, callback) => {
    timerCount++;
    return setTimer(delayMs, callback);
  };
  await using server = await TestServer.start({ clock });
  withFile(server, { bytes: Buffer.alloc(64 * 1024 * 1024) });
  server.services.files.chunkSizeBytes = 1024 * 1024;
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => undefined).pause();
  socket.write(`GET /v1/files/content?path=${PATH} HTTP/1.1\r\nHost: h\r\n\r\n`);
  let seen = -1;
  let turns = 0;
  await eventually('the client stalls', () => {
    turns = seen === timerCount && timerCount > 0 ? turns + 1 : 0;
    seen = timerCount;
    return turns > 2000;
  });
  clock.advance(WRITE_STALL_MAX_MS - 1);
  t.is(server.services.files.openCount, 1);
  clock.advance(1);
  await eventually('the source is closed', () => server.services.files.openCount === 0);
  socket.destroy();
});
