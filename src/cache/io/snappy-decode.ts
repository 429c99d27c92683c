/** Undoes Snappy's block format, for input whose checksum was found right. */

export function snappyDecode(input: Uint8Array): Buffer {
  const { length, start } = lengthOf(input);
  const output = Buffer.alloc(length);
  let end = 0;
  const copy = (distance: number, count: number): void => {
    // Why byte by byte: a copy may reach into what it writes itself.
    for (let left = count; left > 0; left--, end++) output[end] = output[end - distance] ?? 0;
  };
  const byteAt = (at: number): number => input[at] ?? 0;
  for (let at = start; at < input.length;) {
    const tag = byteAt(at++);
    const high = tag >> 2;
    switch (tag & 3) {
      case 0: {
        const lengthBytes = Math.max(0, high - 59);
        const count = (lengthBytes === 0 ? high : littleEndian(input, at, lengthBytes)) + 1;
        at += lengthBytes;
        output.set(input.subarray(at, at + count), end);
        at += count;
        end += count;
        break;
      }
      case 1:
        copy(((tag >> 5) << 8) | byteAt(at), (high & 7) + 4);
        at += 1;
        break;
      case 2:
        copy(littleEndian(input, at, 2), high + 1);
        at += 2;
        break;
      default:
        copy(littleEndian(input, at, 4), high + 1);
        at += 4;
    }
  }
  return output;
}

function lengthOf(input: Uint8Array): { length: number; start: number } {
  let length = 0;
  for (let at = 0; at < 5; at++) {
    const byte = input[at] ?? 0;
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return { length, start: at + 1 };
  }
  throw new RangeError('a snappy block says no length');
}

function littleEndian(input: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let byte = 0; byte < count; byte++) value += (input[at + byte] ?? 0) * 2 ** (8 * byte);
  return value;
}
