import test from 'ava';
import fc from 'fast-check';
import type { PathRule } from '../../src/base/path-rule.ts';
import { parseState, serializeState } from '../../src/cluster/cluster-state.ts';
import { RULE_MAX_COUNT } from '../../src/cluster/apply-rule.ts';
import { RuleBook } from '../../src/cluster/rule-book.ts';
import { isAtOrBelow } from '../../src/ufs/path.ts';
import { World } from './support.ts';

test('rules: a change merges into the rule of its path, and a rule that says nothing is none', (t) => {
  const world = new World().found('p1');
  const set = (changes: object): unknown =>
    world.value({ kind: 'rule.set', path: 's3://b/a', changes });
  set({ freshness: 'skip' });
  t.deepEqual(set({ pinned: true }), {
    rule: { path: 's3://b/a', pinned: true, freshness: 'skip' },
  });
  t.deepEqual(parseState(serializeState(world.state)).rules, world.state.rules);
  set({ freshness: null });
  t.deepEqual([...world.state.rules.values()], [{ path: 's3://b/a', pinned: true }]);
  t.deepEqual(set({ pinned: null }), { rule: null });
  t.is(world.state.rules.size, 0);
  const before = world.state;
  t.deepEqual(set({ ttlMs: null }), { rule: null });
  t.is(world.state, before, 'nothing changes where nothing was');
});

test('rules: there are so many and not one more', (t) => {
  const world = new World().found('p1');
  for (let n = 0; n < RULE_MAX_COUNT; n += 1) {
    world.value({ kind: 'rule.set', path: `s3://b/${n}`, changes: { pinned: true } });
  }
  t.is(world.code({ kind: 'rule.set', path: 's3://b/x', changes: { pinned: true } }), 'conflict');
  world.value({ kind: 'rule.set', path: 's3://b/7', changes: { ttlMs: 5000 } });
  world.value({ kind: 'rule.set', path: 's3://b/8', changes: { pinned: null } });
  world.value({ kind: 'rule.set', path: 's3://b/x', changes: { pinned: true } });
});

test('rules: a state of a version that knew no rules has none', (t) => {
  const old = JSON.parse(serializeState(new World().found('p1').state)) as Record<string, unknown>;
  delete old['rules'];
  t.is(parseState(JSON.stringify(old)).rules.size, 0);
});

test('rule book: each field comes from the longest path that has it, quotas from all', (t) => {
  const book = new RuleBook([
    { path: 's3://b', freshness: { revalidateAfterMs: 5 }, quotaBytes: 9 },
    { path: 's3://b/a', priority: 'high', quotaBytes: 3 },
    { path: 's3://b/a/x', priority: 'low', pinned: true },
  ]);
  t.deepEqual(book.effective('s3://b/a/x/1'), {
    freshness: { revalidateAfterMs: 5 },
    priority: 'low',
    pinned: true,
  });
  t.deepEqual(book.effective('s3://b/ab'), { freshness: { revalidateAfterMs: 5 } });
  t.deepEqual(book.effective('s3://c/a'), {});
  t.deepEqual(book.quotasOf('s3://b/a/x'), [
    { path: 's3://b/a', quotaBytes: 3 },
    { path: 's3://b', quotaBytes: 9 },
  ]);
  t.is(book.groupOf('s3://b/a/xy'), 's3://b/a');
  t.is(book.groupOf('file:///data/1'), '');
});

test('rule book: agrees with the rules looked through one by one', (t) => {
  const part = fc.constantFrom('a', 'b', 'ab', '', '..', 'é');
  const path = fc.array(part, { maxLength: 4 }).map((parts) => ['s3://b', ...parts].join('/'));
  const root = path.map((text) => text.replace(/\/$/, '')).filter((text) => text !== 's3:/');
  const rule = fc.record({
    path: root,
    priority: fc.constantFrom('high' as const, 'low' as const),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(rule, { selector: (r) => r.path, maxLength: 6 }),
      path,
      (rules, at) => {
        const best = rules
          .filter((each) => isAtOrBelow(each.path, at))
          .reduce<PathRule | undefined>(
            (longest, each) => (each.path.length > (longest?.path.length ?? 0) ? each : longest),
            undefined,
          );
        const book = new RuleBook(rules);
        t.is(book.groupOf(at), best?.path ?? '');
        t.is(book.effective(at).priority, best?.priority);
      },
    ),
  );
});
