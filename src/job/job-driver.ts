/**
 * Drives one job run on the leader: performs the effects of the pure run and feeds it what comes
 * of them. It is the only writer of the job's checkpoints while its term lasts; when a commit
 * tells it that it was deposed or the run is over, it falls silent.
 */
import { RingloadError, toRingloadError, toWireError } from '../base/errors.ts';
import { sleep, type Clock, type Timer } from '../base/clock.ts';
import { failpoint, pausePoint } from '../base/failpoint.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { jitter, type Random } from '../base/random.ts';
import type { Command } from '../cluster/commands.ts';
import type {
  ListPage,
  ObjectChecksum,
  UfsObject,
  UnderStore,
  UnderStores,
} from '../ufs/under-store.ts';
import { JobRun } from './job-run.ts';
import type { RunStart, RunView } from './run-contract.ts';
import type { FailedFile } from './job-status.ts';
import type { Placement } from './placement.ts';
import type { DiscardedFile, OwnerTransport, ResultFrame, TaskBatch } from './protocol.ts';
import { type PageRequest, ReadAhead } from './read-ahead.ts';
import { RootPages, type PageSource } from './root-pages.ts';
import { hasOneRoot, rootsOf, unfitRoot } from './roots.ts';
import { backoffMs } from './retry-policy.ts';
import type { RunEffect, RunEvent } from './run-events.ts';
import { TaskSignals } from './task-signals.ts';

/** Where all failed files of a job are kept; appended to, never read by the run. */
export interface FailureSink {
  append(failure: FailedFile): void;
}

export interface DriverOptions {
  readonly start: RunStart;
  readonly stores: UnderStores;
  readonly owners: OwnerTransport;
  /** @throws stale_term or not_leader when this driver has no say any more. */
  readonly commit: (command: Command) => Promise<void>;
  readonly failures: FailureSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** This driver falls silent without a verdict: it was told so, or its own state is broken. */
  readonly onGiveUp?: (error: RingloadError) => void;
}

const TICK_MS = 100;
const LIST_ATTEMPT_MAX_COUNT = 8;
const RETRY_DELAY_MS = 200;
const RETRY_DELAY_MAX_MS = 5000;

export class JobDriver {
  readonly #options: DriverOptions;
  readonly #run: JobRun;
  readonly #signals = new TaskSignals();
  #pages: PageSource | undefined;
  #timer: Timer | undefined;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#run = new JobRun(options.start);
    // A path that no mount holds is refused while somebody is there to be told.
    if (hasOneRoot(options.start.spec)) this.#pages = this.#pagesOfRoot(options.start.spec.path);
    this.#tick();
  }

  get view(): RunView {
    return this.#run;
  }

  get run(): number {
    return this.#options.start.ref.run;
  }

  setPlacement(placement: Placement): void {
    this.#dispatch({ kind: 'placement', placement });
  }

  losePeer(peer: PeerId): void {
    this.#dispatch({ kind: 'peer-lost', peer });
  }

  /** False: the frame belongs to another run or term, its sender may forget it. */
  takeResults(from: PeerId, frame: ResultFrame): boolean {
    const { run, term } = this.#options.start.ref;
    if (this.#signals.isAborted || frame.run !== run || frame.term !== term) return false;
    failpoint('job.results.received');
    this.#dispatch({ kind: 'results', from, frame });
    return true;
  }

  /** Ends without a verdict: the run was stopped, or another leader takes over. */
  stop(): void {
    if (this.#signals.isAborted) return;
    this.#timer?.cancel();
    this.#signals.abort(new Error('the driver of the job stopped'));
  }

  #tick(): void {
    this.#dispatch({ kind: 'tick' });
    if (this.#signals.isAborted) return;
    this.#timer = this.#options.clock.setTimer(TICK_MS, () => {
      this.#tick();
    });
  }

  #dispatch(event: RunEvent): void {
    if (this.#signals.isAborted) return;
    try {
      for (const effect of this.#run.handle(event, this.#options.clock.nowMs())) {
        void this.#perform(effect).catch((thrown: unknown) => {
          this.#giveUp(thrown);
        });
      }
    } catch (thrown) {
      this.#giveUp(thrown);
    }
  }

  #giveUp(thrown: unknown): void {
    if (this.#signals.isAborted) return;
    const error = toRingloadError(thrown);
    this.#options.logger.warn('stop driving the job', { code: error.code, reason: error.message });
    this.stop();
    this.#options.onGiveUp?.(error);
  }

  async #perform(effect: RunEffect): Promise<void> {
    switch (effect.kind) {
      case 'list':
        await this.#list(effect);
        return;
      case 'stat':
        await this.#signals.run((signal) => this.#stat(effect.path, signal));
        return;
      case 'ask-checksum':
        await this.#signals.run((signal) => this.#askChecksum(effect.object, signal));
        return;
      case 'discard':
        await this.#signals.run((signal) => this.#discard(effect.to, effect.file, signal));
        return;
      case 'send':
        await this.#send(effect.to, effect.batch);
        return;
      case 'recall':
        this.#options.owners.recall(effect.to, effect.recall);
        return;
      case 'ask-inventory':
        await this.#askInventory(effect.to);
        return;
      case 'file-failed':
        this.#options.failures.append(effect.failure);
        return;
      case 'checkpoint':
        await this.#checkpoint(effect);
        return;
      case 'finish':
        await this.#signals.run((signal) => this.#finish(effect, signal));
        return;
    }
  }

  async #list({ after, limit }: Extract<RunEffect, { kind: 'list' }>): Promise<void> {
    try {
      this.#pages ??= await this.#signals.run((signal) => this.#pagesOfRoots(signal));
      const page = await this.#pages.next(after, limit);
      this.#dispatch({ kind: 'page', page });
    } catch (thrown) {
      // Anything else is no failure of the store, but a fault of ours.
      if (!(thrown instanceof RingloadError)) throw thrown;
      this.#dispatch({ kind: 'list-failed', error: toWireError(thrown) });
    }
  }

  #pagesOfRoot(root: string): PageSource {
    return new ReadAhead({
      root,
      isKeyed: this.#options.stores.storeOf(root).listsByKey === true,
      list: (request) => this.#listPage(root, request),
    });
  }

  async #pagesOfRoots(signal: AbortSignal): Promise<PageSource> {
    const { stores, start, clock } = this.#options;
    const list = await this.#insist(() => rootsOf(start.spec, stores, signal), signal);
    return new RootPages({
      list,
      check: (line) => unfitRoot(line, stores),
      isKeyed: (root) => stores.storeOf(root).listsByKey === true,
      listPage: (root, request) => this.#listPage(root, request),
      rest: () => sleep(clock, 0),
    });
  }

  /** @throws RingloadError when another attempt is not worth it. */
  #listPage(root: string, { after, limit }: PageRequest): Promise<ListPage> {
    return this.#signals.run((signal) =>
      this.#insist(async () => {
        const begins = after === undefined && pausePoint('job.list.begin');
        if (begins) await begins;
        const request = { root, limit, ...(after !== undefined && { after }) };
        const page = await this.#options.stores.storeOf(root).list(request, signal);
        failpoint('job.list.received');
        return page;
      }, signal),
    );
  }

  /** @throws RingloadError when another attempt is not worth it. */
  async #insist<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await ask();
      } catch (thrown) {
        const error = toRingloadError(thrown);
        if (signal.aborted) throw error;
        this.#options.logger.warn('listing failed', {
          code: error.code,
          reason: error.message,
          attempt,
        });
        if (!error.retryable || attempt >= LIST_ATTEMPT_MAX_COUNT) throw error;
        this.#pages?.slowDown();
        await this.#rest(attempt, signal);
      }
    }
  }

  async #stat(path: string, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        this.#dispatch({ kind: 'stat', path, found: await this.#storeOf(path).stat(path, signal) });
        return;
      } catch (thrown) {
        const error = toRingloadError(thrown);
        if (this.#signals.isAborted) return;
        if (!error.retryable || attempt >= LIST_ATTEMPT_MAX_COUNT) {
          this.#dispatch({ kind: 'stat', path, found: toWireError(error) });
          return;
        }
        await this.#rest(attempt, signal);
      }
    }
  }

  #storeOf(path: string): UnderStore {
    return this.#options.stores.storeOf(path);
  }

  async #discard(to: PeerId, file: DiscardedFile, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        await this.#options.owners.discard(to, file);
        break;
      } catch (thrown) {
        const { code, message } = toRingloadError(thrown);
        this.#options.logger.warn('a file is not forgotten', { to, code, reason: message });
        if (attempt >= LIST_ATTEMPT_MAX_COUNT) break;
        await this.#rest(attempt, signal);
      }
    }
    this.#dispatch({ kind: 'discarded', path: file.path });
  }

  /** What the store cannot say it does not have: the load goes on without. */
  async #askChecksum({ path, version }: UfsObject, signal: AbortSignal): Promise<void> {
    let found: ObjectChecksum | undefined;
    try {
      found = await this.#storeOf(path).checksum({ path, version }, signal);
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      this.#options.logger.debug('no checksum of an object', { path, code, reason: message });
    }
    this.#dispatch({ kind: 'checksum', path, version, found });
  }

  async #send(to: PeerId, batch: TaskBatch): Promise<void> {
    try {
      const assigned = pausePoint('job.batch.assigned');
      if (assigned) await assigned;
      const acked = this.#options.owners.sendBatch(to, batch);
      failpoint('job.batch.sent');
      const ack = await acked;
      failpoint('job.batch.acked');
      this.#dispatch({ kind: 'batch-taken', to, ...ack });
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code === 'stale_term') throw error;
      this.#dispatch({ kind: 'batch-failed', to, taskIds: batch.tasks.map(({ id }) => id) });
    }
  }

  async #askInventory(to: PeerId): Promise<void> {
    const { passRef } = this.#run;
    const { pass } = passRef;
    try {
      const { spec } = this.#options.start;
      // Without a path: what the owner holds for the job, wherever it lies.
      const scope = hasOneRoot(spec) ? { path: spec.path } : {};
      const reply = await this.#options.owners.inventory(to, { ...passRef, ...scope });
      this.#dispatch({ kind: 'inventory', from: to, pass, reply });
    } catch (thrown) {
      this.#dispatch({ kind: 'inventory', from: to, pass, reply: toWireError(thrown) });
    }
  }

  async #checkpoint(effect: Extract<RunEffect, { kind: 'checkpoint' }>): Promise<void> {
    const { jobId, run, term } = this.#options.start.ref;
    const { state, checkpoint } = effect;
    try {
      const made = pausePoint('job.checkpoint.made');
      if (made) await made;
      await this.#options.commit({ kind: 'job.checkpoint', jobId, run, term, state, checkpoint });
    } catch (thrown) {
      if (isFinal(toRingloadError(thrown))) throw thrown;
    }
    this.#dispatch({ kind: 'checkpointed' });
  }

  /** The verdict has to be committed, however long it takes, unless somebody else has the say. */
  async #finish(
    effect: Extract<RunEffect, { kind: 'finish' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { jobId, run, term } = this.#options.start.ref;
    const { kind: _, ...verdict } = effect;
    for (let attempt = 1; !this.#signals.isAborted; attempt += 1) {
      try {
        const reached = pausePoint('job.verdict.reached');
        if (reached) await reached;
        const atMs = this.#options.clock.wallMs();
        await this.#options.commit({ kind: 'job.finish', jobId, run, term, atMs, ...verdict });
        failpoint('job.verdict.committed');
        this.stop();
        return;
      } catch (thrown) {
        if (isFinal(toRingloadError(thrown))) throw thrown;
        await this.#rest(attempt, signal);
      }
    }
  }

  async #rest(attempt: number, signal: AbortSignal): Promise<void> {
    const delayMs = backoffMs(attempt, RETRY_DELAY_MS, RETRY_DELAY_MAX_MS);
    const { clock, random } = this.#options;
    await sleep(clock, jitter(random, delayMs), signal).catch(() => undefined);
  }
}

/** This driver will never be heard again: the run is over, or another term has begun. */
function isFinal(error: RingloadError): boolean {
  return error.code === 'stale_term' || error.code === 'not_leader';
}
