/**
 * What heads of requests and of answers have in common (RFC 9112): where they end, and what a field
 * line may look like. Strict: whatever is unusual is somebody else's business.
 */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Field content without control characters but tab. */
const VALUE = /^[\t -~\x80-\xff]*$/;

export interface HeadField {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
}

/** Length of the head with its empty line, or -1 while the end is not there. */
export function headLength(bytes: Buffer, from: number): number {
  const end = bytes.indexOf('\r\n\r\n', Math.max(0, from - 3), 'latin1');
  return end < 0 ? -1 : end + 4;
}

/** Undefined for a malformed line. */
export function parseField(line: string): HeadField | undefined {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(0, colon));
  const value = line.slice(colon + 1).trim();
  return NAME.test(name) && VALUE.test(value) ? { name: name.toLowerCase(), value } : undefined;
}
