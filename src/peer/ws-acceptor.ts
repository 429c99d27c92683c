/**
 * Takes WebSocket upgrades of other peers. Whoever is turned away gets a plain HTTP answer with a
 * reason and loses the socket; nothing is kept of a caller that has not proved itself.
 */
import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Clock } from '../base/clock.ts';
import type { ClusterId } from '../base/ids.ts';
import { ChallengeBook } from './challenge.ts';
import type { PeerCounters } from './counters.ts';
import {
  challengeHeaders,
  PEER_PATH,
  readAsk,
  REFUSED_HEADER,
  SUBPROTOCOL,
  welcomeHeaders,
} from './handshake.ts';
import type { Asked, HeaderValues } from './handshake.ts';
import type { PeerLimits } from './limits.ts';
import { acceptorProof, diallerProof, findSecret, sessionKeys } from './proof.ts';
import type { Transcript } from './proof.ts';
import { REFUSALS } from './refusal.ts';
import type { RefusalReason } from './refusal.ts';
import { FrameSeal } from './seal.ts';
import type { SocketSet } from './socket-set.ts';
import type { Admission, Hello, RemotePeer } from './wire.ts';
import { WsWire } from './ws-wire.ts';

export interface WsAcceptorOptions {
  readonly self: RemotePeer;
  readonly clusterId: () => ClusterId | undefined;
  readonly secrets: readonly KeyObject[];
  readonly admission: Admission;
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly sockets: SocketSet;
}

/** What a caller has shown: nothing (no secret is configured), or which secret it knows. */
type Proved =
  { readonly secret: undefined } | { readonly secret: KeyObject; readonly transcript: Transcript };

type Judgement =
  | { readonly kind: 'welcome'; readonly asked: Asked; readonly proved: Proved }
  | { readonly kind: 'challenge' }
  | { readonly kind: 'refuse'; readonly reason: RefusalReason; readonly hello?: Hello };

export class WsAcceptor {
  readonly #options: WsAcceptorOptions;
  readonly #challenges: ChallengeBook;
  readonly #webSockets: WebSocketServer;
  /** Headers of the 101 that is being written. */
  readonly #welcomes = new WeakMap<IncomingMessage, HeaderValues>();
  readonly #detach = new Set<() => void>();

  constructor(options: WsAcceptorOptions) {
    this.#options = options;
    this.#challenges = new ChallengeBook({
      key: randomBytes(32),
      clock: options.clock,
      lifeMs: options.limits.challengeMaxMs,
      createNonce: () => randomBytes(24).toString('base64url'),
    });
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.limits.frameMaxBytes,
      autoPong: false,
      handleProtocols: () => SUBPROTOCOL,
    });
    this.#webSockets.on('headers', (lines, request) => {
      const headers = this.#welcomes.get(request) ?? {};
      for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    });
  }

  /** Takes the upgrades of a server; those of other paths are left to its other listeners. */
  attach(server: Server): void {
    const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      if (this.handleUpgrade(request, socket, head)) return;
      // Why: a socket that nobody listens to would stay open for ever.
      if (server.listenerCount('upgrade') === 1) answer(socket, 404, {}, 'no such path');
    };
    server.on('upgrade', onUpgrade);
    this.#detach.add(() => server.off('upgrade', onUpgrade));
  }

  detach(): void {
    for (const detach of this.#detach) detach();
    this.#detach.clear();
  }

  /** False: the path is not ours and the socket was not touched. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (request.url?.split('?', 1)[0] !== PEER_PATH) return false;
    socket.on('error', ignore);
    const judgement = this.#judge(request);
    switch (judgement.kind) {
      case 'welcome':
        this.#welcome(request, socket, head, judgement);
        break;
      case 'challenge':
        this.#challenge(socket);
        break;
      case 'refuse':
        this.#options.admission.refused(judgement.hello, judgement.reason);
        refuse(socket, judgement.reason);
        break;
    }
    return true;
  }

  #judge(request: IncomingMessage): Judgement {
    const { admission } = this.#options;
    if (request.headers.origin !== undefined) return { kind: 'refuse', reason: 'browser_origin' };
    if (!offeredProtocols(request).includes(SUBPROTOCOL)) {
      return { kind: 'refuse', reason: 'protocol_version' };
    }
    const asked = readAsk(request.headers);
    if (!asked) return { kind: 'refuse', reason: 'malformed_handshake' };
    const { hello } = asked;
    const misplaced = admission.screen(hello);
    if (misplaced !== undefined) return { kind: 'refuse', reason: misplaced, hello };
    const proved = this.#authenticate(asked);
    if (proved === undefined) return { kind: 'challenge' };
    if (typeof proved === 'string') return { kind: 'refuse', reason: proved, hello };
    const unwanted = admission.admit(hello);
    if (unwanted !== undefined) return { kind: 'refuse', reason: unwanted, hello };
    return { kind: 'welcome', asked, proved };
  }

  /** Undefined: a challenge has to be answered first. */
  #authenticate({ hello, nonce, answer: answered }: Asked): Proved | RefusalReason | undefined {
    const { secrets, self, clusterId } = this.#options;
    if (secrets.length === 0) return { secret: undefined };
    const cluster = clusterId();
    if (!answered || cluster === undefined) return undefined;
    const { challenge, proofs } = answered;
    const state = this.#challenges.check(challenge);
    if (state !== 'valid') return state === 'used' ? 'replayed' : 'challenge_expired';
    const transcript = { hello, nonce, challenge, acceptorId: self.id, clusterId: cluster };
    const secret = findSecret(secrets, proofs, (key) => diallerProof(key, transcript));
    if (!secret) return 'wrong_secret';
    return this.#challenges.use(challenge) ? { secret, transcript } : 'overloaded';
  }

  #challenge(socket: Duplex): void {
    const { self, clusterId } = this.#options;
    const cluster = clusterId();
    if (cluster === undefined) {
      refuse(socket, 'no_cluster_yet');
      return;
    }
    const challenged = { challenge: this.#challenges.issue(), acceptorId: self.id };
    const headers = {
      'www-authenticate': 'Ringload-HMAC-SHA256',
      ...challengeHeaders({ ...challenged, clusterId: cluster }),
    };
    answer(socket, 401, headers, 'prove that you know the secret of the cluster');
  }

  #welcome(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    { asked, proved }: Judgement & { readonly kind: 'welcome' },
  ): void {
    const { self, clusterId, limits, counters, clock, sockets, admission } = this.#options;
    const cluster = clusterId();
    if (cluster === undefined) {
      refuse(socket, 'no_cluster_yet');
      return;
    }
    const keys = proved.secret && sessionKeys(proved.secret, proved.transcript, self);
    const proof = proved.secret && acceptorProof(proved.secret, proved.transcript, self);
    this.#welcomes.set(request, welcomeHeaders({ remote: self, clusterId: cluster, proof }));
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off('error', ignore);
      sockets.add(webSocket);
      const seal = keys && new FrameSeal({ send: keys.fromAcceptor, receive: keys.fromDialler });
      const wire = new WsWire({ socket: webSocket, seal, limits, counters, clock });
      admission.accept(asked.hello, wire);
    });
  }
}

function offeredProtocols(request: IncomingMessage): readonly string[] {
  const header = request.headers['sec-websocket-protocol'] ?? '';
  return header.split(',').map((name) => name.trim());
}

function refuse(socket: Duplex, reason: RefusalReason): void {
  const { httpStatus, meaning } = REFUSALS[reason];
  answer(socket, httpStatus, { [REFUSED_HEADER]: reason }, meaning);
}

/** A whole HTTP answer with problem details, then the end of the socket. */
function answer(socket: Duplex, status: number, headers: HeaderValues, detail: string): void {
  const title = STATUS_CODES[status] ?? 'Error';
  const body = JSON.stringify({ type: 'about:blank', title, status, detail });
  const lines = [
    `HTTP/1.1 ${status} ${title}`,
    'Connection: close',
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.once('finish', () => {
    socket.destroy();
  });
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

function ignore(): void {
  // Why: the socket ends by itself; without a listener its error would end the process.
}
