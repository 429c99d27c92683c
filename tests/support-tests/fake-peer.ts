/**
 * As much of a peer as the launcher needs to be tested without one: it takes the arguments of
 * `serve`, answers `/readyz` and `/v1/cluster` (where the first peer leads), and fetches what
 * `/fetch?url=…&deadline=MS` names, so that a test can see connections between peers.
 */
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'data-dir': { type: 'string' },
    'cache-dir': { type: 'string' },
    'rest-port': { type: 'string' },
    'data-port': { type: 'string' },
    's3-port': { type: 'string' },
    'advertise-host': { type: 'string', default: '127.0.0.1' },
    join: { type: 'string', multiple: true, default: [] },
    mount: { type: 'string', multiple: true },
  },
});
if (positionals[0] !== 'serve') throw new Error(`unexpected command ${positionals.join(' ')}`);

const address = `${values['advertise-host']}:${values['rest-port'] ?? ''}`;
const leader = values.join[0] ?? address;
const failAtStart = process.env['RINGLOAD_FAKE_FAIL'] === 'true';

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://peer');
  const answer = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (url.pathname === '/readyz') answer(200, {});
  else if (url.pathname === '/v1/cluster') {
    answer(200, { leaderId: 'first', members: [{ id: 'first', address: leader }] });
  } else if (url.pathname === '/fetch') {
    const signal = AbortSignal.timeout(Number(url.searchParams.get('deadline')));
    fetch(url.searchParams.get('url') ?? '', { signal })
      .then(async (fetched) => answer(200, { status: fetched.status, body: await fetched.json() }))
      .catch((error: unknown) => answer(502, { error: String(error) }));
  } else answer(404, {});
});

if (failAtStart) {
  console.error('fake peer fails as it was told');
  process.exitCode = 78;
} else {
  server.listen(Number(values['rest-port']), '127.0.0.1', () => {
    console.log(
      `fake peer listens on ${address}, settings ${process.env['RINGLOAD_RAFT_TICK_MS'] ?? 'none'}, profile ${process.env['AWS_PROFILE'] ?? 'none'}`,
    );
  });
  process.once('SIGTERM', () => {
    server.close();
    server.closeAllConnections();
  });
}
