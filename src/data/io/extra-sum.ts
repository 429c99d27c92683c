/** A second checksum of the bytes that pass by, of the kind that the under store keeps. */
import { crc32c } from '@node-rs/crc32';
import { crc32 } from 'node:zlib';
import { formatSum, type CombinableSum } from '../../base/crc-combine.ts';
import { Crc64Nvme } from '../../base/crc64nvme.ts';

export class ExtraSum {
  readonly algorithm: CombinableSum;
  readonly #crc64 = new Crc64Nvme();
  #crc = 0;

  constructor(algorithm: CombinableSum) {
    this.algorithm = algorithm;
  }

  update(bytes: Uint8Array): void {
    if (this.algorithm === 'crc64nvme') this.#crc64.update(bytes);
    else if (this.algorithm === 'crc32') this.#crc = crc32(bytes, this.#crc);
    else this.#crc = crc32c(bytes, this.#crc);
  }

  /** Lower-case hex digits. */
  result(): string {
    const value = this.algorithm === 'crc64nvme' ? this.#crc64.value() : BigInt(this.#crc >>> 0);
    return formatSum(this.algorithm, value);
  }
}

export async function sumOf(
  algorithm: CombinableSum,
  chunks: AsyncIterable<Uint8Array>,
): Promise<string> {
  const sum = new ExtraSum(algorithm);
  for await (const chunk of chunks) sum.update(chunk);
  return sum.result();
}
