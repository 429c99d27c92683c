import test from 'ava';
import { chooseLink } from '../../src/peer/choose-link.ts';
import type { LinkChoice, LinkFacts } from '../../src/peer/choose-link.ts';
import { idOf } from './support/world.ts';

const SMALL = idOf('a');
const LARGE = idOf('b');

function link(facts: {
  dialledBySelf: boolean;
  dialNumber?: number;
  remote?: 'small' | 'large';
  generation?: number;
  instance?: string;
}): LinkFacts {
  const { dialledBySelf, dialNumber = 1, generation = 1, instance = 'i' } = facts;
  const { remote = 'large' } = facts;
  return {
    remote: { id: remote === 'large' ? LARGE : SMALL, generation, instance },
    dialledBySelf,
    dialNumber,
  };
}

test('duplicate links: both ends keep the one dialled by the smaller id, in any order', (t) => {
  for (const firstDialledBySmall of [true, false]) {
    // The small end sees the large one as remote, and the reverse; the same two links.
    const atSmall = chooseLink(
      link({ dialledBySelf: firstDialledBySmall }),
      link({ dialledBySelf: !firstDialledBySmall }),
      SMALL,
    );
    const atLarge = chooseLink(
      link({ remote: 'small', dialledBySelf: !firstDialledBySmall }),
      link({ remote: 'small', dialledBySelf: firstDialledBySmall }),
      LARGE,
    );
    t.deepEqual(atSmall, atLarge);
    t.is(atSmall.kind, firstDialledBySmall ? 'keep' : 'switch');
  }
});

const CASES: readonly [string, LinkFacts, LinkFacts, LinkChoice][] = [
  [
    'the same side dialling again has lost its link',
    link({ dialledBySelf: false }),
    link({ dialledBySelf: false, dialNumber: 2 }),
    { kind: 'replace', restarted: false },
  ],
  [
    'an earlier dial of one side that arrives later is none',
    link({ dialledBySelf: false, dialNumber: 2 }),
    link({ dialledBySelf: false }),
    { kind: 'refuse', reason: 'stale_dial' },
  ],
  [
    'a later start replaces, even over the non-preferred direction',
    link({ dialledBySelf: true }),
    link({ dialledBySelf: false, generation: 2, instance: 'j' }),
    { kind: 'replace', restarted: true },
  ],
  [
    'an earlier start is refused, even over the preferred direction',
    link({ dialledBySelf: false, generation: 2, instance: 'j' }),
    link({ dialledBySelf: true }),
    { kind: 'refuse', reason: 'stale_generation' },
  ],
  [
    'another process of the same start is refused',
    link({ dialledBySelf: false }),
    link({ dialledBySelf: true, instance: 'j' }),
    { kind: 'refuse', reason: 'duplicate_id' },
  ],
];

for (const [title, existing, candidate, choice] of CASES) {
  test(`duplicate links: ${title}`, (t) => {
    t.deepEqual(chooseLink(existing, candidate, SMALL), choice);
  });
}
