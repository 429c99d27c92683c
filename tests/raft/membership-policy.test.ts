import test from 'ava';
import fc from 'fast-check';
import type { RaftId } from '../../src/base/ids.ts';
import { logIndex, raftId, term } from '../../src/base/ids.ts';
import type { MembershipChange, RaftStatus } from '../../src/raft/consensus.ts';
import type { MemberHealth } from '../../src/raft/membership-policy.ts';
import { planMembership, targetVoterCount } from '../../src/raft/membership-policy.ts';
import { quorumOf, votersAfter } from '../../src/raft/membership.ts';

const LIMITS = { maxVoters: 5, replaceAfterMs: 60_000, promoteLagEntries: 10 };
const LONG_MS = 60_000;

interface World {
  voters: RaftId[];
  learners: RaftId[];
  members: MemberHealth[];
  /** Learners that lack too much to be given a vote. */
  lagging?: readonly RaftId[];
}

const ids = (...numbers: number[]): RaftId[] => numbers.map(raftId);

function health(id: number, parts: Partial<MemberHealth> = {}): MemberHealth {
  return {
    raftId: raftId(id),
    alive: true,
    goneForMs: 0,
    zone: undefined,
    leaving: false,
    ...parts,
  };
}

const gone = (id: number, goneForMs = LONG_MS): MemberHealth =>
  health(id, { alive: false, goneForMs });
const leaving = (id: number): MemberHealth => health(id, { leaving: true });

/** Member 1 leads. */
function statusOf(world: World): RaftStatus {
  const lagging = new Set(world.lagging);
  const all = [...world.voters, ...world.learners];
  return {
    id: raftId(1),
    role: 'leader',
    term: term(3),
    leaderId: raftId(1),
    commitIndex: logIndex(1_000),
    appliedIndex: logIndex(1_000),
    voters: world.voters,
    learners: world.learners,
    matchIndex: new Map(all.map((id) => [id, logIndex(lagging.has(id) ? 989 : 990)])),
  };
}

const plan = (world: World): MembershipChange | undefined =>
  planMembership(statusOf(world), world.members, LIMITS);

function after(world: World, change: MembershipChange): World {
  const learners = world.learners.filter((id) => id !== change.id);
  if (change.kind === 'add-learner' || change.kind === 'demote') learners.push(change.id);
  return { ...world, voters: votersAfter(world.voters, change), learners };
}

/** All changes until nothing is left to do. */
function course(start: World): { changes: string[]; end: World } {
  const changes: string[] = [];
  let end = start;
  for (let change = plan(end); change; change = plan(end)) {
    changes.push(`${change.kind} ${change.id}`);
    if (changes.length > 60) throw new Error(`does not end: ${changes.join(', ')}`);
    end = after(end, change);
  }
  return { changes, end };
}

const everybody = (count: number): MemberHealth[] =>
  Array.from({ length: count }, (_, at) => health(at + 1));

const COURSES: readonly [title: string, world: World, changes: string[]][] = [
  ['one member is enough', { voters: ids(1), learners: [], members: everybody(1) }, []],
  [
    'the second member only listens',
    { voters: ids(1), learners: [], members: everybody(2) },
    ['add-learner 2'],
  ],
  [
    'three members all vote',
    { voters: ids(1), learners: ids(2), members: everybody(3) },
    ['add-learner 3', 'add-voter 2', 'add-voter 3'],
  ],
  [
    'one learner that has not caught up holds up the pair',
    { voters: ids(1), learners: ids(2, 3), members: everybody(3), lagging: ids(3) },
    [],
  ],
  [
    'an even number is completed as soon as possible',
    { voters: ids(1, 2), learners: ids(3), members: everybody(3) },
    ['add-voter 3'],
  ],
  [
    'a fourth member only listens',
    { voters: ids(1, 2, 3), learners: ids(4), members: everybody(4) },
    [],
  ],
  [
    'five members all vote',
    { voters: ids(1, 2, 3), learners: ids(4, 5), members: everybody(5) },
    ['add-voter 4', 'add-voter 5'],
  ],
  [
    'the sixth and seventh only listen',
    { voters: ids(1, 2, 3, 4, 5), learners: ids(6, 7), members: everybody(7) },
    [],
  ],
  [
    'a voter that is gone for long is replaced, the new one first',
    { voters: ids(1, 2, 3), learners: ids(4), members: [...everybody(2), gone(3), health(4)] },
    ['add-voter 4', 'demote 3'],
  ],
  [
    'a voter that is gone for a moment keeps its vote',
    {
      voters: ids(1, 2, 3),
      learners: ids(4),
      members: [...everybody(2), gone(3, LONG_MS - 1), health(4)],
    },
    [],
  ],
  [
    'a voter that is gone keeps its vote while nobody can replace it',
    { voters: ids(1, 2, 3), learners: [], members: [...everybody(2), gone(3)] },
    [],
  ],
  [
    'a voter that leaves is replaced, then removed',
    { voters: ids(1, 2, 3), learners: ids(4), members: [...everybody(2), leaving(3), health(4)] },
    ['add-voter 4', 'remove 3'],
  ],
  [
    'of three members one leaves: the leader votes alone',
    { voters: ids(1, 2, 3), learners: [], members: [...everybody(2), leaving(3)] },
    ['remove 3', 'demote 2'],
  ],
  [
    'of five members one leaves: three votes are left',
    { voters: ids(1, 2, 3, 4, 5), learners: [], members: [...everybody(4), leaving(5)] },
    ['remove 5', 'demote 4'],
  ],
  [
    'of five members two that are dead leave: one after the other, three votes are left',
    {
      voters: ids(1, 2, 3, 4, 5),
      learners: [],
      members: [...everybody(3), ...[4, 5].map((id) => ({ ...gone(id), leaving: true }))],
    },
    ['remove 5', 'remove 4'],
  ],
  [
    'of five members two that are dead leave and two join: all five votes are given anew',
    {
      voters: ids(1, 2, 3, 4, 5),
      learners: [],
      members: [
        ...everybody(3),
        ...[4, 5].map((id) => ({ ...gone(id), leaving: true })),
        ...[6, 7].map((id) => health(id)),
      ],
    },
    ['add-learner 6', 'add-learner 7', 'add-voter 6', 'remove 5', 'add-voter 7', 'remove 4'],
  ],
  [
    'a learner that leaves is removed at once',
    { voters: ids(1, 2, 3), learners: ids(4), members: [...everybody(3), leaving(4)] },
    ['remove 4'],
  ],
  [
    'members that nobody knows are removed',
    { voters: ids(1, 2, 3), learners: ids(9), members: everybody(2) },
    ['remove 9', 'remove 3', 'demote 2'],
  ],
  [
    'a leader that leaves changes nothing but hands over',
    { voters: ids(1, 2, 3), learners: [], members: [leaving(1), health(2), health(3)] },
    [],
  ],
  [
    'a leader that leaves and votes alone gives a vote to its successor',
    { voters: ids(1), learners: ids(2), members: [leaving(1), health(2)] },
    ['add-voter 2'],
  ],
  [
    'without a live majority nothing is tried',
    { voters: ids(1, 2, 3), learners: ids(4), members: [health(1), gone(2), gone(3), health(4)] },
    [],
  ],
  [
    'an even number that cannot grow shrinks',
    { voters: ids(1, 2), learners: ids(3), members: [...everybody(2), gone(3)] },
    ['demote 2'],
  ],
  [
    'new votes go to the zones that have the fewest',
    {
      voters: ids(1, 2, 3),
      learners: ids(4, 5, 6),
      members: [
        ...[1, 2, 4].map((id) => health(id, { zone: 'a' })),
        ...[3, 5].map((id) => health(id, { zone: 'b' })),
        health(6, { zone: 'c' }),
      ],
    },
    ['add-voter 6', 'add-voter 5'],
  ],
];

for (const [title, world, changes] of COURSES) {
  test(`membership policy: ${title}`, (t) => {
    t.deepEqual(course(world).changes, changes);
  });
}

test('membership policy: only a leader plans', (t) => {
  const world = { voters: ids(1), learners: ids(2, 3), members: everybody(3) };
  t.is(planMembership({ ...statusOf(world), role: 'follower' }, world.members, LIMITS), undefined);
});

test('membership policy: the number of votes for a number of members', (t) => {
  const table = [0, 1, 2, 3, 4, 5, 6, 1_000].map((count) => targetVoterCount(count, 5));
  t.deepEqual(table, [1, 1, 1, 3, 3, 5, 5, 5]);
  t.deepEqual(
    [0, 1, 2, 3, 4, 5, 9].map((max) => targetVoterCount(9, max)),
    [1, 1, 1, 3, 3, 5, 5],
  );
});

const arbitraryWorld: fc.Arbitrary<World> = fc
  .array(
    fc.record({
      place: fc.constantFrom('voter', 'learner', 'none'),
      isKnown: fc.boolean(),
      alive: fc.boolean(),
      goneForMs: fc.constantFrom(0, LONG_MS - 1, LONG_MS),
      leaving: fc.boolean(),
      isLagging: fc.boolean(),
      zone: fc.constantFrom('a', 'b', undefined),
    }),
    { maxLength: 9 },
  )
  .map((others) => {
    const world: Required<World> = {
      voters: ids(1),
      learners: [],
      members: [health(1)],
      lagging: [],
    };
    const lagging: RaftId[] = [];
    for (const [at, other] of others.entries()) {
      const id = raftId(at + 2);
      if (other.place === 'voter') world.voters.push(id);
      if (other.place === 'learner') world.learners.push(id);
      if (other.isLagging) lagging.push(id);
      const { alive, leaving: isLeaving, zone } = other;
      const goneForMs = alive ? 0 : other.goneForMs;
      if (other.isKnown)
        world.members.push({ raftId: id, alive, goneForMs, zone, leaving: isLeaving });
    }
    return { ...world, lagging };
  });

const SEED = Number(process.env['RAFT_POLICY_SEED'] ?? 20_261_123);

function liveMajority(world: World): boolean {
  const live = world.voters.filter((id) => world.members.find((m) => m.raftId === id)?.alive);
  return world.voters.length > 0 && live.length >= quorumOf(world.voters.length);
}

test('membership policy: every step keeps a live majority and the leader, and steps end', (t) => {
  fc.assert(
    fc.property(arbitraryWorld, (start) => {
      let world = start;
      const hadMajority = liveMajority(world);
      for (let step = 0; ; step++) {
        const change = plan(world);
        if (!change) break;
        t.true(hadMajority && step < 60);
        t.not(change.id, raftId(1));
        world = after(world, change);
        t.true(world.voters.includes(raftId(1)));
        t.true(liveMajority(world));
      }
    }),
    { seed: SEED, numRuns: 3_000 },
  );
});

test('membership policy: with everybody well it ends at the target, whatever it starts from', (t) => {
  fc.assert(
    fc.property(arbitraryWorld, (start) => {
      const members = start.members.map((member) => ({
        ...member,
        alive: true,
        goneForMs: 0,
        leaving: false,
      }));
      // Voters that nobody knows may be so many that no step is safe.
      const known = new Set(members.map((member) => member.raftId));
      const voters = start.voters.filter((id) => known.has(id));
      const { end } = course({ ...start, members, voters, lagging: [] });
      t.is(end.voters.length, targetVoterCount(members.length, LIMITS.maxVoters));
      t.deepEqual([...end.voters, ...end.learners].sort(), [...known].sort());
    }),
    { seed: SEED, numRuns: 2_000 },
  );
});

test('membership policy: nobody who leaves is left, unless it leads', (t) => {
  fc.assert(
    fc.property(arbitraryWorld, (start) => {
      const members = start.members.map((each) => ({ ...each, alive: true, goneForMs: 0 }));
      t.false(members[0]?.leaving);
      const known = new Set(members.map((member) => member.raftId));
      const voters = start.voters.filter((id) => known.has(id));
      const { end } = course({ ...start, members, voters });
      const left = members.filter((each) => each.leaving).map((each) => each.raftId);
      t.deepEqual(
        [...end.voters, ...end.learners].filter((id) => left.includes(id)),
        [],
      );
    }),
    { seed: SEED, numRuns: 2_000 },
  );
});
