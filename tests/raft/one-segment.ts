/** A write-ahead log whose only segment has given bytes, to be loaded once. */
import { RingloadError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { LogFile, LogFiles } from '../../src/raft/log-files.ts';
import type { LogImage } from '../../src/raft/log-storage.ts';
import { WalLogStorage } from '../../src/raft/wal-log-storage.ts';

export const SEGMENT = 'raft-0000000001.log';

/** Reads given bytes as the only segment; keeps what it is told to cut off. */
class OneSegment implements LogFiles {
  cutAtBytes: number | undefined;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  describe(name: string): string {
    return `/data/${name}`;
  }
  list(): Promise<readonly string[]> {
    return Promise.resolve([SEGMENT]);
  }
  read(): Promise<Uint8Array> {
    return Promise.resolve(this.#bytes);
  }
  openAt(_name: string, sizeBytes: number): Promise<LogFile> {
    this.cutAtBytes = sizeBytes;
    return Promise.resolve({
      append: () => Promise.resolve(),
      sync: () => Promise.resolve(),
      close: () => Promise.resolve(),
    });
  }
  create(): Promise<LogFile> {
    return Promise.reject(new Error('not expected'));
  }
  rename(): Promise<void> {
    return Promise.reject(new Error('not expected'));
  }
  remove(): Promise<void> {
    return Promise.reject(new Error('not expected'));
  }
  syncDirectory(): Promise<void> {
    return Promise.reject(new Error('not expected'));
  }
}

export interface Loaded {
  readonly image: LogImage | undefined;
  readonly cutAtBytes: number | undefined;
  readonly error: RingloadError | undefined;
}

export async function load(bytes: Uint8Array): Promise<Loaded> {
  const files = new OneSegment(bytes);
  try {
    const image = await new WalLogStorage(files, silentLogger).load();
    return { image, cutAtBytes: files.cutAtBytes, error: undefined };
  } catch (error) {
    if (!(error instanceof RingloadError)) throw error;
    return { image: undefined, cutAtBytes: undefined, error };
  }
}
