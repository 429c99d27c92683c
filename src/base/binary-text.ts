/** Strings whose characters are bytes, as hashes give them: half as dear as a Buffer. */

/** The four bytes from `at` on as a whole number below 2^32, the lowest first. */
export function readUint32Le(binary: string, at: number): number {
  return (
    (binary.charCodeAt(at) |
      (binary.charCodeAt(at + 1) << 8) |
      (binary.charCodeAt(at + 2) << 16) |
      (binary.charCodeAt(at + 3) << 24)) >>>
    0
  );
}
