/**
 * One call to a cluster: to whichever peer answers.
 *
 * A call that meets a dead peer, or one without a leader, goes to the next peer, round after
 * round, until it is answered or its time is used up. Whoever calls must be able to send it twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { ClusterView } from '../../http/services.ts';
import { clusterView } from './answers.ts';
import { type Check, MalformedAnswer } from './decode.ts';
import { Exchanger, type PeerReply, type PeerRequest, transportError } from './exchange.ts';
import {
  describeFailure,
  mayHaveArrived,
  pauseMs,
  roundsMax,
  summaryOf,
  tellingFailure,
} from './fail-over.ts';
import { addressOf, PeerList } from './peer-list.ts';

/** One attempt at one peer: long enough for a commit behind an election, short enough to go on. */
const ATTEMPT_MAX_MS = 10_000;
const ATTEMPT_MIN_MS = 500;
const BODY_TIMEOUT_MS = 30_000;

export interface ClientOptions {
  /** Origins of the peers to ask, at least one. */
  readonly peers: readonly string[];
  readonly token?: string;
  /** How long one call may take, over all peers and rounds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Hears of peers that do not answer. */
  readonly onNotice?: (text: string) => void;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Answered<T> {
  readonly value: T;
  /** An earlier attempt may have been carried out although its answer never came. */
  readonly repeated: boolean;
}

export class PeerCaller {
  readonly #options: ClientOptions;
  readonly #peers: PeerList;
  readonly #exchanger: Exchanger;
  readonly #noticed = new Set<string>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#peers = new PeerList(options.peers);
    this.#exchanger = new Exchanger(options.token);
  }

  /** The answer of the best peer, its body still to be read. */
  async openBody(request: PeerRequest): Promise<PeerReply & { readonly origin: string }> {
    const { value } = await this.#failOver(
      this.#callOptions(),
      async (origin, headersTimeoutMs) => {
        const reply = await this.#exchanger.send(origin, request, {
          headersTimeoutMs,
          bodyTimeoutMs: BODY_TIMEOUT_MS,
          ...signalOf(this.#options.signal),
        });
        return { ...reply, origin };
      },
    );
    return value;
  }

  /** The answer in JSON, checked. */
  async call<T>(
    request: PeerRequest,
    check: Check<T>,
    options?: CallOptions,
  ): Promise<Answered<T>> {
    const callOptions = this.#callOptions(options);
    return this.#failOver(callOptions, async (origin, timeoutMs) => {
      const answer = await this.#withDeadline(timeoutMs, callOptions.signal, (signal) =>
        this.#exchanger.sendForJson(origin, request, {
          headersTimeoutMs: timeoutMs,
          bodyTimeoutMs: timeoutMs,
          signal,
        }),
      );
      try {
        return check(answer, '');
      } catch (error) {
        if (!(error instanceof MalformedAnswer)) throw error;
        throw new RingloadError(
          'peer_refused',
          `${addressOf(origin)} answered ${request.method} ${request.target} in an unknown form (${error.message}): is it a Ringload peer of this version?`,
          { cause: error },
        );
      }
    });
  }

  async #failOver<T>(
    options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
    attempt: (origin: string, timeoutMs: number) => Promise<T>,
  ): Promise<Answered<T>> {
    const deadlineMs = performance.now() + options.timeoutMs;
    const failures = new Map<string, RingloadError>();
    let repeated = false;
    for (let round = 1; ; round++) {
      for (const origin of this.#peers.order()) {
        const remainingMs = deadlineMs - performance.now();
        if (remainingMs <= 0) break;
        try {
          const value = await attempt(origin, this.#attemptMs(remainingMs));
          this.#peers.prefer(origin);
          return { value, repeated };
        } catch (thrown) {
          const error = toRingloadError(thrown);
          if (!error.retryable) throw repeated ? markRepeated(error) : error;
          repeated ||= mayHaveArrived(error);
          this.#peers.demote(origin);
          failures.set(origin, error);
          this.#notice(origin, error);
        }
      }
      const waitMs = pauseMs(round, failures);
      if (round >= roundsMax(failures) || performance.now() + waitMs >= deadlineMs) {
        throw summaryOf(failures, options.timeoutMs);
      }
      const isAnswered = tellingFailure(failures)?.details['httpStatus'] !== undefined;
      if (round === 1 && isAnswered) await this.#learnFromAny();
      await sleepUnlessAborted(waitMs, options.signal);
    }
  }

  /** A peer that is paused answers nothing and refuses nothing: it must not eat all the time. */
  #attemptMs(remainingMs: number): number {
    const share = this.#peers.order().length > 1 ? remainingMs / 2 : remainingMs;
    return Math.min(ATTEMPT_MAX_MS, remainingMs, Math.max(ATTEMPT_MIN_MS, share));
  }

  /** A peer that cannot serve the call still knows who the others are. */
  async #learnFromAny(): Promise<void> {
    for (const origin of this.#peers.order()) {
      try {
        const request: PeerRequest = { method: 'GET', target: '/v1/cluster' };
        const limits = { headersTimeoutMs: 2_000, bodyTimeoutMs: 2_000 };
        const view = await this.#exchanger.sendForJson(origin, request, {
          ...limits,
          ...signalOf(this.#options.signal),
        });
        this.learnFrom(clusterView(view, ''));
        return;
      } catch {
        // Why: best effort; the round that follows reports what matters.
      }
    }
  }

  /** Remembers the members, whoever leads first. */
  learnFrom(view: ClusterView): void {
    const rank = { leader: 0, voter: 1, learner: 2 } as const;
    const members = view.members
      .filter((member) => member.state === 'up' || member.state === 'suspect')
      .sort((a, b) => rank[a.role] - rank[b.role]);
    this.#peers.learn(members.map((member) => member.address));
  }

  /** A body broke off in the middle: the next call asks another peer first. */
  broken(origin: string, thrown: unknown): RingloadError {
    this.#peers.demote(origin);
    return transportError(origin, thrown, this.#options.signal);
  }

  async close(): Promise<void> {
    await this.#exchanger.close();
  }

  #callOptions(options: CallOptions = {}): {
    timeoutMs: number;
    signal: AbortSignal | undefined;
  } {
    return {
      timeoutMs: options.timeoutMs ?? this.#options.timeoutMs,
      signal: options.signal ?? this.#options.signal,
    };
  }

  /** The attempt as a whole, body included, ends after `timeoutMs`. */
  async #withDeadline<T>(
    timeoutMs: number,
    signal: AbortSignal | undefined,
    action: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const controller = new AbortController();
    const onAbort = (): void => {
      controller.abort(signal?.reason);
    };
    const timer = setTimeout(() => {
      controller.abort(new RingloadError('deadline_exceeded', 'no answer in time'));
    }, timeoutMs);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await action(controller.signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Once per peer and kind of failure; a lone peer that refuses is reported by the error alone. */
  #notice(origin: string, error: RingloadError): void {
    const isLone = this.#peers.order().length === 1;
    if (isLone && error.details['httpStatus'] === undefined) return;
    const key = `${origin} ${error.code}`;
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    const text = describeFailure(origin, error);
    this.#options.onNotice?.(`${text}; ${isLone ? 'trying again' : 'asking another peer'}`);
  }
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** Failures of calls that may have been carried out before. */
const repetitions = new WeakSet<RingloadError>();

function markRepeated(error: RingloadError): RingloadError {
  repetitions.add(error);
  return error;
}

export function wasRepeated(thrown: unknown): boolean {
  return thrown instanceof RingloadError && repetitions.has(thrown);
}

async function sleepUnlessAborted(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(delayMs, undefined, signalOf(signal));
  } catch (error) {
    throw signal?.reason instanceof RingloadError ? signal.reason : error;
  }
}
