/** The REST port: opens with an answer for those who are early, and refuses when there are too many. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { DescriptorGate } from '../base/descriptors.ts';
import { SILENT_MAX_MS, SilentClients } from '../base/silent-clients.ts';
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
    const silent = new SilentClients(clientGate.maxCount ?? Infinity, () => performance.now());
    this.server.on('connection', (socket) => {
      silent.enter(socket);
      const verdict = gate.enter(socket);
      if (verdict === 'use') return;
      onRefused();
      this.server.closeIdleConnections();
      silent.makeRoom();
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
}
