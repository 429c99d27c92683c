/** The REST port: opens with an answer for those who are early, and refuses when there are too many. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { DescriptorGate } from '../base/descriptors.ts';
import type { HttpConfig } from '../config/schema.ts';
import {
  answerClientError,
  answerTooMany,
  answerWhileStarting,
  tooManyText,
  SERVER_OPTIONS,
} from '../http/server.ts';
import type { DescriptorShares } from './descriptor-shares.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** What asks for nothing ends after so long, when there are too many. */
const SILENT_MAX_MS = 250;
/** Longest time between two looks for requests that take too long. */
const LOOK_MAX_MS = 1000;

export interface RestPortOptions {
  readonly http: HttpConfig;
  readonly descriptors: DescriptorShares;
  /** Told of every connection that is too many. */
  readonly onRefused: () => void;
}

export class RestPort {
  readonly server: Server;
  #answer: Answer = answerWhileStarting;
  readonly #silentMaxCount: number;
  /** Since when a connection that may have said nothing yet is there; the oldest first. */
  readonly #silent = new Map<Socket, number>();

  constructor({ http, descriptors, onRefused }: RestPortOptions) {
    this.server = createServer({
      ...SERVER_OPTIONS,
      headersTimeout: http.headersTimeoutMs,
      requestTimeout: http.requestTimeoutMs,
      // Why: Node looks every 30 s, and until then a time that is over has no effect.
      connectionsCheckingInterval: Math.min(LOOK_MAX_MS, Math.ceil(http.headersTimeoutMs / 4)),
    });
    this.server.on('clientError', answerClientError);
    const { clientGate } = descriptors;
    const gate = new DescriptorGate(clientGate);
    this.#silentMaxCount = clientGate.maxCount ?? Infinity;
    this.server.on('connection', (socket) => {
      this.#silent.set(socket, performance.now());
      socket.once('close', () => this.#silent.delete(socket));
      const verdict = gate.enter(socket);
      if (verdict === 'use') return;
      onRefused();
      this.#makeRoom();
      if (verdict === 'drop') {
        // Why both at once: every descriptor counts, and what is written first is read first.
        socket.write(tooManyText(gate.reason));
        socket.destroy();
      } else {
        // Links between peers come this way too, and clear the timer when they are upgraded.
        socket.setTimeout(SILENT_MAX_MS);
      }
    });
    this.server.on('request', (request, response) => {
      if (gate.admits(request.socket)) this.#answer(request, response);
      else answerTooMany(request, response, gate.reason);
    });
  }

  answerWith(answer: Answer): void {
    this.#answer = answer;
  }

  /** Ends the connections that nobody uses: what has been silent for too long, and a crowd of it. */
  #makeRoom(): void {
    this.server.closeIdleConnections();
    const untilMs = performance.now() - SILENT_MAX_MS;
    for (const [socket, sinceMs] of this.#silent) {
      if (sinceMs > untilMs && this.#silent.size <= this.#silentMaxCount) break;
      this.#silent.delete(socket);
      if (socket.bytesRead === 0) socket.destroy();
    }
  }
}
