/** A line of a list of paths, wherever the list lies. */

/** The root that a line names, undefined when it names none. */
export function rootOfLine(line: string): string | undefined {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  if (text === '' || text.startsWith('#')) return undefined;
  return text.length > 1 && text.endsWith('/') ? text.slice(0, -1) : text;
}
