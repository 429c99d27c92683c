/**
 * Two defects that random runs hardly ever reach, each as a script for one real member whose peers
 * are played by the test. The same script shows that the sound member resists and that the planted
 * defect would be seen.
 */
import test from 'ava';
import { ManualClock } from '../../../src/base/clock.ts';
import { logIndex, raftId, term } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { SeededRandom } from '../../../src/base/random.ts';
import { createConsensus } from '../../../src/raft/create-consensus.ts';
import type { LogEntry } from '../../../src/raft/log-storage.ts';
import { MemoryLogStorage } from '../../../src/raft/memory-log-storage.ts';
import type { WireMessage } from '../../../src/raft/wire-message.ts';
import { MESSAGE_TYPE, decodeMessage, encodeMessage } from '../../../src/raft/wire-message.ts';
import { PLANTED_BUGS } from './planted-bugs.ts';
import { settle } from './virtual-time.ts';

const SELF = raftId(1);
const PEER = raftId(2);
const OTHER = raftId(3);

async function lonelyMember(bugName?: string) {
  const clock = new ManualClock();
  const sent: WireMessage[] = [];
  const applied: string[] = [];
  const bug = PLANTED_BUGS.find((each) => each.name === bugName);
  const consensus = await createConsensus(
    {
      id: SELF,
      start: { kind: 'bootstrap', voters: [SELF, PEER, OTHER] },
      storage: new MemoryLogStorage(),
      stateMachine: {
        apply: (command) => applied.push(command),
        serialize: () => '',
        restore: () => undefined,
      },
      transport: {
        send: (_to, message) => {
          const decoded = decodeMessage(message);
          if (decoded) sent.push(decoded);
        },
      },
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
    },
    bug?.createCore,
  );
  const receive = async (fields: Partial<WireMessage>): Promise<void> => {
    const message: WireMessage = {
      type: MESSAGE_TYPE.append,
      to: SELF,
      from: PEER,
      term: term(1),
      logTerm: term(0),
      index: logIndex(0),
      commit: logIndex(0),
      reject: false,
      rejectHint: logIndex(0),
      context: null,
      entries: [],
      snapshot: undefined,
      ...fields,
    };
    consensus.receive(encodeMessage(message));
    await settle();
  };
  const ticks = async (count: number): Promise<void> => {
    for (let tick = 0; tick < count; tick++) {
      clock.advance(100);
      await settle();
    }
  };
  return { consensus, applied, receive, ticks };
}

function entry(index: number, entryTerm: number): LogEntry {
  return { index, term: entryTerm, type: 0, data: `id e${index}t${entryTerm}` };
}

/** A stale suffix of term 2 behind a prefix that the leader of term 3 shares. */
async function verifiedPrefix(bugName?: string): Promise<readonly string[]> {
  const { receive, applied, consensus } = await lonelyMember(bugName);
  const first = { logTerm: term(1), index: logIndex(1) };
  await receive({ ...first, term: term(2), entries: [entry(2, 2), entry(3, 2), entry(4, 2)] });
  await receive({
    ...first,
    from: OTHER,
    term: term(3),
    entries: [entry(2, 2)],
    commit: logIndex(4),
  });
  await consensus.stop();
  return applied;
}

test('raft: a commit index past the verified prefix commits the prefix only', async (t) => {
  t.deepEqual(await verifiedPrefix(), ['e2t2']);
  t.deepEqual(await verifiedPrefix('commit past the verified prefix'), ['e2t2', 'e3t2', 'e4t2']);
});

/** A leader of term 4 hears that a majority has its entry of term 2, but not that of term 4. */
async function oldTerm(bugName?: string): Promise<readonly string[]> {
  const { receive, ticks, applied, consensus } = await lonelyMember(bugName);
  await receive({ term: term(2), logTerm: term(1), index: logIndex(1), entries: [entry(2, 2)] });
  await receive({ type: MESSAGE_TYPE.heartbeat, from: OTHER, term: term(3) });
  await ticks(25);
  await receive({ type: MESSAGE_TYPE.preVoteResponse, term: term(4) });
  await receive({ type: MESSAGE_TYPE.voteResponse, term: term(4) });
  await receive({ type: MESSAGE_TYPE.appendResponse, term: term(4), index: logIndex(2) });
  const early = [...applied];
  if (consensus.status().role !== 'leader') throw new Error('the member does not lead');
  await receive({ type: MESSAGE_TYPE.appendResponse, term: term(4), index: logIndex(3) });
  const late = [...applied];
  await consensus.stop();
  return [`early ${early.join()}`, `late ${late.join()}`];
}

test('raft: a leader commits entries of older terms only with one of its own', async (t) => {
  t.deepEqual(await oldTerm(), ['early ', 'late e2t2']);
  t.deepEqual(await oldTerm('old-term commit'), ['early e2t2', 'late e2t2']);
});
