/**
 * Which file a request of the Python clients is about.
 *
 * The clients put paths into the query as they are, so that `&`, `%`, `+` and blanks may mean
 * themselves or what they mean in a URL. But they put the SHA-256 of the path beside it: the
 * reading that has it is the one that was meant.
 */
import { createHash } from 'node:crypto';
import { RingloadError } from '../../base/errors.ts';
import { quoted } from '../../job/canonical-path.ts';
import { withoutClientPrefix } from '../load-request.ts';

const ID = /^[0-9a-f]{64}$/i;

/** The id by which clients know a path: with a trailing slash, or without. */
export function fileIdOf(path: string): string {
  return createHash('sha256').update(path).digest('hex');
}

/**
 * The path in `name` of a raw query, by the id that came with it.
 * @param id undefined: the client sends none, and the plain reading has to do.
 * @returns undefined when the query does not have it.
 * @throws invalid_argument when no reading has that id.
 */
export function pathFromQuery(
  rawQuery: string,
  name: string,
  id: string | undefined,
): string | undefined {
  const at = `&${rawQuery}`.indexOf(`&${name}=`);
  if (at < 0) return undefined;
  const rest = rawQuery.slice(at + name.length + 1);
  if (id === undefined) return withoutClientPrefix(plainReading(rest));
  if (!ID.test(id)) throw refused(`file id ${quoted(id)} must be 64 hex digits`);
  const wanted = id.toLowerCase();
  for (const reading of readings(rest)) {
    const path = withoutClientPrefix(reading);
    const bare = path.endsWith('/') ? path.slice(0, -1) : path;
    if ([reading, path, bare, `${bare}/`].some((text) => fileIdOf(text) === wanted)) return path;
  }
  throw refused(`file id ${quoted(id)} is that of no reading of ${name}`);
}

/** As any client of HTTP would be understood. */
function plainReading(rest: string): string {
  const value = rest.split('&', 1)[0] ?? '';
  return decoded(value) ?? value;
}

/** From the likeliest on: up to each `&`, and each decoded, as it is, and with `+` for blanks. */
function* readings(rest: string): Generator<string> {
  for (let end = rest.indexOf('&'); ; end = rest.indexOf('&', end + 1)) {
    const raw = end < 0 ? rest : rest.slice(0, end);
    for (const text of [raw, raw.replaceAll('+', ' ')]) {
      const reading = decoded(text);
      if (reading !== undefined) yield reading;
      yield text;
      // Some libraries encode what a URL cannot have, and leave escapes that were there alone.
      yield text.replaceAll('%20', ' ');
    }
    if (end < 0) return;
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function refused(message: string): RingloadError {
  return new RingloadError('invalid_argument', message);
}
