/** Several paths in one request: bounded, and in the one spelling that a job is known by. */
import { RingloadError } from '../base/errors.ts';
import { canonicalLoadPath } from './canonical-path.ts';
import { PathList } from './path-list.ts';
import { itemsAfter } from './root-items.ts';
import { JOB_LIMITS, type JobSpec } from './spec.ts';
import { refused, texts, type Given } from './spec-values.ts';

export function pathsFrom(given: Given): Pick<JobSpec, 'path' | 'paths'> {
  const { pathsMaxCount, pathsMaxBytes } = JOB_LIMITS;
  const listed = texts(given);
  const hint = 'put a longer list into the under store and name it as index';
  if (listed.length > pathsMaxCount) {
    const rule = `${given.name} has ${listed.length} paths: at most ${pathsMaxCount} are taken; ${hint}`;
    throw new RingloadError('invalid_argument', rule);
  }
  const paths = canonicalPaths(listed);
  const byteCount = paths.reduce((sum, path) => sum + utf8Length(path), 0);
  if (byteCount > pathsMaxBytes) {
    const rule = `${given.name} has ${byteCount} bytes of paths: at most ${pathsMaxBytes} are taken; ${hint}`;
    throw new RingloadError('invalid_argument', rule);
  }
  const [path] = paths;
  if (path === undefined) throw refused(given, 'must name a path');
  return paths.length === 1 ? { path } : { path, paths };
}

export function utf8Length(path: string): number {
  return new TextEncoder().encode(path).length;
}

/**
 * Several paths as a job knows them: canonical, in order, each once, none below another.
 * @throws invalid_argument
 */
export function canonicalPaths(paths: readonly string[]): readonly string[] {
  const list = PathList.of(paths.map(canonicalLoadPath));
  const roots = new Set<string>();
  for (const item of itemsAfter(list, undefined, () => undefined)) {
    if (item.kind !== 'rest') roots.add(item.root);
  }
  return [...roots];
}
