/**
 * The S3 endpoint with the thread that answers by itself: a catalogue and a cache on a real disk,
 * an under store in memory, and nobody else, or whom the test puts beside it.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ChangeMarks } from '../../src/base/change-marks.ts';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { peerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import type { FileSegmentStore } from '../../src/cache/io/file-segment-store.ts';
import { LevelFileCatalog } from '../../src/cache/io/level-file-catalog.ts';
import { openFileSegmentStore } from '../../src/cache/io/open-file-segment-store.ts';
import { Checksummer } from '../../src/data/io/checksummer.ts';
import { type AnswerServer, startAnswerServer } from '../../src/data/io/answer-server.ts';
import type { OwnRead } from '../../src/data/own-answers.ts';
import { SegmentLoader } from '../../src/data/segment-loader.ts';
import { FileReader } from '../../src/read/file-reader.ts';
import type { ReadNetwork, ReadPlacement } from '../../src/read/read-network.ts';
import { SegmentSources } from '../../src/read/segment-sources.ts';
import { SourceChoice } from '../../src/read/source-choice.ts';
import { AttributeBook } from '../../src/s3/attribute-book.ts';
import { Authenticator } from '../../src/s3/authenticator.ts';
import { S3Service } from '../../src/s3/service.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { newMutes } from '../data/support.ts';
import { memoryPlane } from '../read/support.ts';
import { tempFolder, type TempFolder } from '../support/temp-folder.ts';
import { KEY_ID, PATIENT_SERVER, SECRET, unheardWrites } from './support.ts';

export const SEGMENT = 256 * 1024;
const REGION = 4 * SEGMENT;
export const SELF = peerId('me');
/** Presented to other peers. */
export const TOKEN = 'the token of peers';

/** What is not this peer. */
export interface Others {
  readonly under: MemoryUnderStore;
  readonly network: ReadNetwork;
  readonly placement: ReadPlacement;
  /** How long the thread waits for their short ranges. */
  readonly shortMaxMs: number;
}

export class StandingWorld implements AsyncDisposable {
  readonly under: MemoryUnderStore;
  readonly reads: OwnRead[] = [];
  /** Requests that the thread did not answer by itself. */
  askedCount = 0;
  readonly catalog: LevelFileCatalog;
  readonly store: FileSegmentStore;
  readonly reader: FileReader;
  readonly service: S3Service;
  readonly marks: ChangeMarks;
  readonly #folder: TempFolder;
  #server: AnswerServer | undefined;

  private constructor(opened: {
    folder: TempFolder;
    catalog: LevelFileCatalog;
    store: FileSegmentStore;
    marks: ChangeMarks;
    others: Others;
  }) {
    this.#folder = opened.folder;
    const { catalog, store, marks, others } = opened;
    this.under = others.under;
    this.catalog = catalog;
    this.store = store;
    this.marks = marks;
    const clock = new ManualClock();
    const stores = { storeOf: () => this.under, mounts: ['s3://b'] };
    const { network } = others;
    const loader = new SegmentLoader({
      ...{ store, plane: memoryPlane(this.under, store), mutes: newMutes(), logger: silentLogger },
    });
    const options = { stores, placement: () => others.placement, clock, network };
    const choice = new SourceChoice({ clock, random: new SeededRandom(1) });
    const sources = new SegmentSources({
      ...options,
      ...{ store, loader, choice, logger: silentLogger },
    });
    this.reader = new FileReader({
      ...options,
      ...{ catalog, sources, marks, segmentSizeBytes: SEGMENT, statTimeoutMs: 60_000 },
    });
    const book = new AttributeBook({
      stat: (path, signal) => this.under.stat(path, signal),
      clock,
    });
    this.service = new S3Service({
      stores,
      writes: unheardWrites(stores),
      objects: {
        stat: (path) => this.reader.find(path),
        open: (found, range, via) => this.reader.open(found, range, via),
        attributesOf: (found) => book.of(found),
        part: () => Promise.resolve(undefined),
      },
      authenticator: new Authenticator({ ...WHO, wallMs: () => Date.now() }),
      region: 'us-east-1',
      newRequestId: () => 'REQUEST',
      logger: silentLogger,
    });
  }

  /** @param capacityBytes of the cache, in regions of 1 MiB */
  static async open(
    capacityBytes = 16 * REGION,
    others: Others = nobodyElse(),
  ): Promise<StandingWorld> {
    const folder = await tempFolder('standing');
    const marks = new ChangeMarks();
    marks.name(1, 2);
    const path = join(folder.path, 'cache');
    const store = await openFileSegmentStore({
      directories: [{ path, capacityBytes }],
      ...{ regionSizeBytes: REGION, clock: new ManualClock(), logger: silentLogger, marks },
    });
    const catalog = await LevelFileCatalog.open(join(folder.path, 'files'), silentLogger, marks);
    const world = new StandingWorld({ folder, catalog, store, marks, others });
    await world.#listen(marks, others.shortMaxMs);
    return world;
  }

  async #listen(marks: ChangeMarks, shortMaxMs: number): Promise<void> {
    const { service, reader } = this;
    this.#server = await startAnswerServer({
      ...PATIENT_SERVER,
      answer: (request) => {
        this.askedCount++;
        return service.answer(request);
      },
      failed: (error, request) => service.errorAnswer(error, request),
      peers: { ...PATIENT_SERVER.peers, token: () => TOKEN, socketMaxCount: 16, shortMaxMs },
      thread: {
        file: new URL('../../src/node/s3-thread.js', import.meta.url),
        data: { mounts: ['s3://b'], who: WHO, marks: marks.memory, distantMaxAgeMs: 60_000 },
      },
      onOwnReads: (reads) => {
        this.reads.push(...reads);
        for (const { facts, key, from, count, bytes } of reads) {
          const { found } = facts as { found: FileRecord };
          reader.noteRead({ record: found, index: key.index, from, count, bytes });
        }
      },
    });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#server?.port ?? 0}`;
  }

  /** The object in the under store and in the caches, as a load leaves it. */
  async load(name: string, bytes: Uint8Array): Promise<FileRecord> {
    const path = `s3://b/${name}`;
    const object = this.under.put(path, bytes);
    const record = { ...object, segmentSizeBytes: SEGMENT, segmented: true, replicaCount: 1 };
    for (let at = 0, index = 0; at < bytes.length; at += SEGMENT, index++) {
      const part = bytes.subarray(at, at + SEGMENT);
      const key = { path, version: record.version, segmentSizeBytes: SEGMENT, index };
      const reservation = await this.store.reserve(key, part.length);
      await this.store.write(reservation.extent, 0, part);
      const sums = new Checksummer(part.length);
      sums.update(part);
      await reservation.commit(sums.result());
    }
    await this.catalog.putAll([record]);
    return record;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.close(1000);
    await this.store.close();
    await this.catalog.close();
    await this.#folder[Symbol.asyncDispose]();
  }
}

function nobodyElse(): Others {
  const nobody = (): never => {
    throw new RingloadError('peer_unreachable', 'there is nobody else');
  };
  return {
    under: new MemoryUnderStore(),
    network: {
      ...{ recordAt: nobody, listAt: nobody, holds: nobody, isLoading: nobody },
      openSegment: nobody,
    },
    placement: {
      ...{ self: SELF, members: [SELF] },
      ownersOf: () => [SELF],
      isReachable: () => true,
    },
    shortMaxMs: 60_000,
  };
}

const WHO = { accessKeys: new Map([[KEY_ID, SECRET]]), allowsAnonymous: true };

/** Bytes that are those of no other version, wherever one looks. */
export function versionBytes(name: string, number: number, lengthBytes: number): Buffer {
  return Buffer.alloc(lengthBytes, createHash('sha256').update(`${name} ${number}`).digest());
}
