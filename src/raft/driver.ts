/**
 * The loop that drives one member: persist, send, apply, advance.
 *
 * One Ready is in flight at a time; whatever arrives meanwhile waits in the inbox and is given to
 * the library only between `advance()` and the next `ready()`. Stepping in between corrupts the
 * library's view of what is stable, so `#turn` is the one place that talks to it.
 *
 * Invariant: nothing is sent, applied or shown in `status()` that a crash could take back, except
 * a commit index that covers commands only. Every failure of the storage, the library or the state machine is final: the
 * loop ends, `failed` resolves, and nothing is written any more.
 */
import { RingloadError } from '../base/errors.ts';
import { sleep } from '../base/clock.ts';
import { failpoint } from '../base/failpoint.ts';
import type { RaftId } from '../base/ids.ts';
import { term } from '../base/ids.ts';
import { InvariantError } from '../base/invariant.ts';
import { randomInt } from '../base/random.ts';
import { Applier } from './applier.ts';
import type { Consensus, MembershipChange, RaftStatus } from './consensus.ts';
import { Inbox } from './inbox.ts';
import type { CoreReady, RaftCore } from './library.ts';
import { LeaderErrands } from './leader-errands.ts';
import type { HardState, SnapshotRecord } from './log-storage.ts';
import { ENTRY_TYPE, isMember } from './log-storage.ts';
import type { LogTail } from './log-tail.ts';
import type { ConsensusOptions, ConsensusTuning } from './options.ts';
import { notLeader } from './pending-call.ts';
import { Proposals } from './proposals.ts';
import { Reads } from './reads.ts';
import { SnapshotSends } from './snapshot-sends.ts';
import { NOT_LEADING, StatusBoard } from './status-board.ts';
import { Ticker } from './ticker.ts';
import type { WireMessage } from './wire-message.ts';
import { decodeMessage, encodeMessage } from './wire-message.ts';

export interface DriverParts {
  readonly options: ConsensusOptions;
  readonly tuning: ConsensusTuning;
  readonly core: RaftCore;
  readonly tail: LogTail;
  readonly hardState: HardState;
}

export class RaftDriver implements Consensus {
  readonly failed: Promise<Error>;
  readonly #options: ConsensusOptions;
  readonly #tuning: ConsensusTuning;
  readonly #core: RaftCore;
  readonly #tail: LogTail;
  readonly #inbox: Inbox;
  readonly #proposals: Proposals;
  readonly #reads: Reads;
  readonly #errands: LeaderErrands;
  readonly #snapshotSends: SnapshotSends;
  readonly #lastHeardMs = new Map<RaftId, number>();
  readonly #applier: Applier;
  readonly #board: StatusBoard;
  readonly #ticker: Ticker;
  #hardState: HardState;
  #phase: 'new' | 'running' | 'stopped' = 'new';
  #loop: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #ticksSinceRemoval = 0;
  #reportFailure: (error: Error) => void = () => undefined;

  constructor({ options, tuning, core, tail, hardState }: DriverParts) {
    this.#options = options;
    this.#tuning = tuning;
    this.#core = core;
    this.#tail = tail;
    this.#hardState = hardState;
    this.#inbox = new Inbox({
      maxQueuedMessages: tuning.maxQueuedMessages,
      maxQueuedBytes: tuning.maxQueuedBytes,
      // Why half: a leader must not check twice for its quorum without a chance to hear from it.
      maxQueuedTicks: Math.ceil(tuning.electionTicks / 2),
    });
    const life = `${options.id}-${randomInt(options.random, 2 ** 32).toString(36)}`;
    this.#proposals = new Proposals(tuning, life);
    this.#reads = new Reads(tuning.maxPendingReads, life);
    this.#errands = new LeaderErrands(options.id, life);
    this.#snapshotSends = new SnapshotSends(tuning.snapshotTimeoutTicks, (outcome) => {
      this.#inbox.addSnapshotOutcome(outcome);
      this.#wake();
    });
    this.failed = new Promise((resolve) => {
      this.#reportFailure = resolve;
    });
    this.#applier = new Applier({
      stateMachine: options.stateMachine,
      tuning,
      snapshot: tail.snapshot,
      configure: (entry) => core.applyConfiguration(entry),
      onResult: (id, result) => {
        this.#proposals.settle(id, result);
      },
      onConfiguration: (context) => {
        this.#errands.changeApplied(context);
      },
    });
    this.#board = new StatusBoard(this.#statusNow(), options.logger);
    this.#ticker = new Ticker(options.clock, tuning.tickMs, () => {
      this.#onTick();
    });
  }

  /** Applies what is known to be committed, then lets time pass. */
  async start(): Promise<void> {
    this.#phase = 'running';
    const { voters } = this.#applier.configuration;
    // Why: nobody could object, so waiting for the timeout only delays the cluster's start.
    if (voters.length === 1 && voters[0] === this.#options.id) this.#core.campaign();
    this.#wake();
    await this.#loop;
    if (this.#isRunning()) this.#ticker.start();
  }

  /** As of the end of the last turn, which a leader has each tick: the same object until then. */
  status(): RaftStatus {
    return this.#board.shown;
  }

  async propose(command: string, deadlineMs: number): Promise<unknown> {
    this.#requireLeader();
    const result = this.#proposals.add(command, this.#deadlineAt(deadlineMs));
    this.#wake();
    return result;
  }

  async readBarrier(deadlineMs: number): Promise<void> {
    this.#requireLeader();
    const result = this.#reads.add(this.#deadlineAt(deadlineMs));
    this.#wake();
    await result;
  }

  async changeMembership(change: MembershipChange, deadlineMs: number): Promise<void> {
    this.#requireLeader();
    const result = this.#errands.addChange(change, this.#deadlineAt(deadlineMs));
    this.#wake();
    await result;
  }

  async transferLeadership(to: RaftId, deadlineMs: number): Promise<void> {
    this.#requireLeader();
    const result = this.#errands.addTransfer(to, this.#deadlineAt(deadlineMs));
    this.#wake();
    await result;
  }

  receive(message: string): void {
    const { id, clock, logger } = this.#options;
    if (this.#phase !== 'running') return;
    const decoded = decodeMessage(message);
    if (decoded?.to !== id) {
      logger.warn('dropped a raft message that is malformed or for another member');
      return;
    }
    if (isMember(this.#applier.configuration, decoded.from)) {
      this.#lastHeardMs.set(decoded.from, clock.nowMs());
    }
    if (!this.#inbox.addMessage(decoded, message.length)) {
      logger.debug('dropped a raft message: too many are waiting', { from: decoded.from });
    }
    this.#wake();
  }

  reportUnreachable(to: RaftId): void {
    this.#inbox.addUnreachable(to);
    this.#wake();
  }

  onStatusChange(listener: (status: RaftStatus) => void): () => void {
    return this.#board.onChange(listener);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { clock, storage } = this.#options;
    if (this.#isRunning()) this.#end();
    const inTime = new AbortController();
    const timeout = sleep(clock, this.#tuning.stopTimeoutMs, inTime.signal).catch(() => undefined);
    await Promise.race([this.#loop, timeout]);
    await Promise.race([storage.close(), timeout]);
    inTime.abort();
  }

  /** Runs the loop unless it runs already; it ends when the library has nothing to do. */
  #wake(): void {
    if (this.#loop || this.#phase !== 'running') return;
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    try {
      // Why: calls made in one go are appended together.
      await Promise.resolve();
      while (this.#isRunning()) {
        this.#giveInputs();
        if (!this.#core.hasReady()) break;
        await this.#turn();
      }
    } catch (error) {
      this.#fail(error);
    }
    // Why without an await since the last look at the inbox: what comes later wakes a new loop.
    this.#loop = undefined;
  }

  async #turn(): Promise<void> {
    const ready = this.#core.ready();
    await this.#persist(ready);
    if (!this.#isRunning()) return;
    if (ready.entries.length > 0) failpoint('raft.entries.appended');
    for (const message of ready.messages) this.#send(message);
    if (ready.entries.length > 0) failpoint('raft.entries.sent');
    this.#applier.apply(ready);
    for (const read of ready.readStates) this.#reads.confirm(read.context, read.index);
    this.#reads.applied(this.#applier.index);
    this.#core.advance();
    this.#publish();
    if (this.#applier.isSnapshotDue(this.#tail.snapshot.index)) await this.#compact();
  }

  /** Messages before ticks: what was heard must count before time does. */
  #giveInputs(): void {
    const core = this.#core;
    const { messages, snapshotOutcomes, unreachable, ticks } = this.#inbox.take();
    for (const message of messages) core.step(message);
    for (const { to, delivered } of snapshotOutcomes) core.reportSnapshot(to, delivered);
    for (const id of unreachable) core.reportUnreachable(id);
    for (let tick = 0; tick < ticks; tick++) core.tick();
    if (!core.isLeader) {
      this.#proposals.refuseQueued(core.leaderId);
      this.#reads.refuseUnconfirmed(core.leaderId);
      return;
    }
    this.#proposals.appendQueued((envelopes) => core.propose(envelopes), core.leaderId);
    this.#errands.run(core, {
      self: this.#options.id,
      voters: this.#applier.configuration.voters,
      learners: this.#applier.configuration.learners,
      commitIndex: core.commitIndex,
      matchIndex: () => core.matchIndex(),
      isActive: (id) => this.#isActive(id),
      promoteLagEntries: this.#tuning.promoteLagEntries,
    });
    if (core.canReadIndex) {
      const context = this.#reads.nextContext(this.#tuning.electionTicks);
      if (context !== undefined) core.readIndex(context);
    }
  }

  async #persist(ready: CoreReady): Promise<void> {
    const { storage } = this.#options;
    const { snapshot, entries } = ready;
    // Why: whoever is removed may be gone for good once it learns so. If the others then forgot in
    // a crash that the removal is committed, they would wait for its vote for ever.
    const mustSync =
      ready.mustSync || ready.committed.some(({ type }) => type === ENTRY_TYPE.configuration);
    this.#hardState = ready.hardState ?? this.#hardState;
    if (snapshot) {
      const image = { snapshot, hardState: this.#hardState, entries };
      await storage.replaceWith(image);
      this.#tail.replaceWith(image);
    } else if (ready.hardState || entries.length > 0) {
      await storage.persist({ hardState: this.#hardState, entries, mustSync });
      this.#tail.append(entries);
    }
  }

  #send(message: WireMessage): void {
    const onOutcome = message.snapshot && this.#snapshotSends.start(message.to);
    try {
      this.#options.transport.send(message.to, encodeMessage(message), onOutcome);
    } catch (error) {
      this.#options.logger.warn('sending a raft message failed', { error: String(error) });
      onOutcome?.(false);
    }
  }

  /**
   * The stored image contains the latest hard state, so that the commit index on disk is never
   * below the snapshot.
   */
  async #compact(): Promise<void> {
    const snapshot: SnapshotRecord = {
      index: this.#applier.index,
      term: term(this.#core.termAt(this.#applier.index)),
      configuration: this.#applier.configuration,
      data: this.#options.stateMachine.serialize(),
    };
    const image = {
      ...this.#tail.imageAfter(snapshot, this.#tuning.keepTailEntries),
      hardState: this.#hardState,
    };
    await this.#options.storage.replaceWith(image);
    this.#tail.replaceWith(image);
    this.#applier.snapshotStored();
  }

  #statusNow(): RaftStatus {
    const core = this.#core;
    return {
      id: this.#options.id,
      role: core.role,
      term: term(core.term),
      leaderId: core.leaderId,
      commitIndex: core.commitIndex,
      appliedIndex: this.#applier.index,
      voters: this.#applier.configuration.voters,
      learners: this.#applier.configuration.learners,
      matchIndex: core.role === 'leader' ? core.matchIndex() : NOT_LEADING,
    };
  }

  /** Called at the end of a turn, when the library knows nothing that is not durable. */
  #publish(): void {
    const before = this.#board.shown;
    const now = this.#statusNow();
    const isSame = before.role === now.role && before.term === now.term;
    if (before.role === 'leader' && !isSame) {
      this.#proposals.giveUpAppended();
      this.#errands.leadershipEnded(now.leaderId);
    }
    if (now.leaderId !== undefined) this.#errands.leaderIs(now.leaderId);
    this.#board.show(now);
  }

  #onTick(): void {
    const nowMs = this.#options.clock.nowMs();
    this.#inbox.addTick();
    this.#snapshotSends.tick();
    this.#reads.tick();
    this.#proposals.expire(nowMs);
    this.#reads.expire(nowMs);
    this.#errands.expire(nowMs);
    this.#checkRemoval();
    this.#wake();
  }

  /** A removed member lingers for two election timeouts, so that what it knows gets around. */
  #checkRemoval(): void {
    if (this.#applier.index === 0 || isMember(this.#applier.configuration, this.#options.id))
      return;
    if (++this.#ticksSinceRemoval < 2 * this.#tuning.electionTicks) return;
    this.#fail(
      new RingloadError('peer_refused', `member ${this.#options.id} was removed from the cluster`, {
        details: { removed: true },
      }),
    );
  }

  #isActive(id: RaftId): boolean {
    const lastHeardMs = this.#lastHeardMs.get(id);
    if (lastHeardMs === undefined) return false;
    const silentMs = this.#options.clock.nowMs() - lastHeardMs;
    return silentMs <= 2 * this.#tuning.electionTicks * this.#tuning.tickMs;
  }

  #requireLeader(): void {
    if (this.#phase !== 'running' || !this.#board.isLeader) {
      throw notLeader(this.#board.shown.leaderId);
    }
  }

  #deadlineAt(deadlineMs: number): number {
    return this.#options.clock.nowMs() + deadlineMs;
  }

  #isRunning(): boolean {
    return this.#phase === 'running';
  }

  #fail(thrown: unknown): void {
    if (this.#phase === 'stopped') return;
    this.#end();
    const error = thrown instanceof Error ? thrown : new InvariantError(String(thrown));
    this.#options.logger.error('raft stopped for good', { error: error.message });
    this.#reportFailure(error);
  }

  #end(): void {
    this.#phase = 'stopped';
    this.#ticker.stop();
    this.#proposals.refuseQueued(undefined);
    this.#proposals.giveUpAppended();
    this.#reads.refuseAll(notLeader(undefined));
    this.#errands.stop();
    this.#board.withdraw();
  }
}
