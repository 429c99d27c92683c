/** A data plane from memory to memory, whose fills wait for the test where it wants. */
import { Readable } from 'node:stream';
import { RingloadError, toRingloadError } from '../../src/base/errors.ts';
import { ManualClock, type Clock } from '../../src/base/clock.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import type { DataPlane, FillCommand, FillResult, FillSource } from '../../src/data/data-plane.ts';
import { Checksummer } from '../../src/data/io/checksummer.ts';
import { sumOf } from '../../src/data/io/extra-sum.ts';
import { MuteEndpoints } from '../../src/data/mute-endpoints.ts';
import type { LoadRequest } from '../../src/data/segment-loader.ts';

export const SEGMENT_BYTES = 8;

export function newStore(capacityBytes = 1024 * 1024): MemorySegmentStore {
  return new MemorySegmentStore({ capacityBytes, crc32c: nativeCrc32c });
}

export function keyOf(path = 's3://b/a', index = 0, version = 'v1'): SegmentKey {
  return { path, version, segmentSizeBytes: SEGMENT_BYTES, index };
}

export function requestOf(changes: Partial<LoadRequest> = {}): LoadRequest {
  return {
    key: keyOf(),
    lengthBytes: SEGMENT_BYTES,
    fileSizeBytes: SEGMENT_BYTES,
    peerEndpoints: [],
    allowUfs: true,
    ...changes,
  };
}

/** How long a peer is waited for in vain, as far as the memory of mute ones knows. */
export const WAIT_MS = 3000;

export function newMutes(clock: Clock = new ManualClock()): MuteEndpoints {
  return new MuteEndpoints({ clock, waitMs: WAIT_MS });
}

export class TestPlane implements DataPlane {
  /** What was asked, in order: `ufs` or the endpoint of a peer. */
  readonly asked: string[] = [];
  /** Runs before a fill writes: waits or throws. */
  before: (source: FillSource, signal: AbortSignal) => Promise<void> | void = () => undefined;
  readonly #store: MemorySegmentStore;

  constructor(store: MemorySegmentStore) {
    this.#store = store;
  }

  async fill({ source, extent, sum }: FillCommand, signal: AbortSignal): Promise<FillResult> {
    this.asked.push(source.kind === 'ufs' ? 'ufs' : source.endpoint);
    const bytes = new Uint8Array(extent.lengthBytes).fill(7);
    try {
      await this.before(source, signal);
      signal.throwIfAborted();
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      throw new RingloadError(code, message, { details: { receivedBytes: 3 } });
    }
    await this.#store.write(extent, 0, bytes);
    const sums = new Checksummer(bytes.length);
    sums.update(bytes);
    const { lengthBytes } = extent;
    const told = sum === undefined ? {} : { sum: await sumOf(sum, Readable.from([bytes])) };
    return { ...sums.result(), ...told, lengthBytes, receivedBytes: lengthBytes };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A door that a fill waits behind. */
export class Gate {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

/** Lets everything happen that needs no clock. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
