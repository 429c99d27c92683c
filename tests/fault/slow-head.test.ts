/** Clients that never finish their request: they are told so and let go, at the time that is set. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { sha256 } from '../support/faulty-origin.ts';
import { pathOf } from './expect.ts';
import { openCount } from './limited.ts';
import { SEGMENT_BYTES, Stage } from './stage.ts';
import { StormClient } from './storm.ts';

const HEADERS_TIMEOUT_MS = 800;
const REQUEST_TIMEOUT_MS = 2_500;
/** Far below what Node looks at by itself: every 30 s. */
const PATIENCE_MS = 15_000;

const HEAD = 'GET /livez HTTP/1.1\r\nHost: slow\r\n';
const POST =
  'POST /v1/jobs HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{';

interface SlowRequest {
  readonly title: string;
  /** Sent at once. */
  readonly text: string;
  /** Then one of these every so often. */
  readonly more?: string;
}

const SLOW: readonly SlowRequest[] = [
  { title: 'says nothing', text: '' },
  { title: 'stops in the middle of its head', text: HEAD },
  { title: 'sends its head byte by byte', text: HEAD, more: 'a' },
  { title: 'sends its head line by line', text: HEAD, more: 'A: b\r\n' },
  { title: 'sends its body byte by byte', text: POST, more: ' ' },
];

let stage: Stage;
test.before(async () => {
  stage = await Stage.open({
    peers: 2,
    env: {
      RINGLOAD_HTTP_HEADERS_TIMEOUT_MS: HEADERS_TIMEOUT_MS,
      RINGLOAD_HTTP_REQUEST_TIMEOUT_MS: REQUEST_TIMEOUT_MS,
    },
  });
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

/** What comes until the peer closes the connection; `open` when it does not. */
async function exchange(port: number, { text, more }: SlowRequest): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.write(text);
  const timer = setInterval(() => more !== undefined && socket.write(more), 150);
  const closed = new Promise<void>((resolve) => socket.once('close', resolve));
  const isOpen = await Promise.race([closed, delay(PATIENCE_MS, true)]);
  clearInterval(timer);
  socket.destroy();
  return isOpen === true ? 'open' : answer;
}

test('slow head: who never finishes a request is told 408 and let go, others are not touched', async (t) => {
  const [peer, other] = stage.cluster.peers;
  if (!peer || !other) throw new Error('two peers');
  const data = stage.addFiles({ count: 2, sizeBytes: 128 * SEGMENT_BYTES });
  await (await stage.load(data)).succeeds();
  const [key = ''] = data.keys;
  const linksBefore = linesAboutLinks(peer.logs());
  const before = await openCount(peer);
  const slowReader = StormClient.reading(peer, key);

  const answers = await Promise.all(SLOW.map((slow) => exchange(peer.restPort, slow)));
  for (const [position, { title }] of SLOW.entries()) {
    const answer = answers[position] ?? '';
    t.regex(answer, /^HTTP\/1\.1 408 /, `${title}: ${answer}`);
    t.regex(answer, /application\/problem\+json/, title);
  }
  // Whoever takes its time over an answer has sent its request, and links are no requests.
  await delay(REQUEST_TIMEOUT_MS);
  const body = await slowReader.takeAll(128 * SEGMENT_BYTES);
  t.is(sha256(body), stage.origin.expectedSha256(key));
  t.is(sha256(await peer.api.readFile(pathOf(key))), stage.origin.expectedSha256(key));
  t.deepEqual(linesAboutLinks(peer.logs()), linksBefore, 'a link was taken for a request');
  await stage.cluster.waitFor(
    async () => (await openCount(peer)) <= before + 8,
    'the descriptors to come back',
  );
});

function linesAboutLinks(logs: string): string[] {
  return logs.split('\n').filter((line) => /link (?:opened|closed)/.test(line));
}
