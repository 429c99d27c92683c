/**
 * Sends reads to one S3 endpoint and everything else to another, so that a suite which makes its
 * own buckets can be run against an endpoint that only reads. Host and target are passed on as they
 * are: both sides verify the signature that the client made for this address.
 */
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface S3Router extends AsyncDisposable {
  readonly port: number;
  /** Requests that went to the reading side. */
  readonly readCount: number;
}

/** Parameters of plain reads; any other names a sub-resource. */
const READS =
  /^(?:X-Amz-[A-Za-z-]+|x-id|response-[a-z-]+|partNumber|location|list-type|prefix|delimiter|marker|max-keys|start-after|continuation-token|encoding-type|fetch-owner|allow-unordered)$/i;

export async function startS3Router(reads: string, writes: string): Promise<S3Router> {
  let readCount = 0;
  const server = createServer((incoming, outgoing) => {
    const isRead = isPlainRead(incoming);
    if (isRead) readCount++;
    passOn(incoming, outgoing, new URL(isRead ? reads : writes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get readCount() {
      return readCount;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Buckets are listed by who makes them: the reading side has more than the suite knows. */
function isPlainRead({ method, url = '/' }: IncomingMessage): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false;
  const [path = '/', query = ''] = url.split('?', 2);
  if (path === '/') return false;
  const names = query.split('&').map((pair) => pair.split('=', 1)[0] ?? '');
  return names.every((name) => name === '' || READS.test(name));
}

function passOn(incoming: IncomingMessage, outgoing: ServerResponse, to: URL): void {
  const { method, url, rawHeaders } = incoming;
  const { hostname, port } = to;
  const passed = request({ hostname, port, method, path: url, headers: rawHeaders, agent: false });
  passed.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    answer.pipe(outgoing);
  });
  passed.on('error', () => outgoing.destroy());
  incoming.pipe(passed);
}
