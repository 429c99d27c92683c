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
import type { HeldRead } from './held-read.ts';
import { HttpExchange, type ExchangeParts } from './http-exchange.ts';
import { OwnExchange } from './own-exchange.ts';
import { PeerReads } from './peer-reads.ts';
import { SendBuffers } from './send-buffers.ts';
import { SourceFiles } from './source-files.ts';

/** Presigned URLs with long keys need more than most requests. */
const HEADER_MAX_BYTES = 32 * 1024;
const KEEP_ALIVE_MS = 65_000;
const LOOK_MS = 250;
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
  readonly #ownExchanges = new Set<OwnExchange>();
  /** Answers of peers, opened or being opened. */
  readonly #held = new Map<number, HeldRead>();
  readonly #opening = new Map<number, AbortController>();
  readonly #peers: PeerReads;
  readonly #parts: ExchangeParts;
  readonly #server;
  #messages: (FromAnswering | ThreadNews)[] = [];
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
      tell: (message) => {
        this.#tell(message);
      },
      heldOf: (heldId: number) => this.#held.get(heldId),
      onOver: ({ id }: HttpExchange) => {
        this.#exchanges.delete(id);
        this.#endIfDone();
      },
    };
    this.#server = createServer({
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      // Why: Node looks every 30 s, and until then a time that is over has no effect.
      connectionsCheckingInterval: Math.min(LOOK_MAX_MS, Math.ceil(options.headersTimeoutMs / 4)),
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_MAX_BYTES,
      noDelay: true,
    });
  }

  /** Begins to answer; the main thread is told the port. */
  listen(): void {
    stepBack(NICENESS.readers);
    const server = this.#server;
    server.on('connection', (socket) => {
      this.#enter(socket);
    });
    server.on('request', (request, response) => {
      this.#take(request, response, false);
    });
    server.on('checkContinue', (request, response) => {
      this.#take(request, response, true);
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
    if (verdict === 'use') return;
    this.#tell({ kind: 'turned-away' });
    this.#server.closeIdleConnections();
    this.#silent.makeRoom();
    if (verdict === 'drop') socket.destroy();
  }

  #take(request: IncomingMessage, response: ServerResponse, isAsked: boolean): void {
    if (!this.#gate.admits(request.socket)) {
      const { status, headers, body } = this.#options.tooMany;
      response.writeHead(status, [...headers, 'connection', 'close']).end(body);
      return;
    }
    if (this.#isClosing) response.shouldKeepAlive = false;
    const forward = (): void => {
      const id = ++this.#lastId;
      this.#exchanges.set(id, new HttpExchange(id, { request, response, isAsked }, this.#parts));
    };
    const { method = '', url = '', rawHeaders } = request;
    const own = this.#own?.answer({ method, target: url, headers: rawHeaders });
    if (!own) {
      forward();
      return;
    }
    const exchange = new OwnExchange(response, own, this.#parts, {
      onForward: () => {
        this.#ownExchanges.delete(exchange);
        forward();
      },
      onOver: () => {
        this.#ownExchanges.delete(exchange);
        this.#endIfDone();
      },
    });
    this.#ownExchanges.add(exchange);
    exchange.start();
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
    this.#server.closeIdleConnections();
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (!this.#isClosing || this.#exchanges.size > 0 || this.#ownExchanges.size > 0) return;
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
