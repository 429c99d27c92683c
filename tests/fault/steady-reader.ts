/**
 * Readers that never rest: they read files again and again while a story does its worst, and check
 * every body by its SHA-256.
 *
 * A read may fail in two ways only: the peer that was asked ended or was paused meanwhile, which a
 * client sees as a broken connection; or it answered with an error that the table calls retryable,
 * before the first byte. Both are tried again at another peer, and have to succeed within
 * {@link PATIENCE_MS}. Anything else is a failure of the story: other bytes, a short body, a body
 * cut off by a peer that runs, an error that is not retryable.
 */
import type { ExecutionContext } from 'ava';
import { setTimeout as delay } from 'node:timers/promises';
import { ERROR_TABLE, isErrorCode } from '../../src/base/errors.ts';
import { sha256 } from '../support/faulty-origin.ts';
import { PeerAnswerError } from '../support/peer-api.ts';
import type { Peer } from '../support/peer-process.ts';
import { pathOf } from './expect.ts';

export interface SteadyReaderOptions {
  readonly keys: readonly string[];
  /** Peers that are asked, as they are at that moment. */
  readonly peers: () => readonly Peer[];
  /** Hex digest that a body of the key must have. */
  readonly expectedSha256: (key: string) => string;
  /** Reads at a time. Default 2. */
  readonly laneCount?: number;
}

/** Longest time until a file that can be had is had. */
const PATIENCE_MS = 15_000;
const RETRY_DELAY_MS = 50;

export class SteadyReader implements AsyncDisposable {
  readonly failures: string[] = [];
  readCount = 0;
  /** Reads that a peer took with it when it ended. */
  interruptedCount = 0;
  /** Retryable errors before the first byte, by code. */
  readonly refusals = new Map<string, number>();
  /** Longest time that one file could not be had. */
  longestMs = 0;
  readonly #options: SteadyReaderOptions;
  readonly #done: Promise<unknown>;
  #turn = 0;
  #stopped = false;

  constructor(options: SteadyReaderOptions) {
    this.#options = options;
    const { laneCount = 2 } = options;
    this.#done = Promise.all(Array.from({ length: laneCount }, () => this.#readOn()));
  }

  /** Waits for the reads under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Stops, and says what was seen. */
  async expectUnhurt(t: ExecutionContext): Promise<void> {
    await this.stop();
    const refusals = [...this.refusals].map(([code, count]) => `${count} ${code}`).join(', ');
    t.log(
      `${this.readCount} reads, ${this.interruptedCount} with a peer that ended, ` +
        `retryable: ${refusals || 'none'}, longest wait ${Math.round(this.longestMs)} ms`,
    );
    t.true(this.readCount > 0);
    t.deepEqual(this.failures, []);
  }

  async #readOn(): Promise<void> {
    const { keys } = this.#options;
    while (!this.#stopped) {
      const turn = this.#turn++;
      const key = keys[turn % keys.length];
      if (key === undefined) return;
      await this.#readOne(key, turn);
    }
  }

  async #readOne(key: string, turn: number): Promise<void> {
    const startMs = performance.now();
    for (let attempt = 0; ; attempt++) {
      const peers = this.#options.peers();
      const peer = peers[(turn + attempt) % peers.length];
      const trouble = peer === undefined ? 'nobody to ask' : await this.#attempt(key, peer);
      const tookMs = performance.now() - startMs;
      if (trouble === undefined) {
        this.longestMs = Math.max(this.longestMs, tookMs);
        this.readCount++;
        return;
      }
      if (trouble === 'wrong') return;
      if (tookMs > PATIENCE_MS) {
        this.failures.push(`${key}: not to be had for ${Math.round(tookMs)} ms: ${trouble}`);
        return;
      }
      if (this.#stopped) return;
      await delay(RETRY_DELAY_MS);
    }
  }

  /** Undefined: right bytes; `wrong`: noted as a failure; else why it has to be tried again. */
  async #attempt(key: string, peer: Peer): Promise<string | undefined> {
    const { pid, disturbanceCount } = peer;
    try {
      const bytes = await peer.api.readFile(pathOf(key));
      if (sha256(bytes) === this.#options.expectedSha256(key)) return undefined;
      this.failures.push(`${key} at peer ${peer.index}: ${bytes.length} other bytes`);
      return 'wrong';
    } catch (error) {
      const code = retryableCodeOf(error);
      if (code !== undefined) {
        this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
        return code;
      }
      const isDisturbed = peer.pid !== pid || peer.disturbanceCount !== disturbanceCount;
      if (!(error instanceof PeerAnswerError) && (isDisturbed || !peer.serves || peer.paused)) {
        this.interruptedCount++;
        return 'the peer ended';
      }
      this.failures.push(`${key} at peer ${peer.index}: ${describe(error)}`);
      return 'wrong';
    }
  }
}

/** The code of an answer that says itself that the same request may succeed later. */
export function retryableCodeOf(error: unknown): string | undefined {
  if (!(error instanceof PeerAnswerError)) return undefined;
  const { code } = parse(error.body);
  return code !== undefined && isErrorCode(code) && ERROR_TABLE[code].retryable ? code : undefined;
}

function parse(body: string): { readonly code?: string } {
  try {
    return JSON.parse(body) as { code?: string };
  } catch {
    return {};
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
