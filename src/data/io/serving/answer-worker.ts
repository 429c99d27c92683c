/**
 * A thread that answers clients over HTTP: parses, asks the main thread what to answer, reads,
 * checks and sends; see `answer-messages.ts`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { DescriptorGate } from '../../../base/descriptors.ts';
import { toRingloadError, toWireError } from '../../../base/errors.ts';
import { SilentClients } from '../../../base/silent-clients.ts';
import { ReadRoom } from '../../../cache/read-room.ts';
import type { ThreadNews } from '../serving-thread.ts';
import { NICENESS, stepBack } from '../step-back.ts';
import type { AnswerOptions, FromAnswering, ToAnswering } from './answer-messages.ts';
import type { HeldRead } from './held-read.ts';
import { HttpExchange } from './http-exchange.ts';
import { PeerReads } from './peer-reads.ts';
import { SendBuffers } from './send-buffers.ts';
import { SourceFiles } from './source-files.ts';

/** Presigned URLs with long keys need more than most requests. */
const HEADER_MAX_BYTES = 32 * 1024;
const KEEP_ALIVE_MS = 65_000;
const LOOK_MS = 250;
/** Longest time between two looks for requests that take too long. */
const LOOK_MAX_MS = 1000;

stepBack(NICENESS.readers);
const options = workerData as AnswerOptions;
const nowMs = (): number => performance.now();
const gate = new DescriptorGate(options.bounds);
const silent = new SilentClients(options.bounds.maxCount ?? Infinity, nowMs);
const exchanges = new Map<number, HttpExchange>();
/** Answers of peers, opened or being opened. */
const held = new Map<number, HeldRead>();
const opening = new Map<number, AbortController>();
let messages: (FromAnswering | ThreadNews)[] = [];
let lastId = 0;
let isClosing = false;

const common = { buffers: new SendBuffers(), room: new ReadRoom(), nowMs };
const peers = new PeerReads(options.peers, common);
const parts = {
  ...common,
  files: new SourceFiles(options.openFileMaxCount, nowMs),
  writeStallMs: options.writeStallMs,
  tell,
  heldOf: (heldId: number) => held.get(heldId),
  onOver: ({ id }: HttpExchange) => {
    exchanges.delete(id);
    endIfDone();
  },
};

const server = createServer({
  headersTimeout: options.headersTimeoutMs,
  requestTimeout: options.requestTimeoutMs,
  // Why: Node looks every 30 s, and until then a time that is over has no effect.
  connectionsCheckingInterval: Math.min(LOOK_MAX_MS, Math.ceil(options.headersTimeoutMs / 4)),
  keepAliveTimeout: KEEP_ALIVE_MS,
  maxHeaderSize: HEADER_MAX_BYTES,
  noDelay: true,
});
server.on('connection', (socket) => {
  silent.enter(socket);
  const verdict = gate.enter(socket);
  if (verdict === 'use') return;
  tell({ kind: 'turned-away' });
  server.closeIdleConnections();
  silent.makeRoom();
  if (verdict === 'drop') socket.destroy();
});
server.on('request', (request, response) => {
  take(request, response, false);
});
server.on('checkContinue', (request, response) => {
  take(request, response, true);
});
server.on('error', (error: NodeJS.ErrnoException) => {
  if (!server.listening)
    tell({ kind: 'deaf', systemCode: error.code ?? '', message: error.message });
});
server.listen(options.port, options.host, () => {
  tell({ kind: 'listening', port: (server.address() as AddressInfo).port });
});
setInterval(() => {
  peers.check();
}, LOOK_MS).unref();

parentPort?.on('message', (heard: readonly ToAnswering[]) => {
  for (const message of heard) hear(message);
});

function take(request: IncomingMessage, response: ServerResponse, isAsked: boolean): void {
  if (!gate.admits(request.socket)) {
    const { status, headers, body } = options.tooMany;
    response.writeHead(status, [...headers, 'connection', 'close']).end(body);
    return;
  }
  if (isClosing) response.shouldKeepAlive = false;
  const id = ++lastId;
  exchanges.set(id, new HttpExchange(id, { request, response, isAsked }, parts));
}

function hear(message: ToAnswering): void {
  switch (message.kind) {
    case 'open':
      void open(message);
      break;
    case 'drop':
      opening.get(message.heldId)?.abort();
      held.get(message.heldId)?.drop();
      held.delete(message.heldId);
      break;
    case 'close':
      close();
      break;
    default:
      exchanges.get(message.id)?.hear(message);
  }
}

async function open(order: Extract<ToAnswering, { kind: 'open' }>): Promise<void> {
  const { heldId } = order;
  const gone = new AbortController();
  opening.set(heldId, gone);
  try {
    const read = await peers.open(order, gone.signal, () => {
      tell({ kind: 'asked', heldId });
    });
    if (gone.signal.aborted) {
      read.drop();
      return;
    }
    held.set(heldId, read);
    tell({ kind: 'opened', heldId, lengthBytes: read.lengthBytes });
  } catch (thrown) {
    if (gone.signal.aborted) return;
    tell({ kind: 'refused', heldId, error: toWireError(toRingloadError(thrown)) });
  } finally {
    opening.delete(heldId);
  }
}

function close(): void {
  isClosing = true;
  server.close();
  server.closeIdleConnections();
  endIfDone();
}

function endIfDone(): void {
  if (isClosing && exchanges.size === 0) tell({ kind: 'closed' });
}

/** In groups: each message between threads has a price. */
function tell(message: FromAnswering | ThreadNews): void {
  if (messages.length === 0) {
    setImmediate(() => {
      parentPort?.postMessage(messages);
      messages = [];
    });
  }
  messages.push(message);
}
