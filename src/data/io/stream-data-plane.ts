/**
 * The data plane as plain code on the main thread: asynchronous streams in, positional writes out.
 *
 * Memory bound: two write buffers of 1 MiB for each running fill. A write is under way while the
 * next buffer fills, and nothing is received faster than it is written.
 */
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { ObjectAttributes } from '../../base/object-attributes.ts';
import type { UnderStores } from '../../ufs/under-store.ts';
import type { DataPlane, ExtentWriter, FillCommand, FillResult } from '../data-plane.ts';
import { partReceived } from '../fill-steps.ts';
import type { WriteTurns } from '../write-turns.ts';
import type { PeerSegments } from '../peer-segments.ts';
import { Checksummer } from './checksummer.ts';
import { ExtraSum } from './extra-sum.ts';

const WRITE_BUFFER_BYTES = 1024 * 1024;
const POOLED_BUFFER_MAX_COUNT = 64;

interface Progress {
  receivedBytes: number;
  isChecked: boolean;
  attributes: ObjectAttributes | undefined;
  readonly sum: ExtraSum | undefined;
}

interface OpenSource {
  readonly body: AsyncIterable<Uint8Array>;
  /** CRC32C that the source vouches for; absent for the under store. */
  readonly crc32c?: number;
}

export class StreamDataPlane implements DataPlane {
  readonly #stores: UnderStores;
  readonly #peers: PeerSegments;
  readonly #writer: ExtentWriter;
  readonly #pool: Buffer[] = [];

  readonly #turns: WriteTurns | undefined;

  /** @param options.turns absent: what is loaded ahead is written like everything else. */
  constructor(options: {
    stores: UnderStores;
    peers: PeerSegments;
    writer: ExtentWriter;
    turns?: WriteTurns;
  }) {
    this.#stores = options.stores;
    this.#peers = options.peers;
    this.#writer = options.writer;
    this.#turns = options.turns;
  }

  async fill(command: FillCommand, signal: AbortSignal): Promise<FillResult> {
    const { lengthBytes } = command.extent;
    const checksummer = new Checksummer(lengthBytes);
    const progress: Progress = {
      receivedBytes: 0,
      isChecked: false,
      attributes: undefined,
      sum: command.sum === undefined ? undefined : new ExtraSum(command.sum),
    };
    try {
      const source = await this.#open(command, progress, signal);
      await this.#receive(command, source.body, checksummer, progress, signal);
      const checksums = checksummer.result();
      if (source.crc32c !== undefined && source.crc32c !== checksums.crc32c) {
        throw new RingloadError(
          'segment_corrupt',
          'a peer sent a segment that does not match its checksum',
        );
      }
      const { receivedBytes, sum, isChecked, attributes } = progress;
      return {
        ...{ ...checksums, lengthBytes, receivedBytes, isChecked },
        ...(sum && { sum: sum.result() }),
        ...(attributes && { attributes }),
      };
    } catch (thrown) {
      const error = signal.aborted ? cancelled(signal, thrown) : toRingloadError(thrown);
      const details = { ...error.details, receivedBytes: progress.receivedBytes };
      throw new RingloadError(error.code, error.message, { details, cause: thrown });
    }
  }

  close(): Promise<void> {
    this.#peers.close();
    return Promise.resolve();
  }

  async #open(
    { source, urgency }: FillCommand,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<OpenSource> {
    if (source.kind === 'ufs') {
      const onChecked = (): void => {
        progress.isChecked = true;
      };
      const onAttributes = (attributes: ObjectAttributes): void => {
        progress.attributes = attributes;
      };
      const isFirst = source.range.offset === 0;
      const range = { ...source.range, onChecked, ...(isFirst && { onAttributes }) };
      return { body: this.#stores.storeOf(range.path).readRange(range, signal) };
    }
    const { endpoint, key, lengthBytes } = source;
    const isAhead = urgency?.isUrgent === false;
    const segment = await this.#peers.open(endpoint, { key, offset: 0 }, signal, { isAhead });
    if (segment.lengthBytes !== lengthBytes) {
      throw new RingloadError(
        'segment_corrupt',
        `${endpoint} holds ${String(segment.lengthBytes)} bytes, not ${String(lengthBytes)}`,
      );
    }
    return segment;
  }

  async #receive(
    command: FillCommand,
    body: AsyncIterable<Uint8Array>,
    checksummer: Checksummer,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    const { extent } = command;
    const bufferBytes = Math.min(WRITE_BUFFER_BYTES, extent.lengthBytes);
    // Taken when there is something to put into it: most segments of small files need one only.
    let buffer: Buffer | undefined;
    let used = 0;
    let writing: Promise<void> = Promise.resolve();
    let written = 0;
    const flush = async (full: Buffer): Promise<void> => {
      await writing;
      const bytes = full.subarray(0, used);
      checksummer.update(bytes);
      progress.sum?.update(bytes);
      writing = this.#write(command, written, bytes).finally(() => {
        this.#giveBack(full);
      });
      // Why: the failure is seen at the next await; until then it must not count as unhandled.
      writing.catch(() => undefined);
      written += used;
      used = 0;
      buffer = undefined;
    };
    try {
      for await (const chunk of body) {
        signal.throwIfAborted();
        progress.receivedBytes += chunk.length;
        if (progress.receivedBytes < extent.lengthBytes) partReceived();
        if (written + used + chunk.length > extent.lengthBytes) {
          throw new RingloadError(
            'ufs_bad_response',
            `received more than the ${String(extent.lengthBytes)} bytes asked for`,
          );
        }
        await command.passage?.pass(chunk.length, signal);
        for (let at = 0; at < chunk.length;) {
          const part = chunk.subarray(at, at + bufferBytes - used);
          buffer ??= this.#takeBuffer();
          buffer.set(part, used);
          used += part.length;
          at += part.length;
          if (used === bufferBytes) await flush(buffer);
        }
      }
      if (buffer) await flush(buffer);
      await writing;
    } finally {
      if (buffer) this.#giveBack(buffer);
      await writing.catch(() => undefined);
    }
    if (written !== extent.lengthBytes) {
      throw new RingloadError(
        'ufs_bad_response',
        `received ${String(written)} of ${String(extent.lengthBytes)} bytes`,
      );
    }
  }

  #write({ extent, urgency }: FillCommand, position: number, bytes: Uint8Array): Promise<void> {
    const write = (): Promise<void> => this.#writer.write(extent, position, bytes);
    return this.#turns ? this.#turns.run(write, () => urgency?.isUrgent === false) : write();
  }

  #takeBuffer(): Buffer {
    return this.#pool.pop() ?? Buffer.allocUnsafeSlow(WRITE_BUFFER_BYTES);
  }

  #giveBack(buffer: Buffer): void {
    if (this.#pool.length < POOLED_BUFFER_MAX_COUNT) this.#pool.push(buffer);
  }
}

function cancelled(signal: AbortSignal, cause: unknown): RingloadError {
  return signal.reason instanceof RingloadError
    ? signal.reason
    : new RingloadError('cancelled', 'the fill was given up', { cause });
}
