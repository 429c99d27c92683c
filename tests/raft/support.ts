/** Small helpers of the raft tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { ExecutionContext } from 'ava';
import type { Clock } from '../../src/base/clock.ts';
import { logIndex, raftId, term } from '../../src/base/ids.ts';
import type { StateMachine } from '../../src/raft/consensus.ts';
import type { Configuration, LogEntry, LogImage } from '../../src/raft/log-storage.ts';
import { EMPTY_CONFIGURATION } from '../../src/raft/log-storage.ts';

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ringload-raft-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export const realClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
};

/** Resolves with the first defined value that `probe` gives. */
export async function eventually<Value>(
  what: string,
  probe: () => Value | undefined,
  deadlineMs = 20_000,
): Promise<Value> {
  const untilMs = performance.now() + deadlineMs;
  for (;;) {
    const value = probe();
    if (value !== undefined) return value;
    if (performance.now() > untilMs) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Keeps all commands, so that tests can compare what was applied. */
export class ListMachine implements StateMachine {
  commands: string[] = [];

  apply(command: string): number {
    return this.commands.push(command);
  }
  serialize(): string {
    return JSON.stringify(this.commands);
  }
  restore(serialized: string): void {
    this.commands = JSON.parse(serialized) as string[];
  }
}

export function entry(index: number, entryTerm: number, data = `data of ${index}`): LogEntry {
  return { index, term: entryTerm, type: 0, data };
}

export const THREE_VOTERS: Configuration = {
  ...EMPTY_CONFIGURATION,
  voters: [raftId(1), raftId(2), raftId(3)],
};

export function image(parts: {
  snapshotIndex: number;
  entries?: readonly LogEntry[];
  commit?: number;
  data?: string;
}): LogImage {
  const { snapshotIndex, entries = [], commit = snapshotIndex, data = 'state' } = parts;
  return {
    snapshot: { index: logIndex(snapshotIndex), term: term(1), configuration: THREE_VOTERS, data },
    hardState: { term: term(3), vote: raftId(2), commit: logIndex(commit) },
    entries,
  };
}
