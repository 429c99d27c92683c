/**
 * Which of the peers that may hold a segment is asked, when a second one is asked as well, and how
 * long one may say nothing. Told of what readers of this peer met.
 *
 * Of two owners drawn at random the one with fewer answers under way is asked: nearly as good as
 * the least busy of all, and readers that look at the same moment do not all run to one. A peer
 * that said nothing for too long is quiet: it comes after everything else until it gives a sign of
 * life; from time to time one reader finds out.
 */
import type { Clock } from '../base/clock.ts';
import type { PeerId } from '../base/ids.ts';
import { randomInt, type Random } from '../base/random.ts';
import { RecentTimes } from './recent-times.ts';

/** Second requests may be this part of all, and a few at once. */
const HEDGE_SHARE = 0.05;
const HEDGE_BURST_COUNT = 10;
/** A second request sooner than this costs more than it saves. */
const HEDGE_MIN_MS = 10;
/** While nothing is known. */
const HEDGE_START_MS = 100;
const PATIENCE_MIN_MS = 2000;
const PATIENCE_MAX_MS = 10_000;
/** So many times longer than usual is not slow any more. */
const PATIENCE_FACTOR = 8;
/** What has to come within the patience for a body. */
const STEP_BYTES = 256 * 1024;
/** A new rate counts this much against what was known. */
const RATE_WEIGHT = 0.2;
const QUIET_MS = 5000;

/** One request to a peer, from its sending to the end of its body. */
export interface Asking {
  firstByte(): void;
  /** `bytes` of the body came in `ms` of waiting for them. */
  received(bytes: number, ms: number): void;
  ended(): void;
}

interface PeerFacts {
  askingCount: number;
  bytesPerMs: number | undefined;
  /** When somebody may find out whether it speaks again; undefined: it is not quiet. */
  quietUntilMs: number | undefined;
  /** When bytes of any answer came from it. */
  heardMs: number;
}

export class SourceChoice {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #facts = new Map<PeerId, PeerFacts>();
  readonly #firstByteMs = new RecentTimes();
  #hedgeCredit = HEDGE_BURST_COUNT;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** All of them: the better of two first, the others in their order. */
  order(peers: readonly PeerId[]): PeerId[] {
    const first = this.#betterOfTwo(peers);
    return first === undefined ? [] : [first, ...peers.filter((peer) => peer !== first)];
  }

  /** Whether it comes after all others. One asker is let through now and then. */
  isPassedOver(peer: PeerId): boolean {
    const facts = this.#facts.get(peer);
    if (facts?.quietUntilMs === undefined) return false;
    if (this.#clock.nowMs() < facts.quietUntilMs) return true;
    facts.quietUntilMs = this.#clock.nowMs() + QUIET_MS;
    return false;
  }

  /** It said nothing a moment ago. */
  isQuiet(peer: PeerId): boolean {
    return this.#facts.get(peer)?.quietUntilMs !== undefined;
  }

  /** A sign of life, by whatever way. */
  isAlive(peer: PeerId): void {
    const facts = this.#facts.get(peer);
    if (facts) facts.quietUntilMs = undefined;
  }

  /**
   * One answer is late. @returns whether the peer says nothing to anybody: who has many to answer
   * is slow, and to read from elsewhere what it holds would make it worse for all.
   */
  isMute(peer: PeerId, sinceMs: number): boolean {
    this.#firstByteMs.add(this.#clock.nowMs() - sinceMs);
    return (this.#facts.get(peer)?.heardMs ?? -Infinity) < sinceMs;
  }

  /** It was waited for in vain. */
  isSilent(peer: PeerId): void {
    this.#of(peer).quietUntilMs = this.#clock.nowMs() + QUIET_MS;
  }

  /** After so long without a first byte another peer is asked as well: one in twenty waits longer. */
  get hedgeAfterMs(): number {
    return Math.max(HEDGE_MIN_MS, this.#firstByteMs.quantile(0.95) ?? HEDGE_START_MS);
  }

  /** Takes from what second requests may cost. */
  takeHedge(): boolean {
    if (this.#hedgeCredit < 1) return false;
    this.#hedgeCredit -= 1;
    return true;
  }

  /** How long a first byte may take of what a peer has at hand. */
  get headPatienceMs(): number {
    return patience(this.#firstByteMs.quantile(0.95) ?? 0);
  }

  /** How long a body may stand still, by what the peer sends otherwise. */
  bodyPatienceMs(peer: PeerId): number {
    const bytesPerMs = this.#facts.get(peer)?.bytesPerMs;
    return patience(bytesPerMs === undefined ? 0 : STEP_BYTES / bytesPerMs);
  }

  /** A request goes out. */
  begin(peer: PeerId): Asking {
    const facts = this.#of(peer);
    facts.askingCount++;
    this.#hedgeCredit = Math.min(HEDGE_BURST_COUNT, this.#hedgeCredit + HEDGE_SHARE);
    const sinceMs = this.#clock.nowMs();
    let isOver = false;
    return {
      firstByte: () => {
        this.#firstByteMs.add(this.#clock.nowMs() - sinceMs);
        facts.heardMs = this.#clock.nowMs();
        facts.quietUntilMs = undefined;
      },
      received: (bytes, ms) => {
        facts.heardMs = this.#clock.nowMs();
        const rate = bytes / Math.max(1, ms);
        const before = facts.bytesPerMs ?? rate;
        facts.bytesPerMs = before + RATE_WEIGHT * (rate - before);
      },
      ended: () => {
        if (!isOver) facts.askingCount--;
        isOver = true;
      },
    };
  }

  #betterOfTwo(peers: readonly PeerId[]): PeerId | undefined {
    if (peers.length < 2) return peers[0];
    const one = randomInt(this.#random, peers.length);
    const two = (one + 1 + randomInt(this.#random, peers.length - 1)) % peers.length;
    const [first, second] = [peers[one], peers[two]];
    if (first === undefined || second === undefined) return first;
    return this.#busyOf(second) < this.#busyOf(first) ? second : first;
  }

  #busyOf(peer: PeerId): number {
    return this.#facts.get(peer)?.askingCount ?? 0;
  }

  #of(peer: PeerId): PeerFacts {
    let facts = this.#facts.get(peer);
    if (!facts) {
      facts = {
        askingCount: 0,
        bytesPerMs: undefined,
        quietUntilMs: undefined,
        heardMs: -Infinity,
      };
      this.#facts.set(peer, facts);
    }
    return facts;
  }
}

function patience(usualMs: number): number {
  return Math.min(PATIENCE_MAX_MS, Math.max(PATIENCE_MIN_MS, PATIENCE_FACTOR * usualMs));
}
