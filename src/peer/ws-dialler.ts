/**
 * Dials peers: one or two upgrade requests, the checks of a caller, and every failure as one of
 * two errors. `peer_refused` means that somebody answered and said no, or is no peer of ours.
 */
import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerCounters } from './counters.ts';
import {
  askHeaders,
  PEER_PATH,
  readChallenge,
  readWelcome,
  REFUSED_HEADER,
  SUBPROTOCOL,
} from './handshake.ts';
import type { Asked, Challenged, Welcomed } from './handshake.ts';
import type { PeerLimits } from './limits.ts';
import { acceptorProof, diallerProof, findSecret, sessionKeys } from './proof.ts';
import type { Transcript } from './proof.ts';
import { isRefusalReason, refusedError } from './refusal.ts';
import type { RefusalReason } from './refusal.ts';
import { FrameSeal } from './seal.ts';
import type { SocketSet } from './socket-set.ts';
import type { Dial, Dialler, DialListener, DialRequest } from './wire.ts';
import { WsWire } from './ws-wire.ts';

export interface WsDiallerOptions {
  readonly secrets: readonly KeyObject[];
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly sockets: SocketSet;
}

export class WsDialler implements Dialler {
  readonly #options: WsDiallerOptions;

  constructor(options: WsDiallerOptions) {
    this.#options = options;
  }

  dial(request: DialRequest, listener: DialListener): Dial {
    const attempt = new DialAttempt(this.#options, request, listener);
    attempt.start();
    return attempt;
  }
}

class DialAttempt implements Dial {
  readonly #options: WsDiallerOptions;
  readonly #request: DialRequest;
  readonly #listener: DialListener;
  readonly #nonce = randomBytes(24).toString('base64url');
  readonly #timer;
  #socket: WebSocket | undefined;
  #settled = false;

  constructor(options: WsDiallerOptions, request: DialRequest, listener: DialListener) {
    this.#options = options;
    this.#request = request;
    this.#listener = listener;
    const { dialTimeoutMs } = options.limits;
    this.#timer = options.clock.setTimer(dialTimeoutMs, () => {
      this.#unreachable(`no answer within ${dialTimeoutMs} ms`);
    });
  }

  /** The first upgrade request; it succeeds at once where no secret is asked for. */
  start(): void {
    this.#upgrade({ hello: this.#request.hello, nonce: this.#nonce, answer: undefined }, undefined);
  }

  abort(): void {
    if (this.#settle()) this.#socket?.terminate();
  }

  #upgrade(asked: Asked, transcript: Transcript | undefined): void {
    const socket = this.#openSocket(asked);
    if (!socket) return;
    this.#socket = socket;
    this.#options.sockets.add(socket);
    let welcomed: Welcomed | undefined;
    socket.on('upgrade', (response) => {
      welcomed = readWelcome(response.headers);
      if (!welcomed) this.#refuse('not_a_peer');
    });
    socket.on('unexpected-response', (_request, response) => {
      this.#answered(response, transcript);
      socket.terminate();
    });
    socket.on('error', (error) => {
      if (this.#socket === socket) this.#failed(error);
    });
    socket.once('open', () => {
      if (welcomed) this.#opened(socket, welcomed, transcript);
    });
  }

  #openSocket(asked: Asked): WebSocket | undefined {
    const { limits } = this.#options;
    try {
      return new WebSocket(`ws://${this.#request.address}${PEER_PATH}`, [SUBPROTOCOL], {
        headers: askHeaders(asked),
        perMessageDeflate: false,
        maxPayload: limits.frameMaxBytes,
        followRedirects: false,
        autoPong: false,
      });
    } catch (error) {
      queueMicrotask(() => {
        this.#unreachable(error instanceof Error ? error.message : 'the address is malformed');
      });
      return undefined;
    }
  }

  /** Anything but 101: a challenge, a refusal, or somebody else. */
  #answered(response: IncomingMessage, transcript: Transcript | undefined): void {
    const challenged = readChallenge(response.headers);
    const reason = response.headers[REFUSED_HEADER];
    if (response.statusCode === 401 && challenged && !transcript) this.#prove(challenged);
    else if (typeof reason === 'string' && isRefusalReason(reason)) this.#refuse(reason);
    else if ((response.statusCode ?? 0) >= 500) {
      this.#unreachable(`answered ${String(response.statusCode)}`);
    } else this.#refuse('not_a_peer');
  }

  #prove({ challenge, acceptorId, clusterId }: Challenged): void {
    const { hello } = this.#request;
    const { secrets } = this.#options;
    if (hello.targetId !== undefined && hello.targetId !== acceptorId) this.#refuse('wrong_target');
    else if (hello.clusterId !== undefined && hello.clusterId !== clusterId) {
      this.#refuse('other_cluster');
    } else if (secrets.length === 0) this.#refuse('secret_required');
    else {
      const transcript = { hello, nonce: this.#nonce, challenge, acceptorId, clusterId };
      const proofs = secrets.map((secret) => diallerProof(secret, transcript));
      this.#upgrade({ hello, nonce: this.#nonce, answer: { challenge, proofs } }, transcript);
    }
  }

  #opened(socket: WebSocket, welcomed: Welcomed, transcript: Transcript | undefined): void {
    const { hello } = this.#request;
    const { secrets, limits, counters, clock } = this.#options;
    const secret = transcript && secretOf(secrets, welcomed, transcript);
    let refusal: RefusalReason | undefined;
    if (hello.targetId !== undefined && hello.targetId !== welcomed.remote.id) {
      refusal = 'wrong_target';
    } else if (hello.clusterId !== undefined && hello.clusterId !== welcomed.clusterId) {
      refusal = 'other_cluster';
    } else if (secrets.length > 0 && !secret) refusal = 'wrong_secret';
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    if (!this.#settle()) return;
    const keys = transcript && secret && sessionKeys(secret, transcript, welcomed.remote);
    const seal = keys && new FrameSeal({ send: keys.fromDialler, receive: keys.fromAcceptor });
    this.#listener.onOpen(welcomed.remote, new WsWire({ socket, seal, limits, counters, clock }));
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (error.code?.startsWith('HPE_') === true) this.#refuse('not_a_peer');
    else if (error.message.includes('subprotocol')) this.#refuse('protocol_version');
    else this.#unreachable(error.code ?? error.message);
  }

  #refuse(reason: RefusalReason): void {
    this.#fail(refusedError(reason, this.#request.address));
  }

  #unreachable(why: string): void {
    const { address } = this.#request;
    this.#fail(
      new RingloadError('peer_unreachable', `reach ${address}: ${why}`, { details: { address } }),
    );
  }

  #fail(error: RingloadError): void {
    if (!this.#settle()) return;
    this.#socket?.terminate();
    this.#listener.onFailure(error);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#timer.cancel();
    return true;
  }
}

/** The secret that the other side proved to know; undefined: none of ours. */
function secretOf(
  secrets: readonly KeyObject[],
  { remote, clusterId, proof }: Welcomed,
  transcript: Transcript,
): KeyObject | undefined {
  if (proof === undefined || remote.id !== transcript.acceptorId) return undefined;
  if (clusterId !== transcript.clusterId) return undefined;
  return findSecret(secrets, [proof], (secret) => acceptorProof(secret, transcript, remote));
}
