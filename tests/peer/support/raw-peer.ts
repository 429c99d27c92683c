/** A caller that knows the handshake but none of the manners: for broken and hostile peers. */
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { WebSocket } from 'ws';
import { askHeaders, PEER_PATH, SUBPROTOCOL } from '../../../src/peer/handshake.ts';
import type { Asked } from '../../../src/peer/handshake.ts';
import type { Hello } from '../../../src/peer/wire.ts';
import { CLUSTER, idOf } from './world.ts';

export function helloOf(name: string, changes: Partial<Hello> = {}): Hello {
  return {
    id: idOf(name),
    generation: 1,
    instance: `instance-of-${name}`,
    dialNumber: 1,
    purpose: 'link',
    clusterId: CLUSTER,
    targetId: undefined,
    ...changes,
  };
}

/** An open WebSocket that the called peer takes for the link of `name`; no secret configured. */
export async function openRawLink(address: string, name: string): Promise<WebSocket> {
  const asked: Asked = { hello: helloOf(name), nonce: 'a-nonce', answer: undefined };
  const socket = new WebSocket(`ws://${address}${PEER_PATH}`, [SUBPROTOCOL], {
    headers: askHeaders(asked),
    perMessageDeflate: false,
  });
  socket.on('error', () => undefined);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  // As every dialler does: until then the called peer does not count the link.
  socket.send('{"kind":"ping","sequence":1}');
  await new Promise((resolve) => socket.once('message', resolve));
  return socket;
}

export interface UpgradeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** One upgrade request with exactly these headers; a socket that is won is dropped. */
export function askUpgrade(
  address: string,
  headers: Readonly<Record<string, string>>,
  path: string = PEER_PATH,
): Promise<UpgradeAnswer> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host,
      port: Number(port),
      path,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        'sec-websocket-protocol': SUBPROTOCOL,
        ...headers,
      },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, headers: response.headers });
    });
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: response.headers });
    });
    request.end();
  });
}
