/** Commands about path rules. What a rule may say is checked before it is proposed. */
import { RULE_FIELDS, type PathRule } from '../base/path-rule.ts';
import { done, refuse, type Applied } from './applied.ts';
import type { ClusterState } from './cluster-state.ts';
import type { CommandOf } from './commands.ts';

/** Rules that a cluster keeps: they are looked up for each read and lie in each snapshot. */
export const RULE_MAX_COUNT = 1000;

/** A rule that says nothing any more is none. */
export function applyRuleCommand(state: ClusterState, command: CommandOf<'rule.set'>): Applied {
  const { path, changes } = command;
  const known = state.rules.get(path);
  const fields = new Map<string, unknown>(Object.entries(known ?? {}));
  for (const field of RULE_FIELDS) {
    const value = changes[field];
    if (value === null) fields.delete(field);
    else if (value !== undefined) fields.set(field, value);
  }
  fields.delete('path');
  const rules = new Map(state.rules);
  rules.delete(path);
  if (fields.size === 0) return done(known ? { ...state, rules } : state, { rule: null });
  if (!known && state.rules.size >= RULE_MAX_COUNT) {
    const message = `set a rule for ${path}: there are ${String(RULE_MAX_COUNT)} rules already`;
    return refuse(state, 'conflict', message);
  }
  // Why in this order: equal rules give equal bytes, whatever the order in which they came about.
  const ordered = RULE_FIELDS.flatMap((field) =>
    fields.has(field) ? [[field, fields.get(field)] as const] : [],
  );
  const rule = { path, ...Object.fromEntries(ordered) } as PathRule;
  rules.set(path, rule);
  return done({ ...state, rules }, { rule });
}
