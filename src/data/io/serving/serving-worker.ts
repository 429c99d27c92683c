/**
 * The serving thread: listens for peers, reads what they ask for and sends it. What may be sent is
 * said by the main thread; see `serving-messages.ts`.
 */
import { createServer, type AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { DescriptorGate } from '../../../base/descriptors.ts';
import { RingloadError } from '../../../base/errors.ts';
import { ReadRoom } from '../../../cache/read-room.ts';
import type { ThreadNews } from '../serving-thread.ts';
import { NICENESS, stepBack } from '../step-back.ts';
import { OwnSegments } from './own-segments.ts';
import { SendBuffers } from './send-buffers.ts';
import { ServingConnection } from './serving-connection.ts';
import type { FromServing, ServingOptions, ToServing } from './serving-messages.ts';
import { ServingTurns } from './serving-turns.ts';
import { SourceFiles } from './source-files.ts';

/** How often the main thread is told what was read without it. */
const READS_MS = 1000;

stepBack(NICENESS.readers);
const options = workerData as ServingOptions;
const nowMs = (): number => performance.now();
const gate = new DescriptorGate(options.bounds);
const connections = new Set<ServingConnection>();
const asking = new Map<number, ServingConnection>();
let messages: (FromServing | ThreadNews)[] = [];
let lastId = 0;

const own = new OwnSegments(options.marks);
const parts = {
  own,
  files: new SourceFiles(options.openFileMaxCount, nowMs),
  buffers: new SendBuffers(),
  room: new ReadRoom(),
  turns: new ServingTurns(setImmediate),
  writeStallMs: options.writeStallMs,
  nowMs,
  newId: () => ++lastId,
  tell,
  onAsking: (id: number, connection: ServingConnection | undefined) => {
    if (connection) asking.set(id, connection);
    else asking.delete(id);
  },
};

const server = createServer({ noDelay: true }, (socket) => {
  const verdict = gate.enter(socket);
  if (verdict !== 'use') {
    tell({ kind: 'turned-away' });
    for (const connection of connections) if (connection.isIdle) connection.close();
  }
  if (verdict === 'drop') {
    socket.destroy();
    return;
  }
  const refusal = verdict === 'use' ? undefined : new RingloadError('overloaded', gate.reason);
  const connection = new ServingConnection(socket, parts, refusal);
  connections.add(connection);
  socket.once('close', () => connections.delete(connection));
});

server.on('error', (error: NodeJS.ErrnoException) => {
  if (!server.listening)
    tell({ kind: 'deaf', systemCode: error.code ?? '', message: error.message });
});

server.listen(options.port, options.host, () => {
  tell({ kind: 'listening', port: (server.address() as AddressInfo).port });
});

parentPort?.on('message', (answers: readonly ToServing[]) => {
  for (const answer of answers) asking.get(answer.id)?.hear(answer);
});

setInterval(() => {
  const targets = own.takeReads();
  if (targets.length > 0) tell({ kind: 'read', targets });
}, READS_MS).unref();

/** In groups: each message between threads has a price. */
function tell(message: FromServing | ThreadNews): void {
  if (messages.length === 0) {
    setImmediate(() => {
      parentPort?.postMessage(messages);
      messages = [];
    });
  }
  messages.push(message);
}
