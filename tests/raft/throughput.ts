/**
 * How many entries three members in one process commit: `node build/tests/raft/throughput.js`.
 * Prints entries per second by storage and by the number of commands under way.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { RaftId } from '../../src/base/ids.ts';
import { raftId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import type { Consensus } from '../../src/raft/consensus.ts';
import { createConsensus } from '../../src/raft/create-consensus.ts';
import { openFileLogStorage } from '../../src/raft/io/file-log-storage.ts';
import type { LogStorage } from '../../src/raft/log-storage.ts';
import { MemoryLogStorage } from '../../src/raft/memory-log-storage.ts';
import { eventually, realClock } from './support.ts';

const VOTERS = [raftId(1), raftId(2), raftId(3)];
const DURATION_MS = 3_000;

async function measure(storageOf: (id: RaftId) => Promise<LogStorage>, underWay: number) {
  const members = new Map<RaftId, Consensus>();
  for (const id of VOTERS) {
    const consensus = await createConsensus({
      id,
      start: { kind: 'bootstrap', voters: VOTERS },
      storage: await storageOf(id),
      stateMachine: { apply: () => 0, serialize: () => 'state', restore: () => undefined },
      transport: {
        send: (to, message, onOutcome) => {
          setImmediate(() => {
            members.get(to)?.receive(message);
            onOutcome?.(true);
          });
        },
      },
      clock: realClock,
      random: new SeededRandom(id),
      logger: silentLogger,
    });
    members.set(id, consensus);
  }
  const leader = await eventually('a leader', () =>
    [...members.values()].find((consensus) => consensus.status().role === 'leader'),
  );
  const command = 'x'.repeat(100);
  let committed = 0;
  const untilMs = performance.now() + DURATION_MS;
  const client = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      await leader.propose(command, 10_000);
      committed++;
    }
  };
  await Promise.all(Array.from({ length: underWay }, client));
  for (const consensus of members.values()) await consensus.stop();
  return Math.round(committed / (DURATION_MS / 1_000));
}

const folder = await mkdtemp(join(process.cwd(), '.throughput-'));
try {
  for (const underWay of [1, 10, 100, 1_000]) {
    const inMemory = await measure(() => Promise.resolve(new MemoryLogStorage()), underWay);
    const onDisk = await measure(
      (id) => openFileLogStorage(join(folder, `${underWay}-${id}`), silentLogger),
      underWay,
    );
    console.log(`${underWay} under way: ${inMemory} entries/s in memory, ${onDisk} on disk`);
  }
} finally {
  await rm(folder, { recursive: true });
}
