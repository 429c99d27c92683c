/** Log lines for people: `2026-01-31T12:00:00.000Z INFO  message key=value`. */

const HEAD_KEYS = ['level', 'ts', 'msg'];

/** @param line one JSON line of the log. What is no such line is passed on as it is. */
export function formatPlain(line: string): string {
  const fields = parse(line);
  if (fields === undefined) return line;
  const level = text(fields['level']).toUpperCase().padEnd(5);
  const rest = Object.entries(fields)
    .filter(([name]) => !HEAD_KEYS.includes(name))
    .map(([name, value]) => ` ${name}=${quoted(value)}`);
  return `${text(fields['ts'])} ${level} ${printable(text(fields['msg']))}${rest.join('')}\n`;
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}

/** Plain when it cannot be misread, else as JSON: a key with a line break stays on one line. */
function quoted(value: unknown): string {
  const shown = text(value);
  return /^[^\s"=\p{C}]+$/u.test(shown) ? shown : JSON.stringify(shown);
}

function printable(message: string): string {
  return /\p{C}/u.test(message) ? JSON.stringify(message) : message;
}
