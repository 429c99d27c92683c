/**
 * Whether a table file of LevelDB is whole: every block against its checksum. LevelDB itself does
 * not look at them when it reads, and a flipped bit then is another value, another key, or the end
 * of the process by an assertion. So tables are checked before it opens them.
 *
 * Format: blocks, each followed by one byte of compression type and a masked CRC32C of both; a
 * footer of 48 bytes names the index block and the meta index block, whose entries name the rest.
 */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

import { nativeCrc32c } from './native-crc32c.ts';
import { snappyDecode } from './snappy-decode.ts';

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = 0xdb47_7524_8b80_fb57n;
const MASK_DELTA = 0xa282_ead8;
const SNAPPY = 1;
/** No table is larger by far; a handle that says more is damage. */
const BLOCK_MAX_BYTES = 256 * 1024 * 1024;

interface BlockHandle {
  readonly offset: number;
  readonly sizeBytes: number;
}

class DamagedTable extends Error {}

/** What is wrong with the table, with the offset; undefined when it is whole. @throws of the disk */
export async function damageOfTable(path: string): Promise<string | undefined> {
  const file = await open(path, 'r');
  try {
    await checkTable(file);
    return undefined;
  } catch (error) {
    if (error instanceof DamagedTable) return error.message;
    throw error;
  } finally {
    await file.close();
  }
}

async function checkTable(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  if (size < FOOTER_BYTES) throw new DamagedTable(`it has ${size} bytes`);
  const footer = await readAt(file, size - FOOTER_BYTES, FOOTER_BYTES);
  if (footer.readBigUInt64LE(FOOTER_BYTES - 8) !== MAGIC) {
    throw new DamagedTable(`the footer at offset ${size - FOOTER_BYTES} is damaged`);
  }
  const reader = new VarintReader(footer);
  const metaIndex = handleFrom(reader);
  const index = handleFrom(reader);
  for (const directory of [metaIndex, index]) {
    for (const block of handlesIn(await readBlock(file, directory))) await readBlock(file, block);
  }
}

/** The content of a block that fits its checksum. */
async function readBlock(file: FileHandle, { offset, sizeBytes }: BlockHandle): Promise<Buffer> {
  if (sizeBytes > BLOCK_MAX_BYTES) throw new DamagedTable(`a block has ${sizeBytes} bytes`);
  const bytes = await readAt(file, offset, sizeBytes + TRAILER_BYTES);
  const crc = nativeCrc32c(bytes.subarray(0, sizeBytes + 1));
  const masked = (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
  if (bytes.readUInt32LE(sizeBytes + 1) !== masked) {
    throw new DamagedTable(`the block at offset ${offset} fails its checksum`);
  }
  const content = bytes.subarray(0, sizeBytes);
  return bytes[sizeBytes] === SNAPPY ? snappyDecode(content) : content;
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, offset);
  if (bytesRead < length) throw new DamagedTable(`it ends within the block at offset ${offset}`);
  return bytes;
}

/** The values of an index block: handles of other blocks. */
function* handlesIn(block: Buffer): Generator<BlockHandle> {
  const restartCount = block.readUInt32LE(block.length - 4);
  const reader = new VarintReader(block.subarray(0, block.length - 4 - 4 * restartCount));
  while (!reader.isAtEnd) {
    reader.next();
    const keyBytes = reader.next();
    const valueBytes = reader.next();
    reader.skip(keyBytes);
    yield handleFrom(new VarintReader(reader.take(valueBytes)));
  }
}

function handleFrom(reader: VarintReader): BlockHandle {
  return { offset: reader.next(), sizeBytes: reader.next() };
}

class VarintReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  next(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined || factor > Number.MAX_SAFE_INTEGER / 128) {
        throw new DamagedTable('a block handle is damaged');
      }
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  skip(count: number): void {
    this.#at += count;
  }

  take(count: number): Buffer {
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}
