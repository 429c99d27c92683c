/**
 * Readers of a soak: any key, whole or a range, at any peer that serves, for as long as the run
 * lasts. A body must be exactly one version that the object ever had. How an attempt may fail
 * depends on the phase: while faults are on it may, though never with a short or wrong body; while
 * they are off only as the error table allows.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { randomInt, type Random } from '../../src/base/random.ts';
import { pathOf } from '../fault/expect.ts';
import { retryableCodeOf } from '../fault/steady-reader.ts';
import { PeerAnswerError } from '../support/peer-api.ts';
import type { Peer } from '../support/peer-process.ts';
import type { Ledger } from './ledger.ts';
import type { SoakModel } from './model.ts';

const LANE_COUNT = 3;
const RETRY_DELAY_MS = 100;

export interface ReadersOptions {
  readonly peers: () => readonly Peer[];
  readonly model: SoakModel;
  readonly random: Random;
  readonly ledger: Ledger;
}

export class SoakReaders {
  /** Faults are off, and their effects are over. */
  isCalm = false;
  /** Longest time in which one lane had no success. */
  longestMs = 0;
  readonly #options: ReadersOptions;
  readonly #done: Promise<unknown>;
  #stopped = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
    this.#done = Promise.all(Array.from({ length: LANE_COUNT }, () => this.#lane()));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #lane(): Promise<void> {
    let successMs = performance.now();
    while (!this.#stopped) {
      const peers = this.#options.peers();
      const peer = peers[randomInt(this.#options.random, Math.max(1, peers.length))];
      if (peer !== undefined && (await this.#read(peer))) {
        const nowMs = performance.now();
        this.longestMs = Math.max(this.longestMs, nowMs - successMs);
        successMs = nowMs;
      } else {
        await delay(RETRY_DELAY_MS);
      }
    }
  }

  async #read(peer: Peer): Promise<boolean> {
    const { model, random, ledger } = this.#options;
    const key = model.anyKey();
    const wasCalm = this.isCalm;
    const { disturbanceCount } = peer;
    const isRange = random.next() < 0.3;
    // Beyond the end now and then: versions differ in length.
    const offset = randomInt(random, model.newestSizeOf(key) + 100);
    const range = { offset, length: 1 + randomInt(random, 200_000) };
    try {
      const bytes = await peer.api.readFile(pathOf(key), isRange ? range : undefined);
      const isRight = isRange
        ? model.isSomeVersion(key, bytes, range.offset)
        : model.isSomeVersion(key, bytes);
      ledger.count('reads', isRight ? 'right' : 'WRONG');
      if (!isRight)
        ledger.fail(`${key} at peer ${peer.index}: ${bytes.length} bytes of no version`);
      return isRight;
    } catch (error) {
      const kind = kindOf(error);
      ledger.count('reads that failed', kind);
      if (/bytes were announced/.test(String(error))) ledger.fail(`short body: ${String(error)}`);
      // Ranges beyond the end and objects that are gone are answers, not failures.
      if (/range_not_satisfiable|ufs_not_found|ufs_changed/.test(kind)) return true;
      const isDisturbed = peer.disturbanceCount !== disturbanceCount || !peer.serves;
      const isAllowed = retryableCodeOf(error) !== undefined || isDisturbed;
      if (wasCalm && this.isCalm && !isAllowed) {
        ledger.fail(`${key} at peer ${peer.index} while all is calm: ${kind} ${String(error)}`);
      }
      return false;
    }
  }
}

function kindOf(error: unknown): string {
  if (error instanceof PeerAnswerError) {
    const code = /"code":"(\w+)"/.exec(error.body)?.[1];
    return code ?? `status ${error.status}`;
  }
  if (!(error instanceof Error)) return 'unknown';
  return error.name === 'TimeoutError' ? 'time-out' : (error.message.split(':')[0] ?? '');
}
