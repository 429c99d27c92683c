/**
 * Who is alive, as the leader judges it from peer links. Pure: facts in, commands out.
 *
 * Silence counts from the later of the last frame heard and the start of this leadership, so a new
 * leader gives everyone the full grace. A leader that was itself stopped for a while must be
 * `restart`ed before it judges: the silence was its own.
 */
import type { PeerId } from '../base/ids.ts';
import type { CommandOf } from '../cluster/commands.ts';
import type { Member } from '../cluster/member.ts';

export interface LivenessLimits {
  readonly suspectAfterMs: number;
  /** After so long the ring gives the member's keys to others. */
  readonly downAfterMs: number;
}

export class LivenessJudge {
  readonly #limits: LivenessLimits;
  readonly #self: PeerId;
  #sinceMs = 0;

  constructor(self: PeerId, limits: LivenessLimits) {
    this.#self = self;
    this.#limits = limits;
  }

  /** Forgets all silence up to now. */
  restart(nowMs: number): void {
    this.#sinceMs = nowMs;
  }

  /** How long the member has been silent; 0 for the leader itself. */
  silenceMs(member: PeerId, lastHeardMs: number | undefined, nowMs: number): number {
    if (member === this.#self) return 0;
    return nowMs - Math.max(this.#sinceMs, lastHeardMs ?? this.#sinceMs);
  }

  /** Verdicts that differ from what the cluster believes. */
  judge(
    members: Iterable<Member>,
    lastHeardMs: (peer: PeerId) => number | undefined,
    now: { readonly nowMs: number; readonly wallMs: number },
  ): CommandOf<'member.judge'>[] {
    const commands: CommandOf<'member.judge'>[] = [];
    for (const member of members) {
      const verdict = this.#verdictOn(member, lastHeardMs(member.id), now.nowMs);
      if (verdict === undefined || verdict === member.state) continue;
      const { id, generation } = member;
      commands.push({ kind: 'member.judge', id, generation, verdict, atMs: now.wallMs });
    }
    return commands;
  }

  #verdictOn(
    member: Member,
    heardMs: number | undefined,
    nowMs: number,
  ): 'up' | 'suspect' | 'down' | undefined {
    const { state } = member;
    if (state !== 'up' && state !== 'suspect' && state !== 'down') return undefined;
    const silentMs = this.silenceMs(member.id, heardMs, nowMs);
    if (silentMs >= this.#limits.downAfterMs) return 'down';
    if (silentMs >= this.#limits.suspectAfterMs) return state === 'down' ? 'down' : 'suspect';
    // Nothing heard yet under this leadership: silence is young, but no sign of life either.
    const isHeard = member.id === this.#self || (heardMs !== undefined && heardMs >= this.#sinceMs);
    return isHeard ? 'up' : undefined;
  }
}
