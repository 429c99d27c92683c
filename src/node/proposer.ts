/**
 * Commits commands from any peer: on the leader directly, elsewhere through it, again and again
 * until the deadline. Every command is idempotent, so one that may have been lost is repeated.
 */
import { sleep, type Clock } from '../base/clock.ts';
import { fromWireError, RingloadError, toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Command, CommandResult } from '../cluster/commands.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';

const PROPOSE = 'cluster.propose';
const RETRY_DELAY_MS = 100;
/** Longest wait for one answer, so that a deadline allows for another leader. */
const ATTEMPT_MAX_MS = 3000;

export interface ProposerOptions {
  readonly consensus: Consensus;
  readonly network: PeerNetwork;
  readonly clock: Clock;
  /** The leader that this peer knows of. */
  readonly leader: () => PeerId | undefined;
  readonly self: PeerId;
}

export class Proposer {
  readonly #options: ProposerOptions;

  constructor(options: ProposerOptions) {
    this.#options = options;
    options.network.onRequest(PROPOSE, (_from, payload) =>
      this.#propose(payload as Command, ATTEMPT_MAX_MS),
    );
  }

  /** The value that applying gave. @throws what applying refused with, or no_leader. */
  async commit(command: Command, deadlineMs: number): Promise<unknown> {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + deadlineMs;
    for (;;) {
      // Why not less: a timer that fires late must not turn the last attempt into a wrong request.
      const leftMs = Math.max(1, untilMs - clock.nowMs());
      try {
        return unwrap(await this.#attempt(command, Math.min(ATTEMPT_MAX_MS, leftMs)));
      } catch (thrown) {
        const error = toRingloadError(thrown);
        if (!isWorthRepeating(error)) throw error;
        if (clock.nowMs() + RETRY_DELAY_MS >= untilMs) {
          throw new RingloadError(
            'no_leader',
            `no leader took the request within ${String(deadlineMs)} ms`,
            { cause: error },
          );
        }
      }
      await sleep(clock, RETRY_DELAY_MS);
    }
  }

  /** Only here, and only while this peer leads: for orders that a deposed leader must not give. */
  async commitAsLeader(command: Command): Promise<void> {
    unwrap(await this.#propose(command, ATTEMPT_MAX_MS));
  }

  #attempt(command: Command, deadlineMs: number): Promise<CommandResult> {
    const { leader, self, network } = this.#options;
    const to = leader();
    if (to === undefined) throw new RingloadError('no_leader', 'no leader is known');
    if (to === self) return this.#propose(command, deadlineMs);
    return network.request(to, PROPOSE, command, deadlineMs) as Promise<CommandResult>;
  }

  async #propose(command: Command, deadlineMs: number): Promise<CommandResult> {
    const text = JSON.stringify(command);
    return (await this.#options.consensus.propose(text, deadlineMs)) as CommandResult;
  }
}

function unwrap(result: CommandResult): unknown {
  if (!result.ok) throw fromWireError(result.error);
  return result.value;
}

function isWorthRepeating(error: RingloadError): boolean {
  return (
    error.code === 'no_leader' ||
    error.code === 'not_leader' ||
    error.code === 'peer_unreachable' ||
    error.code === 'deadline_exceeded'
  );
}
