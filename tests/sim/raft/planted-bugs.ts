/**
 * Known ways to get Raft wrong, planted from outside: in wrappers around the storage, or by
 * replacing methods of one instance of the library. The simulator has to find each of them.
 */
import { term } from '../../../src/base/ids.ts';
import type { RaftCoreOptions } from '../../../src/raft/library.ts';
import { RaftCore } from '../../../src/raft/library.ts';
import type { LogBatch, LogEntry, LogImage, LogStorage } from '../../../src/raft/log-storage.ts';
import { MESSAGE_TYPE } from '../../../src/raft/wire-message.ts';
import type { PlantedBug } from './sim-node.ts';

type Raft = RaftCore['rawNode']['raft'];
type Step = Parameters<Raft['Step']>[0];

/** Passes everything through; bugs override one method. */
class PassingStorage implements LogStorage {
  protected readonly inner: LogStorage;

  constructor(inner: LogStorage) {
    this.inner = inner;
  }

  load(): Promise<LogImage | undefined> {
    return this.inner.load();
  }
  persist(batch: LogBatch): Promise<void> {
    return this.inner.persist(batch);
  }
  replaceWith(image: LogImage): Promise<void> {
    return this.inner.replaceWith(image);
  }
  close(): Promise<void> {
    return this.inner.close();
  }
}

class ForgetfulOfVotes extends PassingStorage {
  override persist(batch: LogBatch): Promise<void> {
    return super.persist({ ...batch, hardState: { ...batch.hardState, vote: undefined } });
  }
}

class ForgetfulOfTerms extends PassingStorage {
  #term = term(1);

  override persist(batch: LogBatch): Promise<void> {
    const entryTerm = batch.entries.at(-1)?.term;
    if (entryTerm !== undefined) this.#term = term(entryTerm);
    const hardState = { ...batch.hardState, term: this.#term, vote: undefined };
    return super.persist({ ...batch, hardState });
  }
}

/** Answers at once and writes later, in order. */
class Hasty extends PassingStorage {
  #queue: Promise<void> = Promise.resolve();

  override persist(batch: LogBatch): Promise<void> {
    this.#queue = this.#queue.then(() => this.inner.persist(batch));
    return Promise.resolve();
  }
  override replaceWith(image: LogImage): Promise<void> {
    this.#queue = this.#queue.then(() => this.inner.replaceWith(image));
    return this.#queue;
  }
}

/** Overwrites conflicting entries but keeps what stood behind them. */
class NeverTruncating extends PassingStorage {
  #entries: LogEntry[] = [];

  override async load(): Promise<LogImage | undefined> {
    const image = await super.load();
    this.#entries = [...(image?.entries ?? [])];
    return image;
  }
  override persist(batch: LogBatch): Promise<void> {
    const last = batch.entries.at(-1);
    const kept = last ? this.#entries.filter((entry) => entry.index > last.index) : [];
    const first = batch.entries[0];
    const before = first ? this.#entries.filter((entry) => entry.index < first.index) : [];
    if (first) this.#entries = [...before, ...batch.entries, ...kept];
    return super.persist({ ...batch, entries: [...batch.entries, ...kept] });
  }
  override replaceWith(image: LogImage): Promise<void> {
    this.#entries = [...image.entries];
    return super.replaceWith(image);
  }
}

/** Compacts with the state of now under the index of a moment ago. */
class MislabelledSnapshots extends PassingStorage {
  override replaceWith(image: LogImage): Promise<void> {
    const { snapshot, entries } = image;
    const previous = entries.findLast((entry) => entry.index < snapshot.index);
    if (!previous || snapshot.index < 10) return super.replaceWith(image);
    const index = (snapshot.index - 1) as typeof snapshot.index;
    return super.replaceWith({
      ...image,
      snapshot: { ...snapshot, index, term: term(previous.term) },
    });
  }
}

function withRaft(change: (raft: Raft, core: RaftCore) => void) {
  return (options: RaftCoreOptions): RaftCore => {
    const core = new RaftCore(options);
    change(core.rawNode.raft, core);
    return core;
  };
}

/** Runs `before` in front of every step of the library. */
function beforeStep(raft: Raft, before: (message: Step) => void): void {
  const step = raft.Step.bind(raft);
  raft.Step = (message) => {
    before(message);
    return step(message);
  };
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  { name: 'vote not persisted', wrapStorage: (inner) => new ForgetfulOfVotes(inner) },
  { name: 'term not persisted', wrapStorage: (inner) => new ForgetfulOfTerms(inner) },
  { name: 'send before persist', wrapStorage: (inner) => new Hasty(inner) },
  { name: 'no truncation', wrapStorage: (inner) => new NeverTruncating(inner) },
  { name: 'mislabelled snapshot', wrapStorage: (inner) => new MislabelledSnapshots(inner) },
  { name: 'disk lies about sync', liesAboutSync: true },
  {
    name: 'no up-to-date check',
    createCore: withRaft((raft) => {
      raft.raftLog.isUpToDate = () => true;
    }),
  },
  {
    name: 'no previous-entry check',
    firstSeed: 9,
    createCore: withRaft((raft) => {
      const log = raft.raftLog;
      const maybeAppend = log.maybeAppend.bind(log);
      log.maybeAppend = (index, logTerm, committed, ...entries) => {
        const isHeld = index <= log.lastIndex() && index >= log.firstIndex();
        return maybeAppend(index, isHeld ? log.term(index)[0] : logTerm, committed, ...entries);
      };
    }),
  },
  {
    name: 'double vote',
    createCore: withRaft((raft) => {
      beforeStep(raft, (message) => {
        const type: number = message.type;
        if (type === MESSAGE_TYPE.vote && !raft.lead) raft.vote = '';
      });
    }),
  },
  {
    name: 'vote forgotten on step-down',
    firstSeed: 37,
    needsChurn: true,
    createCore: withRaft((raft) => {
      const becomeFollower = raft.becomeFollower.bind(raft);
      raft.becomeFollower = (newTerm, lead) => {
        becomeFollower(newTerm, lead);
        raft.vote = '';
      };
    }),
  },
  {
    name: 'minority commit',
    createCore: withRaft((raft) => {
      raft.maybeCommit = () => raft.raftLog.maybeCommit(raft.raftLog.lastIndex(), raft.term);
    }),
  },
  {
    name: 'commit counted from half of the voters',
    createCore: withRaft((raft) => {
      raft.maybeCommit = () => {
        const matches: number[] = [];
        for (const [id, progress] of raft.prs.progress) {
          if (raft.prs.config.voters.ids().has(id)) matches.push(progress.match);
        }
        matches.sort((a, b) => b - a);
        const index = matches[Math.max(0, Math.ceil(matches.length / 2) - 1)] ?? 0;
        return raft.raftLog.maybeCommit(index, raft.term);
      };
    }),
  },
  {
    name: 'old-term commit',
    isDirected: true,
    createCore: withRaft((raft) => {
      raft.maybeCommit = () => {
        const index = raft.prs.committed();
        if (index <= raft.raftLog.committed) return false;
        raft.raftLog.commitTo(index);
        return true;
      };
    }),
  },
  {
    name: 'heartbeat carries the raw commit index',
    createCore: withRaft((raft) => {
      const sendHeartbeat = raft.sendHeartbeat.bind(raft);
      raft.sendHeartbeat = (to, context) => {
        sendHeartbeat(to, context);
        const sent = raft.msgs.at(-1);
        if (sent) sent.commit = raft.raftLog.committed;
      };
    }),
  },
  {
    name: 'commit past the verified prefix',
    isDirected: true,
    createCore: withRaft((raft) => {
      const log = raft.raftLog;
      const maybeAppend = log.maybeAppend.bind(log);
      log.maybeAppend = (index, logTerm, committed, ...entries) => {
        const result = maybeAppend(index, logTerm, committed, ...entries);
        if (result[1]) log.commitTo(Math.min(committed, log.lastIndex()));
        return result;
      };
    }),
  },
  {
    name: 'read without quorum',
    firstSeed: 31,
    createCore: withRaft((raft, core) => {
      const readIndex = core.readIndex.bind(core);
      core.readIndex = (context) => {
        const { prs } = raft;
        const isSingleton = prs.isSingleton.bind(prs);
        prs.isSingleton = () => true;
        readIndex(context);
        prs.isSingleton = isSingleton;
      };
    }),
  },
];
