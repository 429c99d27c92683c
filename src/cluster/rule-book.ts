/**
 * Which rules are in force for a path. Each field is taken from the rule with the longest path that
 * has it and is the path itself or a directory above it, component by component: `s3://b/a` says
 * nothing about `s3://b/ab`. Quotas are the exception: all of those above a path hold.
 */
import type { PathRule } from '../base/path-rule.ts';

export type Effective = Omit<PathRule, 'path' | 'quotaBytes'>;

export interface Quota {
  readonly path: string;
  readonly quotaBytes: number;
}

export class RuleBook {
  readonly rules: readonly PathRule[];
  readonly #byPath: ReadonlyMap<string, PathRule>;
  readonly #effective = new Map<string, Effective>();

  /** Of two rules of one path the later one counts, field by field. */
  constructor(rules: Iterable<PathRule>) {
    const byPath = new Map<string, PathRule>();
    for (const rule of rules) byPath.set(rule.path, { ...byPath.get(rule.path), ...rule });
    this.#byPath = byPath;
    this.rules = [...byPath.values()];
  }

  /** The longest path of a rule at or above `path`; empty when no rule is. Paths of one group are treated alike. */
  groupOf(path: string): string {
    for (const candidate of pathsUpwards(path)) if (this.#byPath.has(candidate)) return candidate;
    return '';
  }

  effective(path: string): Effective {
    const group = this.groupOf(path);
    const known = this.#effective.get(group);
    if (known) return known;
    let merged: Effective = {};
    for (const { path: _path, quotaBytes: _quota, ...fields } of this.#above(group)) {
      merged = { ...fields, ...merged };
    }
    this.#effective.set(group, merged);
    return merged;
  }

  /** Innermost first. */
  quotasOf(path: string): readonly Quota[] {
    return [...this.#above(path)].flatMap(({ path: own, quotaBytes }) =>
      quotaBytes === undefined ? [] : [{ path: own, quotaBytes }],
    );
  }

  /** Rules at and above `path`, innermost first. */
  *#above(path: string): Generator<PathRule> {
    for (const candidate of pathsUpwards(path)) {
      const rule = this.#byPath.get(candidate);
      if (rule) yield rule;
    }
  }
}

/** `path` and its directories, up to the bucket. */
export function* pathsUpwards(path: string): Generator<string> {
  const root = path.indexOf('://') + 3;
  for (let at = path; at.length > root; at = at.slice(0, at.lastIndexOf('/'))) {
    yield at;
    if (at.lastIndexOf('/') < root) return;
  }
}
