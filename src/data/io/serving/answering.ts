/**
 * What a thread that answers clients over HTTP does: it parses, asks the main thread what to answer,
 * reads, checks and sends; see `answer-messages.ts`. What it was told once and what still stands it
 * answers without asking, see `own-answers.ts`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { parentPort } from 'node:worker_threads';
import { DescriptorGate } from '../../../base/descriptors.ts';
import { toRingloadError, toWireError } from '../../../base/errors.ts';
import { SilentClients } from '../../../base/silent-clients.ts';
import { ReadRoom } from '../../../cache/read-room.ts';
import type { ThreadNews } from '../serving-thread.ts';
import { NICENESS, stepBack } from '../step-back.ts';
import type { OwnAnswers } from '../../own-answers.ts';
import type { AnswerOptions, FromAnswering, ToAnswering } from './answer-messages.ts';
import type { ClientResponse, RequestHead } from './client-response.ts';
import type { HeldRead } from './held-read.ts';
import { HttpExchange, type ExchangeParts } from './http-exchange.ts';
import { OwnExchanges } from './own-exchanges.ts';
import { PlainConnection } from './plain-connection.ts';
import { KEEP_ALIVE_S, type PlainResponse } from './plain-response.ts';
import { PeerReads } from './peer-reads.ts';
import { SendBuffers } from './send-buffers.ts';
import { SourceFiles } from './source-files.ts';

/** Presigned URLs with long keys need more than most requests. */
const HEADER_MAX_BYTES = 32 * 1024;
const LOOK_MS = 250;
const SHORT_MAX_MS = 300;
/** Longest time between two looks for requests that take too long. */
const LOOK_MAX_MS = 1000;
/** How often the main thread is told what was read without it. */
const READS_MS = 1000;

const nowMs = (): number => performance.now();

export class Answering {
  readonly #options: AnswerOptions;
  readonly #own: OwnAnswers | undefined;
  readonly #gate: DescriptorGate;
  readonly #silent: SilentClients;
  readonly #exchanges = new Map<number, HttpExchange>();
  readonly #ownExchanges: OwnExchanges;
  /** Answers of peers, opened or being opened. */
  readonly #held = new Map<number, HeldRead>();
  readonly #opening = new Map<number, AbortController>();
  readonly #peers: PeerReads;
  readonly #parts: ExchangeParts;
  readonly #server;
  /** Gives a connection to `node:http`. */
  readonly #readAsHttp: (socket: Socket) => void;
  readonly #connections = new Set<PlainConnection>();
  #messages: (FromAnswering | ThreadNews)[] = [];
  /** What has come since the last turn of the loop. */
  #taken: { readonly head: RequestHead; readonly response: PlainResponse }[] = [];
  #lastId = 0;
  #isClosing = false;

  constructor(options: AnswerOptions, own?: OwnAnswers) {
    this.#options = options;
    this.#own = own;
    this.#gate = new DescriptorGate(options.bounds);
    this.#silent = new SilentClients(options.bounds.maxCount ?? Infinity, nowMs);
    const common = { buffers: new SendBuffers(), room: new ReadRoom(), nowMs };
    this.#peers = new PeerReads(options.peers, common);
    this.#parts = {
      ...common,
      files: new SourceFiles(options.openFileMaxCount, nowMs),
      writeStallMs: options.writeStallMs,
      bodyStallMs: options.requestTimeoutMs,
      tell: (message) => {
        this.#tell(message);
      },
      heldOf: (heldId: number) => this.#held.get(heldId),
      onOver: ({ id }: HttpExchange) => {
        this.#exchanges.delete(id);
        this.#endIfDone();
      },
    };
    const { shortMaxMs = SHORT_MAX_MS } = options.peers;
    const parts = { ...this.#parts, nowMs, peers: this.#peers, shortMaxMs };
    this.#ownExchanges = new OwnExchanges(parts, () => {
      this.#endIfDone();
    });
    this.#server = createServer({
      headersTimeout: options.headersTimeoutMs,
      // How long a body takes is up to its client, as long as it comes: see `bodyStallMs`.
      requestTimeout: 0,
      // Why: Node looks every 30 s, and until then a time that is over has no effect.
      connectionsCheckingInterval: Math.min(LOOK_MAX_MS, Math.ceil(options.headersTimeoutMs / 4)),
      keepAliveTimeout: 1000 * KEEP_ALIVE_S,
      maxHeaderSize: HEADER_MAX_BYTES,
      noDelay: true,
    });
    const [listener] = this.#server.listeners('connection') as ((socket: Socket) => void)[];
    this.#server.removeAllListeners('connection');
    this.#readAsHttp = (socket) => listener?.call(this.#server, socket);
  }

  /** Begins to answer; the main thread is told the port. */
  listen(): void {
    stepBack(NICENESS.readers);
    const server = this.#server;
    server.on('request', (request, response) => {
      this.#takeOther(request, response, false);
    });
    server.on('checkContinue', (request, response) => {
      this.#takeOther(request, response, true);
    });
    server.on('connection', (socket) => {
      this.#enter(socket);
    });
    server.on('error', (error: NodeJS.ErrnoException) => {
      const { code = '', message } = error;
      if (!server.listening) this.#tell({ kind: 'deaf', systemCode: code, message });
    });
    server.listen(this.#options.port, this.#options.host, () => {
      this.#tell({ kind: 'listening', port: (server.address() as AddressInfo).port });
    });
    setInterval(() => {
      this.#peers.check();
      const now = nowMs();
      for (const connection of this.#connections) connection.check(now);
    }, LOOK_MS).unref();
    setInterval(() => {
      this.#tellReads();
    }, READS_MS).unref();
    parentPort?.on('message', (heard: readonly ToAnswering[]) => {
      for (const message of heard) this.#hear(message);
    });
  }

  #enter(socket: Socket): void {
    this.#silent.enter(socket);
    const verdict = this.#gate.enter(socket);
    if (verdict === 'use') {
      this.#readPlain(socket);
      return;
    }
    this.#tell({ kind: 'turned-away' });
    this.#closeIdle();
    this.#silent.makeRoom();
    if (verdict === 'drop') socket.destroy();
    else this.#readAsHttp(socket);
  }

  #readPlain(socket: Socket): void {
    const connection: PlainConnection = new PlainConnection(socket, {
      headersTimeoutMs: this.#options.headersTimeoutMs,
      nowMs,
      keepsAlive: () => !this.#isClosing,
      onRequest: (head, response) => {
        this.#taken.push({ head, response });
        if (this.#taken.length === 1) setImmediate(this.#takeAll);
      },
      onOther: () => {
        this.#connections.delete(connection);
        this.#readAsHttp(socket);
      },
      onClose: () => {
        this.#connections.delete(connection);
      },
    });
    this.#connections.add(connection);
  }

  /** Why together: who sends and sleeps after each answer is woken for each, and it shows. */
  readonly #takeAll = (): void => {
    const taken = this.#taken;
    this.#taken = [];
    for (const { head, response } of taken) if (!response.isOver) this.#take(head, response);
    this.#endIfDone();
  };

  #closeIdle(): void {
    this.#server.closeIdleConnections();
    for (const connection of this.#connections) connection.closeIfIdle();
  }

  /** What no plain connection reads. */
  #takeOther(request: IncomingMessage, response: ServerResponse, isAsked: boolean): void {
    if (!this.#gate.admits(request.socket)) {
      const { status, headers, body } = this.#options.tooMany;
      response.writeHead(status, [...headers, 'connection', 'close']).end(body);
      return;
    }
    if (this.#isClosing) response.shouldKeepAlive = false;
    const { method = '', url = '', rawHeaders } = request;
    const head = { method, target: url, headers: rawHeaders };
    if (hasBody(request)) this.#forward({ head, body: request, response, isAsked });
    else this.#take(head, response);
  }

  #forward(exchange: ConstructorParameters<typeof HttpExchange>[1]): void {
    const id = ++this.#lastId;
    this.#exchanges.set(id, new HttpExchange(id, exchange, this.#parts));
  }

  #take(head: RequestHead, response: ClientResponse): void {
    const forward = (): void => {
      this.#forward({ head, response, isAsked: false });
    };
    const own = this.#own?.answer(head);
    if (!own) {
      forward();
      return;
    }
    this.#ownExchanges.run(response, own, forward);
  }

  #hear(message: ToAnswering): void {
    switch (message.kind) {
      case 'open':
        void this.#open(message);
        break;
      case 'drop':
        this.#opening.get(message.heldId)?.abort();
        this.#held.get(message.heldId)?.drop();
        this.#held.delete(message.heldId);
        break;
      case 'standing':
        this.#own?.learn(message.standing);
        break;
      case 'close':
        this.#close();
        break;
      default:
        this.#exchanges.get(message.id)?.hear(message);
    }
  }

  async #open(order: Extract<ToAnswering, { kind: 'open' }>): Promise<void> {
    const { heldId } = order;
    const gone = new AbortController();
    this.#opening.set(heldId, gone);
    try {
      const read = await this.#peers.open(order, gone.signal, () => {
        this.#tell({ kind: 'asked', heldId });
      });
      if (gone.signal.aborted) {
        read.drop();
        return;
      }
      this.#held.set(heldId, read);
      this.#tell({ kind: 'opened', heldId, lengthBytes: read.lengthBytes });
    } catch (thrown) {
      if (gone.signal.aborted) return;
      this.#tell({ kind: 'refused', heldId, error: toWireError(toRingloadError(thrown)) });
    } finally {
      this.#opening.delete(heldId);
    }
  }

  #close(): void {
    this.#isClosing = true;
    this.#server.close();
    this.#closeIdle();
    this.#endIfDone();
  }

  #endIfDone(): void {
    const count = this.#taken.length + this.#exchanges.size + this.#ownExchanges.count;
    if (!this.#isClosing || count > 0) return;
    this.#tellReads();
    this.#tell({ kind: 'closed' });
  }

  #tellReads(): void {
    const reads = this.#own?.takeReads() ?? [];
    if (reads.length > 0) this.#tell({ kind: 'read', reads });
  }

  /** In groups: each message between threads has a price. */
  #tell(message: FromAnswering | ThreadNews): void {
    if (this.#messages.length === 0) {
      setImmediate(() => {
        parentPort?.postMessage(this.#messages);
        this.#messages = [];
      });
    }
    this.#messages.push(message);
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
