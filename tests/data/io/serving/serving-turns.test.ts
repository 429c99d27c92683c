/** Readers before copies on the data endpoint's thread: the turns alone, and with connections. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import test, { type ExecutionContext } from 'ava';
import { ReadRoom } from '../../../../src/cache/read-room.ts';
import { CHECKSUM_BLOCK_BYTES } from '../../../../src/cache/segment-store.ts';
import { copyFromPeer } from '../../../../src/data/io/lanes/peer-copy.ts';
import { parseRequest } from '../../../../src/data/io/serving/request-head.ts';
import { OwnSegments } from '../../../../src/data/io/serving/own-segments.ts';
import { SEND_MAX_BYTES, SendBuffers } from '../../../../src/data/io/serving/send-buffers.ts';
import { ServingConnection } from '../../../../src/data/io/serving/serving-connection.ts';
import { ServingTurns } from '../../../../src/data/io/serving/serving-turns.ts';
import { SourceFiles } from '../../../../src/data/io/serving/source-files.ts';
import type { DirectRequest } from '../../../../src/ufs/under-store.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { keyOf } from '../../support.ts';

/** Turns that are given by hand. */
function turnsByHand(): { turns: ServingTurns; give: (count?: number) => void } {
  const scheduled: (() => void)[] = [];
  const turns = new ServingTurns((run) => scheduled.push(run));
  const give = (count = 1): void => {
    for (let at = 0; at < count; at++) scheduled.shift()?.();
  };
  return { turns, give };
}

test('serving turns: a reader overtakes all copies that are ready', (t) => {
  const { turns, give } = turnsByHand();
  const steps: string[] = [];
  for (let copy = 0; copy < 20; copy++) turns.copies.take(() => steps.push(`copy ${copy}`));
  turns.readers.take(() => steps.push('reader'));
  give(4);
  t.deepEqual(steps, ['reader', 'copy 0', 'copy 1', 'copy 2']);
});

test('serving turns: copies go on, in order, however many readers come', (t) => {
  const { turns, give } = turnsByHand();
  const steps: string[] = [];
  for (let copy = 0; copy < 3; copy++) turns.copies.take(() => steps.push(`copy ${copy}`));
  const read = (): void => {
    steps.push('reader');
    turns.readers.take(read);
  };
  turns.readers.take(read);
  give(30);
  const copies = steps.flatMap((step, at) => (step === 'reader' ? [] : [[step, at] as const]));
  t.deepEqual(copies, [
    ['copy 0', 8],
    ['copy 1', 17],
    ['copy 2', 26],
  ]);
});

test('serving turns: few reads of copies are under way at once, and readers wait for none', async (t) => {
  const { turns } = turnsByHand();
  const begun: { readonly name: string; readonly end: () => void }[] = [];
  const readOf = (name: string) => (): Promise<boolean> =>
    new Promise((resolve) => {
      begun.push({
        name,
        end: () => {
          resolve(true);
        },
      });
    });
  const copies = Array.from({ length: 4 }, (_, copy) => turns.copies.read(readOf(`copy ${copy}`)));
  const failing = Promise.resolve(
    turns.copies.read(() => {
      throw new Error('the disk is gone');
    }),
  );
  const afterFailure = turns.copies.read(readOf('copy after'));
  void turns.readers.read(readOf('reader'));
  t.deepEqual(names(), ['copy 0', 'copy 1', 'reader']);
  begun[0]?.end();
  await copies[0];
  await waitFor(() => begun.length === 4, { what: 'the next copy to read', intervalMs: 1 });
  t.deepEqual(names(), ['copy 0', 'copy 1', 'reader', 'copy 2']);
  for (let at = 1; at < 4; at++) begun[at]?.end();
  await t.throwsAsync(failing, { message: 'the disk is gone' });
  await waitFor(() => begun.length === 6, { what: 'all to read', intervalMs: 1 });
  for (const { end } of begun) end();
  t.true(await afterFailure);
  t.true(
    turns.copies.read(() => true),
    'what is done at once is no promise',
  );

  function names(): string[] {
    return begun.map(({ name }) => name);
  }
});

test('serving turns: a copy says so when it is asked for, a reader does not', async (t) => {
  for (const isAhead of [true, false]) {
    const asked: DirectRequest[] = [];
    const mover = {
      move: (request: DirectRequest) => {
        asked.push(request);
        return Promise.resolve({ kind: 'unfit', why: 'it is a test' } as const);
      },
      crc32c: () => 0,
      receivedBytes: 0,
    };
    const endpoint = 'http://127.0.0.1:1';
    const copy = { kind: 'peer', endpoint, key: keyOf(), lengthBytes: 1, isAhead } as const;
    const options = { token: () => 'token', headTimeoutMs: 1, stallTimeoutMs: 1 };
    await copyFromPeer(copy, mover, options, new AbortController().signal);
    const head = asked[0]?.head ?? '';
    t.true(head.endsWith('\r\n\r\n'));
    const request = parseRequest(head.slice(0, -4));
    if (request.kind !== 'request') throw new Error(`it is ${request.kind}`);
    t.is(request.isCopy, isAhead);
    t.is(request.authorization, 'Bearer token');
  }
});

const PIECE_COUNT = 3;
const LENGTH = PIECE_COUNT * SEND_MAX_BYTES;
const COPY = 'x-ringload-purpose: copy\r\n';

interface Received {
  receivedBytes: number;
}

/** Connections to a real file whose turns are given by hand. */
async function stageOf(t: ExecutionContext) {
  const folder = await tempFolder('serving-turns');
  const path = join(folder.path, 'region');
  const bytes = Buffer.alloc(LENGTH, 7);
  await writeFile(path, bytes);
  const blocks = Uint32Array.from({ length: bytes.length / CHECKSUM_BLOCK_BYTES }, () =>
    crc32c(bytes.subarray(0, CHECKSUM_BLOCK_BYTES)),
  );
  const place = { path, offset: 0, segmentBytes: bytes.length, crc32c: 0, from: 0 };
  const range = { ...place, length: bytes.length, blocks };
  const { turns, give } = turnsByHand();
  const { readers, copies } = turns;
  const ready = { readerCount: 0 };
  const take = (step: () => void): void => {
    ready.readerCount++;
    readers.take(step);
  };
  const asking = new Map<number, ServingConnection>();
  let askedCount = 0;
  let wantedCount = 0;
  const server = createServer((socket) => {
    new ServingConnection(socket, {
      files: new SourceFiles(8, () => performance.now()),
      buffers: new SendBuffers(),
      room: new ReadRoom(),
      own: new OwnSegments(undefined),
      turns: { copies, readers: { ...readers, take } },
      writeStallMs: 60_000,
      nowMs: () => performance.now(),
      newId: () => ++askedCount,
      tell: (message) => {
        if (message.kind === 'ask')
          asking.get(message.id)?.hear({ kind: 'serve', id: message.id, range });
      },
      onAsking: (id, connection) => {
        if (connection) asking.set(id, connection);
        else asking.delete(id);
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets: Socket[] = [];
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await folder[Symbol.asyncDispose]();
  });
  const ask = async (fields: string): Promise<Received> => {
    const state = { receivedBytes: 0 };
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    sockets.push(socket);
    socket.on('data', (chunk: Buffer) => (state.receivedBytes += chunk.length));
    wantedCount++;
    socket.write(`GET /segment?k=1 HTTP/1.1\r\n${fields}\r\n`);
    await waitFor(() => askedCount >= wantedCount, { what: 'it to be heard', intervalMs: 1 });
    return state;
  };
  return { ask, give, ready };
}

test('serving turns: connections for readers are served before those for copies', async (t) => {
  const { ask, give, ready } = await stageOf(t);
  const copies = await Promise.all(Array.from({ length: 3 }, () => ask(COPY)));
  const reader = await ask('');
  // Each turn is given when the reader's next piece is ready.
  for (let piece = 1; piece <= PIECE_COUNT; piece++) {
    const what = `piece ${piece} of the reader to be ready`;
    await waitFor(() => ready.readerCount === piece, { what, intervalMs: 1 });
    t.true(copies.every(({ receivedBytes }) => receivedBytes === 0));
    give();
  }
  const isSent = ({ receivedBytes }: Received): boolean => receivedBytes >= LENGTH;
  await waitFor(() => isSent(reader), { what: 'the reader to have everything', intervalMs: 1 });
  const goOn = (): boolean => {
    give();
    return copies.every(isSent);
  };
  await waitFor(goOn, { what: 'the copies to be sent', intervalMs: 1 });
});
