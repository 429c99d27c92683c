import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { clusterId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { PathRule } from '../../src/base/path-rule.ts';
import type { Retention } from '../../src/cache/retention.ts';
import { RuleBook } from '../../src/cluster/rule-book.ts';
import { RetentionKeeper } from '../../src/node/keep-retention.ts';
import { ReplicatedState } from '../../src/node/replicated-state.ts';
import { retentionOf } from '../../src/node/retention-of.ts';
import { RulesInForce } from '../../src/node/rules-in-force.ts';
import { settle } from '../data/support.ts';
import { announcementOf } from './support/fakes.ts';

class World {
  readonly clock = new ManualClock();
  readonly state = new ReplicatedState();
  readonly given: Retention[] = [];
  share = 0.25;
  expireCount = 0;
  readonly keeper: RetentionKeeper;

  constructor(mounts: ConstructorParameters<typeof RulesInForce>[1] = []) {
    const rules = new RulesInForce(() => this.state.current, mounts);
    this.keeper = new RetentionKeeper({
      store: {
        setRetention: (retention) => {
          this.given.push(retention);
          return Promise.resolve();
        },
        expire: () => Promise.resolve((this.expireCount += 1)),
      },
      state: this.state,
      book: () => rules.book,
      share: () => this.share,
      clock: this.clock,
      logger: silentLogger,
    });
  }

  give(command: object): void {
    this.state.apply(JSON.stringify(command));
  }

  found(): this {
    const founder = announcementOf('a');
    this.give({ kind: 'cluster.create', clusterId: clusterId('c'), founder, atMs: 0 });
    return this;
  }

  rule({ path, ...changes }: PathRule): void {
    this.give({ kind: 'rule.set', path, changes });
  }
}

test('retention: nothing is said before the log was read, then each change once', (t) => {
  const world = new World();
  t.is(world.given.length, 0);
  world.found();
  t.is(world.given.length, 1);
  world.rule({ path: 's3://b/a', pinned: true });
  t.is(world.given.length, 2);
  t.is(world.given[1]?.policyOf(world.given[1].groupOf('s3://b/a/1')).rank, 4);
  world.give({ kind: 'job.prune', jobIds: [] });
  t.is(world.given.length, 2);
  world.share = 0.5;
  world.give({ kind: 'job.prune', jobIds: ['x'] });
  t.is(world.given.length, 3, 'quotas are other ones now');
  world.keeper.close();
  world.rule({ path: 's3://b/c', pinned: true });
  t.is(world.given.length, 3);
});

test('retention: expired segments are looked for as often as the shortest time asks for', async (t) => {
  const world = new World().found();
  world.clock.advance(600_000);
  t.is(world.expireCount, 0, 'not without such a rule');
  world.rule({ path: 's3://b/a', ttlMs: 3_600_000 });
  world.clock.advance(60_000);
  await settle();
  t.is(world.expireCount, 1);
  world.rule({ path: 's3://b/c', ttlMs: 20_000 });
  for (let n = 0; n < 5; n += 1) {
    world.clock.advance(2000);
    await settle();
  }
  t.is(world.expireCount, 6);
  world.keeper.close();
  world.clock.advance(600_000);
  t.is(world.expireCount, 6);
});

test('retention: the shares of a quota never add up to more than it', (t) => {
  const book = new RuleBook([
    { path: 's3://b', quotaBytes: 1000 },
    { path: 's3://b/a', quotaBytes: 10, priority: 'low', ttlMs: 5000 },
  ]);
  let sum = 0;
  for (const share of [0.334, 0.333, 0.333]) {
    const retention = retentionOf(book, share);
    const policy = retention.policyOf(retention.groupOf('s3://b/a/1'));
    t.is(policy.rank, 1);
    t.is(policy.ttlMs, 5000);
    t.deepEqual(
      policy.quotas.map(({ path }) => path),
      ['s3://b/a', 's3://b'],
    );
    sum += policy.quotas[1]?.bytes ?? 0;
  }
  t.true(sum <= 1000 && sum > 990, `${sum}`);
  t.is(retentionOf(book, 1).groupOf('s3://c/x'), '');
});

test('rules in force: a rule of a mount holds until one of its path says otherwise', (t) => {
  const state = new ReplicatedState();
  const rules = new RulesInForce(
    () => state.current,
    [{ path: 's3://b/', freshness: 'always' }, { path: 's3://c' }],
  );
  t.deepEqual(rules.freshnessOf('s3://b/x'), { revalidateAfterMs: 0 });
  t.is(rules.freshnessOf('s3://c/x'), 'immutable');
  const set = (path: string, changes: object): unknown =>
    state.apply(JSON.stringify({ kind: 'rule.set', path, changes }));
  set('s3://b', { pinned: true });
  t.deepEqual(rules.freshnessOf('s3://b/x'), { revalidateAfterMs: 0 });
  set('s3://b', { freshness: 'skip' });
  t.is(rules.freshnessOf('s3://b/x'), 'skip');
  t.is(rules.book, rules.book);
});
