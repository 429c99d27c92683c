/**
 * Known ways to get a load wrong, planted from outside by replacing a method of a part. The
 * simulator has to find each of them.
 */
import { formatDigest } from '../../../src/cache/digest.ts';
import { SegmentTable } from '../../../src/cache/segment-table.ts';
import { RegionFiles } from '../../../src/cache/io/region-files.ts';
import { SegmentLoader } from '../../../src/data/segment-loader.ts';
import { Executor } from '../../../src/job/executor.ts';
import { FileWindow } from '../../../src/job/file-run.ts';
import { InventoryRound } from '../../../src/job/inventory-round.ts';
import { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import { HeadCache } from '../../../src/read/head-cache.ts';
import { FreeDuty } from '../../../src/residence/free-duty.ts';
import { Proposer } from '../../../src/node/proposer.ts';
import { Repairer } from '../../../src/repair/repairer.ts';
import { DurableCatalog } from './sim-catalog.ts';
import type { Mode } from './plan.ts';
import type { PlantedBug } from './world.ts';

export interface HuntedBug extends PlantedBug {
  readonly mode: Mode;
  /** The promise whose check has to find it. */
  readonly breaks: string;
  /** Where the search for it begins: a seed that met it. Default 1. */
  readonly firstSeed?: number;
}

/** Puts `change` in place of a method until the returned function is called. */
function replaced<Part extends object, Name extends keyof Part>(
  part: Part,
  name: Name,
  change: (original: Part[Name]) => Part[Name],
): () => () => void {
  return () => {
    const original = part[name];
    part[name] = change(original);
    return () => {
      part[name] = original;
    };
  };
}

export const PLANTED_BUGS: readonly HuntedBug[] = [
  {
    name: 'verdict whatever the inventories say',
    firstSeed: 22,
    favours: 'wipeCache',
    mode: 'safety',
    breaks: 'S3',
    plant: replaced(InventoryRound.prototype, 'mismatch', (original) => {
      return function (this: InventoryRound, peer, reply) {
        const expected = original.call(this, peer, reply);
        if (!expected) return undefined;
        const { recordCount = 0, recordDigest = formatDigest(0n) } = expected;
        const records = { recordCount, digest: recordDigest };
        return original.call(this, peer, { ...reply, inventory: expected, records });
      };
    }),
  },
  {
    name: 'acknowledged before it is stored',
    mode: 'liveness',
    breaks: 'L1',
    plant: replaced(SegmentLoader.prototype, 'load', (original) => {
      return function (this: SegmentLoader, request, signal) {
        const loading = original.call(this, request, signal);
        if (request.job === undefined) return loading;
        loading.catch(() => undefined);
        const { key, lengthBytes, job } = request;
        const segment = { key, lengthBytes, crc32c: 1, loadedBy: job };
        return Promise.resolve({ segment, filled: true, own: true });
      };
    }),
  },
  {
    name: 'index record not synced',
    mode: 'safety',
    breaks: 'S7',
    plant: replaced(RegionFiles.prototype, 'keepRecords', () => {
      return async function (this: RegionFiles, region, bytes) {
        region.recordTail += bytes.length;
        await Promise.resolve();
      };
    }),
  },
  {
    name: 'accepted before it is committed',
    mode: 'safety',
    breaks: 'S4',
    plant: replaced(Proposer.prototype, 'commit', (original) => {
      return function (this: Proposer, command, deadlineMs) {
        const committing = original.call(this, command, deadlineMs);
        if (command.kind !== 'job.submit') return committing;
        committing.catch(() => undefined);
        return Promise.resolve({ jobId: command.jobId, outcome: 'created' });
      };
    }),
  },
  {
    name: 'orders of an old term are taken',
    firstSeed: 22,
    favours: 'pause',
    mode: 'safety',
    breaks: 'S4',
    plant: replaced(Executor.prototype, 'accept', (original) => {
      return function (this: Executor, from, batch) {
        try {
          return original.call(this, from, batch);
        } catch {
          return { windowTasks: 8, windowBytes: 64 * 1024 };
        }
      };
    }),
  },
  {
    name: 'a read that ignores the version',
    favours: 'change',
    mode: 'safety',
    breaks: 'S8',
    ignoresVersions: true,
  },
  {
    name: 'a file counted twice',
    firstSeed: 23,
    mode: 'safety',
    breaks: 'S3',
    plant: replaced(FileWindow.prototype, 'addFiltered', (original) => {
      return function (this: FileWindow, object) {
        original.call(this, object);
        original.call(this, object);
      };
    }),
  },
  {
    name: 'leases that keep nothing',
    mode: 'liveness',
    breaks: 'L1',
    plant: replaced(SegmentTable.prototype, 'lease', () => () => undefined),
  },
  {
    name: 'ended runs go on',
    firstSeed: 18,
    mode: 'safety',
    breaks: 'S6',
    plant: () => {
      const undo = [
        replaced(Executor.prototype, 'sweep', () => () => undefined)(),
        replaced(Executor.prototype, 'cancel', () => () => undefined)(),
      ];
      return () => {
        for (const each of undo) each();
      };
    },
  },
  {
    name: 'nothing is repaired',
    firstSeed: 15,
    mode: 'liveness',
    breaks: 'L1',
    plant: replaced(Repairer.prototype, 'request', () => () => undefined),
  },
  {
    name: 'nobody lets go of what is freed',
    mode: 'liveness',
    breaks: 'L5',
    plant: replaced(FreeDuty.prototype, 'look', () => () => undefined),
  },
  {
    name: 'a free leaves the records',
    firstSeed: 15,
    mode: 'safety',
    breaks: 'free',
    plant: replaced(DurableCatalog.prototype, 'deleteAll', () => async () => {
      await Promise.resolve();
    }),
  },
  {
    name: 'heads are remembered whatever the rule',
    firstSeed: 201,
    favours: 'change',
    mode: 'safety',
    breaks: 'rules',
    plant: replaced(HeadCache.prototype, 'get', (original) => {
      return function (this: HeadCache, path, maxAgeMs) {
        return original.call(this, path, maxAgeMs + 3000);
      };
    }),
  },
  {
    name: 'no rule is in force at the caches',
    firstSeed: 141,
    mode: 'safety',
    breaks: 'rules',
    plant: replaced(FileSegmentStore.prototype, 'setRetention', () => async () => {
      await Promise.resolve();
    }),
  },
];
