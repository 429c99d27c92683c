import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { clusterId, jobId, peerId } from '../../src/base/ids.ts';
import type { Freshness, Priority, RuleChanges } from '../../src/base/path-rule.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import { apply, parseCommand } from '../../src/cluster/apply.ts';
import {
  EMPTY_STATE,
  parseState,
  serializeState,
  type ClusterState,
} from '../../src/cluster/cluster-state.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { isActiveState } from '../../src/cluster/job-record.ts';
import { isOnRing } from '../../src/cluster/member.ts';
import { Ring } from '../../src/ring/ring.ts';
import { announcement, World } from './support.ts';

/** `CLUSTER_SEED=n` replays one sequence. */
const given = process.env['CLUSTER_SEED'];
const first = given === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(given);
const count = given === undefined ? 200 : 1;

function drawCommand(w: World, pick: (bound: number) => number): Command {
  const name = `p${pick(5)}`;
  const id = `j${pick(8)}`;
  const atMs = (w.atMs += pick(3));
  const weight = [1, 1, 2, 0.001, 1000][pick(5)] ?? 1;
  const member = announcement(name, { weight, generation: pick(3) });
  switch (pick(18)) {
    case 0:
      return { kind: 'cluster.create', clusterId: clusterId('c'), founder: member, atMs };
    case 1:
      return { kind: 'member.admit', member, atMs };
    case 2:
    case 3:
      return { kind: 'member.announce', member, atMs };
    case 4:
      return w.judge(name, (['up', 'suspect', 'down'] as const)[pick(3)] ?? 'up', pick(3));
    case 5:
      return { kind: pick(3) === 0 ? 'member.remove' : 'member.drain', id: peerId(name), atMs };
    case 6:
      return w.stop(id);
    case 7:
      return w.retry(id);
    case 8:
      return w.checkpoint(id, 1 + pick(3), pick(4), { cursor: `c${pick(9)}` });
    case 9:
      return w.finish(id, 1 + pick(3), pick(4), pick(2) === 0 ? 'SUCCEEDED' : 'FAILED');
    case 10:
      return { kind: 'job.prune', jobIds: [jobId(id)] };
    case 11:
      return { kind: 'rule.set', path: `s3://b/${pick(3)}`, changes: drawChanges(pick) };
    case 12:
      return { kind: 'cache.free', path: `s3://b/${pick(3)}`, evenPinned: pick(2) === 0 };
    case 13:
    case 14:
      return { kind: 'cache.freed', peer: peerId(name), number: pick(9) };
    default:
      return w.submit(id, `s3://b/${pick(3)}${'/x'.repeat(pick(3))}`, {
        ...{ replicas: 1 + pick(3), max: 4, segment: 1 + pick(2) },
      });
  }
}

function drawChanges(pick: (bound: number) => number): RuleChanges {
  const draw = <Value>(...values: Value[]): Value | null | undefined =>
    [null, undefined, ...values][pick(values.length + 2)];
  const changes = {
    freshness: draw<Freshness>('skip', { revalidateAfterMs: pick(9) }),
    pinned: draw(true),
    priority: draw<Priority>('high', 'low'),
    ttlMs: draw(1000),
    quotaBytes: draw(5),
  };
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

/** What is wrong with the step from one state to the next, if anything is. */
function broken(before: ClusterState, after: ClusterState): string | undefined {
  const active = [...after.jobs.values()].filter((job) => isActiveState(job.state));
  if (new Set(active.map((job) => job.spec.path)).size < active.length) return 'two jobs of a path';
  if (active.length > 4 + 3 * 3) return 'too many active jobs';
  const isCutTwice = active.some(({ spec: a }) =>
    active.some(
      ({ spec: b }) => b.path.startsWith(a.path) && a.segmentSizeBytes !== b.segmentSizeBytes,
    ),
  );
  if (isCutTwice) return 'files are cut in two ways at a time';
  if (after.epoch < before.epoch) return 'the epoch fell';
  const numbers = [...after.members.values()].map(({ raftId }) => raftId as number);
  if (new Set(numbers).size < numbers.length) return 'two members of one number';
  if (numbers.some((number) => number >= after.nextRaftId)) return 'a number is given twice';
  for (const [id, job] of before.jobs) {
    const next = after.jobs.get(id);
    if (!next) continue;
    if (next.run < job.run || (next.run === job.run && next.term < job.term)) return 'a step back';
    if (!isActiveState(job.state) && next.run === job.run && next !== job) return 'an end changed';
  }
  for (const [id, member] of before.members) {
    const next = after.members.get(id);
    if (next?.raftId !== member.raftId) return 'a number changed';
    if (member.state === 'left' && next !== member) return 'one that left came back';
  }
  const owners = (state: ClusterState): string =>
    JSON.stringify(
      [...state.members.values()].filter(isOnRing).map(({ id, weight }) => [id, weight]),
    );
  if ((owners(before) !== owners(after)) !== (before.epoch !== after.epoch)) {
    return 'epoch and owners do not agree';
  }
  if (before.epoch === after.epoch) return undefined;
  Ring.from({ epoch: after.epoch, members: [...after.members.values()].filter(isOnRing) });
  return undefined;
}

test('apply: no sequence of commands breaks an invariant, and states survive being written', (t) => {
  for (let seed = first; seed < first + count; seed += 1) {
    const random = new SeededRandom(seed);
    const w = new World();
    let replica: ClusterState = EMPTY_STATE;
    for (let step = 0; step < 120; step += 1) {
      const command = drawCommand(w, (bound) => randomInt(random, bound));
      const before = w.state;
      const answer = w.give(command);
      const replay = `CLUSTER_SEED=${seed}, step ${step}: ${command.kind}`;
      t.is(broken(before, w.state), undefined, replay);
      // Another peer reads the command from its log, and now and then starts from a snapshot.
      const there = apply(replica, parseCommand(JSON.stringify(command)));
      t.deepEqual(JSON.stringify(there.result), JSON.stringify(answer), replay);
      t.is(serializeState(there.state), serializeState(w.state), replay);
      replica = step % 7 === 0 ? parseState(serializeState(there.state)) : there.state;
    }
  }
});

test('cluster state: a state of another format is refused, an entry without a kind stops the peer', (t) => {
  const newer = serializeState(EMPTY_STATE).replace('"format":1', '"format":2');
  const error = t.throws(() => parseState(newer), { instanceOf: RingloadError });
  t.is(error.code, 'data_dir_foreign');
  t.throws(() => parseCommand('{}'), { name: 'InvariantError' });
  const unknown = { kind: 'job.fly', jobId: jobId('a') } as unknown as Command;
  t.throws(() => apply(EMPTY_STATE, unknown), { name: 'InvariantError' });
});
