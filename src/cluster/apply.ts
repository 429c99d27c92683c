/** `apply(state, command)`: deterministic to the byte, total over every command kind. */
import { invariant, unreachable } from '../base/invariant.ts';
import { applyFreeCommand, withOvertakenFrees, withoutGoneMembers } from './apply-free.ts';
import { applyJobCommand } from './apply-job.ts';
import { applyMemberCommand } from './apply-member.ts';
import { applyRuleCommand } from './apply-rule.ts';
import type { ClusterState } from './cluster-state.ts';
import type { Applied } from './applied.ts';
import type { Command } from './commands.ts';

export function apply(state: ClusterState, command: Command): Applied {
  switch (command.kind) {
    case 'cluster.create':
    case 'member.admit':
    case 'member.announce':
    case 'member.judge':
    case 'member.drain':
      return applyMemberCommand(state, command);
    case 'member.remove':
      return followedBy(withoutGoneMembers, applyMemberCommand(state, command));
    case 'job.submit':
    case 'job.retry':
      return followedBy(withOvertakenFrees, applyJobCommand(state, command));
    case 'job.stop':
    case 'job.checkpoint':
    case 'job.finish':
    case 'job.prune':
      return applyJobCommand(state, command);
    case 'rule.set':
      return applyRuleCommand(state, command);
    case 'cache.free':
    case 'cache.freed':
      return applyFreeCommand(state, command);
    default:
      return unreachable(command);
  }
}

function followedBy(
  change: (state: ClusterState) => ClusterState,
  { state, result }: Applied,
): Applied {
  return { state: change(state), result };
}

/** @throws InvariantError for text that no version of this program wrote. */
export function parseCommand(text: string): Command {
  const command = JSON.parse(text) as Command;
  invariant(typeof command.kind === 'string', `a log entry without a kind: ${text.slice(0, 80)}`);
  return command;
}
