/** The order that S3 lists in: by the UTF-8 bytes of the keys, not by UTF-16 units. */
export function compareKeys(left: string, right: string): number {
  if (left === right) return 0;
  return isAscii(left) && isAscii(right)
    ? compareUnits(left, right)
    : Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

function compareUnits(left: string, right: string): number {
  return left < right ? -1 : 1;
}
