/**
 * Every corruption of a write-ahead log that holds a snapshot, votes and entries: it refuses to
 * start and names the place, or loses the last record at most.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { logIndex, raftId, term } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { openFileLogStorage } from '../../src/raft/io/file-log-storage.ts';
import type { LogImage } from '../../src/raft/log-storage.ts';
import { HEADER_BYTES, scanSegment } from '../../src/raft/wal-format.ts';
import { DamageTally, everyDamage, type Damage, type Outcome } from '../support/damages.ts';
import { SEGMENT, load } from './one-segment.ts';
import { entry, image, temporaryFolder } from './support.ts';

/** A log as it grows: its bytes, and what it holds, after the snapshot and after each record. */
interface Stage {
  readonly bytes: Uint8Array;
  readonly image: LogImage;
}

async function growingLog(t: ExecutionContext, snapshotBytes: number): Promise<Stage[]> {
  const folder = await temporaryFolder(t);
  const storage = await openFileLogStorage(folder, silentLogger);
  await storage.load();
  await storage.replaceWith(image({ snapshotIndex: 1, data: 'state '.repeat(snapshotBytes / 6) }));
  for (let index = 2; index < 12; index++) {
    const isVoteOnly = index % 4 === 3;
    const hardState = {
      term: term(3 + index),
      vote: raftId(1 + (index % 3)),
      commit: logIndex(1),
    };
    const entries = isVoteOnly
      ? []
      : [entry(index - Math.floor((index + 1) / 4), 3 + index, 'x'.repeat((index % 3) * 300))];
    await storage.persist({ hardState, entries, mustSync: true });
  }
  await storage.close();
  const bytes = new Uint8Array(await readFile(join(folder, SEGMENT)));
  const stages: Stage[] = [];
  let end = 0;
  for (const payload of scanSegment(bytes).payloads) {
    end += HEADER_BYTES + Buffer.byteLength(payload);
    const prefix = bytes.slice(0, end);
    const { image: loaded } = await load(prefix);
    if (!loaded) throw new Error('an undamaged log loads');
    stages.push({ bytes: prefix, image: loaded });
  }
  return stages;
}

async function outcomeOf(damage: Damage, stages: readonly Stage[]): Promise<Outcome> {
  const { image: loaded, error } = await load(damage.bytes);
  if (error) {
    const { file, offset } = error.details;
    const isNamed = file === `/data/${SEGMENT}` && typeof offset === 'number';
    return error.code === 'data_corrupt' && isNamed ? 'detected' : 'wrong';
  }
  const text = JSON.stringify(loaded);
  const found = stages.findIndex((stage) => JSON.stringify(stage.image) === text);
  const last = stages.length - 1;
  if (found === last) return 'harmless';
  // Only what shortens the file may cost more than the record that a crash interrupts.
  const mayGoBack = damage.kind === 'cut' || damage.kind === 'older' || found === last - 1;
  return found >= 0 && mayGoBack ? 'earlier' : 'wrong';
}

for (const [name, snapshotBytes] of [
  ['votes and entries', 60],
  ['a snapshot of three pages, votes and entries', 12_000],
] as const) {
  test(`wal: every corruption of ${name} is refused, or costs the last record at most`, async (t) => {
    t.timeout(120_000);
    const stages = await growingLog(t, snapshotBytes);
    const whole = stages.at(-1)?.bytes ?? new Uint8Array();
    const tally = new DamageTally();
    const older = stages.slice(0, -1).map(({ bytes }) => bytes);
    const pageBytes = snapshotBytes > 4096 ? 4096 : 512;
    for (const damage of everyDamage(whole, { pageBytes, older })) {
      tally.add(damage, await outcomeOf(damage, stages));
    }
    tally.close(t, `a log of ${name}, ${whole.length} bytes`);
  });
}
